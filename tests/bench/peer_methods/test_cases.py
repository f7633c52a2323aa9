from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ctxshrink.bench.data import Row, chat_record
from ctxshrink.bench.peer_methods import cases as module
from ctxshrink.bench.peer_methods.cases import cases
from ctxshrink.errors import ConfigError

DSL = """
import enum

class DifficultyLevel(enum.Enum):
    HARD = "hard"
    ELITE = "elite"

def parse_template_file(path):
    if "bad" in path.name:
        raise ValueError("YAML syntax error")
    return path.stem
"""
ENGINE = """
from types import SimpleNamespace as N

def generate_case(key, seed, difficulty):
    said = [f"Never paint hall {seed}.", "Fine.", "Who is Ada?", "A person.", "So what?"]
    turns = [N(role=N(value=("user", "assistant")[i % 2]), content=t) for i, t in enumerate(said)]
    items = [
        N(key="a", prompt="What never?", expected={"check": "contains_normalized", "value": f"paint hall {seed}"}),
        N(key="b", prompt="Plan!", expected={"check": "forbidden_absent", "value": "paint"}),
        N(key="c", prompt="Who?", expected={"check": "set_match", "values": ["Ada", "Eve", "what"]}),
    ]
    return N(case_id=f"{key}:{seed}:{difficulty.value}", template_key=key, transcript=N(turns=turns),
             evaluation_items=items)
"""
PACKAGE = {"compactbench.__init__": "", "compactbench.dsl": DSL, "compactbench.engine": ENGINE}


@pytest.fixture
def python(with_packages: Callable[[Mapping[str, str]], Path]) -> Path:
    return with_packages(PACKAGE)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = tmp_path / "clone" / "benchmarks" / "public" / "starter"
    folder.mkdir(parents=True)
    (folder / "two.yaml").write_text("template: {}")
    (folder / "one.yaml").write_text("template: {}")
    (tmp_path / "clone" / "mkdocs.yaml").write_text("no template")
    return tmp_path / "clone"


def test_each_check_that_a_text_can_be_searched_for_is_a_probe(clone: Path, python: Path) -> None:
    rows = list(cases(clone, python, seeds=2))
    assert [row["id"] for row in rows] == ["one:0:hard", "one:1:hard", "two:0:hard", "two:1:hard"]
    assert rows[1]["messages"][0] == {"role": "user", "content": "Never paint hall 1."}
    # "Eve" was never said, and what must not be said cannot be looked for.
    assert [(p["answers"], p["evidence_message_idx"], p["in_recent4"]) for p in rows[1]["probes"]] == [
        (["paint hall 1"], [0], False),
        (["Ada"], [2], True),
        (["what"], [4], True),
    ]
    record = chat_record(Row(rows[0], "here"))
    assert (record.group, len(record.probes), record.lang) == ("one", 3, "en")
    assert rows == list(cases(clone, python, seeds=2))


def test_what_goes_wrong_is_said(clone: Path, python: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ConfigError, match=r"no templates .* name a clone"):
        list(cases(empty, python))
    (clone / "benchmarks" / "public" / "bad.yaml").write_text("")
    with pytest.raises(ConfigError, match="ValueError: YAML syntax error"):
        list(cases(clone, python))
    with pytest.raises(ConfigError, match="cannot be run"):
        list(cases(clone, tmp_path / "no-python"))


def test_the_command_writes_a_data_set(
    clone: Path, python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = typer.Typer()
    app.command()(module.compactbench)
    out = tmp_path / "cases.jsonl"
    done = CliRunner().invoke(app, [str(clone), "--out", str(out), "--python", str(python), "--difficulty", "elite"])
    assert done.exit_code == 0, done.output
    assert "6 conversations, 18 probes" in " ".join(done.output.split())
    assert [json.loads(line)["id"] for line in out.read_text().splitlines()][:2] == ["one:0:elite", "one:1:elite"]
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    refused = CliRunner().invoke(app, [str(clone), "--out", str(out)])
    assert refused.exit_code == 2
    assert "pip install compactbench" in " ".join(refused.output.split())
