"""`ctxshrink bench all` and `--out`: what is written, that a run goes on, and that jobs change nothing."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from ctxshrink.bench import all_parts
from ctxshrink.bench.all_run import sources
from ctxshrink.cli import app
from ctxshrink.errors import ConfigError

from .test_command import CHAT, RAG, TOOLS

PLAIN = ["--methods", "bm25,lead", "--no-guardrail"]


def write(file: Path, rows: list[dict[str, Any]]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def run(*arguments: object, code: int = 0) -> Result:
    done = CliRunner().invoke(app, ["bench", *map(str, arguments)], env={"NO_COLOR": "1", "COLUMNS": "220"})
    assert done.exit_code == code, done.output
    return done


def timeless(folder: Path) -> Any:
    """Everything in results.json but times, and pictures of times."""
    clocks = {"seconds", "seconds_per_record", "tokens_per_second", "jobs"}

    def strip(value: Any) -> Any:
        if isinstance(value, list):
            return [strip(v) for v in value if not (isinstance(v, str) and v.startswith("<svg") and ">seconds<" in v)]
        if isinstance(value, dict):
            columns = value.get("columns")
            if columns and "rows" in value:
                keep = [i for i, c in enumerate(columns) if c not in ("tokens/s", "s/record")]
                return {**value, "columns": None, "rows": [[row[i] for i in keep] for row in value["rows"]]}
            return {k: strip(v) for k, v in value.items() if k not in clocks}
        return value

    return strip(json.loads((folder / "results.json").read_text(encoding="utf-8")))


def test_a_killed_run_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    rows = [{**RAG[i % 4], "id": f"r{i}"} for i in range(200)]
    data = write(tmp_path / "many.jsonl", rows)
    options = ["rag", "--data", data, "--keep", "0.5,0.25", *PLAIN, "--out"]
    run(*options, tmp_path / "whole")
    killed = tmp_path / "killed"
    command = [sys.executable, "-m", "ctxshrink", "bench", *map(str, options), str(killed)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    journal = killed / "journal" / "rag.jsonl"
    try:
        until = time.monotonic() + 120
        while time.monotonic() < until and process.poll() is None:
            if journal.exists() and journal.read_bytes().count(b"\n") > 10:
                break
            time.sleep(0.01)
        assert process.poll() is None, "it was done before it could be killed"
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    done = journal.read_bytes().count(b"\n") - 1
    assert 10 <= done < 200
    assert not (killed / "results.json").exists()
    said = run(*options, killed).stdout
    assert int(re.findall(r"goes on where it was: (\d+) of its units", said)[0]) == done
    assert timeless(killed) == timeless(tmp_path / "whole")
    assert (killed / "rag.svg").read_bytes() == (tmp_path / "whole" / "rag.svg").read_bytes()


def test_jobs_find_the_same_and_say_that_times_mean_little(tmp_path: Path) -> None:
    data = write(tmp_path / "rag.jsonl", RAG)
    for jobs in (1, 2):
        run(
            "rag",
            "--data",
            data,
            "--methods",
            "ctxshrink,bm25",
            "--keep",
            "0.3",
            "--jobs",
            jobs,
            "--out",
            tmp_path / str(jobs),
        )
    first, second = (timeless(tmp_path / name) for name in "12")
    assert first == second
    pages = [(tmp_path / name / "RESULTS.md").read_text(encoding="utf-8") for name in "12"]
    assert ["while other records" in page for page in pages] == [False, True]
    assert json.loads((tmp_path / "2" / "results.json").read_text())["chapters"]["rag"]["jobs"] == [2]


def test_a_changed_setting_starts_anew(tmp_path: Path) -> None:
    data = write(tmp_path / "rag.jsonl", RAG)
    options = ["--data", data, *PLAIN, "--out", tmp_path / "out"]
    run("rag", *options, "--keep", "0.5")
    assert "starts anew: keep changed" in run("rag", *options, "--keep", "0.25").stdout
    write(data, RAG[:3])
    assert "starts anew: records, digest changed" in run("rag", *options, "--keep", "0.25").stdout
    assert len(timeless(tmp_path / "out")["observations"]) == 6


def test_all_runs_every_part_that_it_can_and_names_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(all_parts, "LENGTHS", (300,))
    monkeypatch.setattr(all_parts, "KV_LENGTHS", (64,))
    data = write(tmp_path / "mine" / "my <b>|set.jsonl", TOOLS).parent
    out = tmp_path / "out"
    said = run(
        "all", "--data", data, "--split", "all", "--methods", "bm25,lead,minilm,idf", "--no-guardrail", "--out", out
    )
    found = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert set(found["chapters"]) >= {"tools", "speed"}
    assert {(s["part"], s["name"]) for s in found["skipped"]} >= {
        ("rag", ""),
        ("chat", ""),
        ("tools", "minilm"),
        ("cost", ""),
        ("guardrail", ""),
    }
    assert "skipped: tools minilm: minilm: give --encoder" in said.stdout
    assert {o["method"] for o in found["observations"]} == {"bm25", "lead", "idf"}
    assert len(found["chapters"]["tools"]["wins"]) == 3 * 3
    assert found["environment"]["ctxshrink"]
    page = (out / "RESULTS.md").read_text(encoding="utf-8")
    assert "my &lt;b&gt;\\|set" in page
    assert "<b>" not in page
    for name in re.findall(r"!\[[^]]*\]\(([^)]*)\)", page):
        assert (out / name).is_file()
    assert {"tools.svg", "speed.svg"} <= {p.name for p in out.glob("*.svg")}
    assert found["bench"]["tables"][0]["columns"][0] == "set"
    again = run(
        "all", "--data", data, "--split", "all", "--methods", "bm25,lead,minilm,idf", "--no-guardrail", "--out", out
    )
    assert again.stdout.count("goes on where it was: 1 of its units are done") >= 2


def test_sources_are_folders_by_name_or_files_by_their_first_line(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{name}.jsonl", rows) for name, rows in (("a", CHAT), ("b", RAG), ("c", TOOLS))]
    assert sources(tmp_path) == {"rag": [files[1]], "chat": [files[0]], "tools": [files[2]]}
    assert sources(files[0]) == {"chat": [files[0]]}
    write(tmp_path / "rag" / "x.jsonl", RAG)
    assert sources(tmp_path) == {"rag": [tmp_path / "rag"]}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "the file is empty"),
        ("{}", 'own.jsonl:1: a record has "docs" (chunks, for rag)'),
        ("nonsense", "own.jsonl:1: not a line of JSON"),
        ('{"id": "1", "docs": []}', 'own.jsonl:1: one of "answers", "facts"'),
        (
            '{"id": "1", "query": "q", "docs": [{}], "answers": ["a"]}',
            'own.jsonl:1: docs[0]: the field "text" is missing',
        ),
    ],
)
def test_wrong_data_is_said_with_its_place_and_what_a_record_is(tmp_path: Path, line: str, says: str) -> None:
    file = tmp_path / "own.jsonl"
    file.write_text(line and line + "\n", encoding="utf-8")
    error = " ".join(run("all", "--data", file, "--split", "all", "--out", tmp_path / "out", code=2).stderr.split())
    assert says in error
    assert not line.startswith("{") or '"needles"' in error or "The smallest rag record: {" in error


def test_the_smallest_records_are_records(tmp_path: Path) -> None:
    from ctxshrink.bench.data import EXAMPLES, load_sets, task_of
    from ctxshrink.bench.tasks import TASKS

    for name, line in EXAMPLES.items():
        file = tmp_path / f"{name}.jsonl"
        file.write_text(line + "\n", encoding="utf-8")
        assert task_of(file) == name
        assert len(load_sets(file, TASKS[name].parse)[name]) == 1


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    data = write(tmp_path / "rag.jsonl", RAG)
    assert "name a folder" in run("rag", "--data", data, *PLAIN, "--out", data, code=2).stderr


def test_options_of_peers_are_pairs(tmp_path: Path) -> None:
    data = write(tmp_path / "rag.jsonl", RAG)
    error = run("rag", "--data", data, *PLAIN, "--peer-python", "headroom", code=2).stderr
    assert "--peer-python must be NAME=PATH; got 'headroom'" in error


def test_named_folders_without_records_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "rag").mkdir()
    with pytest.raises(ConfigError, match=r"no \.jsonl file"):
        sources(tmp_path / "rag")
