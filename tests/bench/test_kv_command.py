"""`ctxshrink bench kv` from end to end, on settings that take seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from ctxshrink.bench.kv_command import kv

pytest.importorskip("torch")

NEEDLE = Path(__file__).parents[1] / "kv" / "data" / "needle"

app = typer.Typer()
app.command()(kv)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_table_and_guardrail(tmp_path: Path) -> None:
    out = tmp_path / "kv.json"
    small = ["--methods", "keydiff", "--keep", "0.5,0.05", "--contexts", 1, "--seeds", "1,2"]
    small += ["--adapter", NEEDLE / "adapters" / "domain"]
    done = run("--model", NEEDLE, "--only", "table,guardrail", *small, "--json", out)
    assert done.exit_code == 0, done.output
    assert "keydiff" in done.output
    assert "AUROC" in done.output
    found = json.loads(out.read_text())
    assert found["settings"]["seeds"] == [1, 2]
    assert {r["task"] for r in found["table"]} == {"needle", "domain"}
    rows = {(r["method"], r["keep"]): r for r in found["table"] if r["task"] == "needle"}
    full = rows["full", 1.0]
    assert full["accuracy"] > 0.9
    assert full["kl"] == pytest.approx(0, abs=1e-6)
    assert full["share"] == pytest.approx(1)
    for method in ("keydiff", "domain"):
        half, few = rows[method, 0.5], rows[method, 0.05]
        assert few["share"] < 0.06 < 0.49 < half["share"] < 0.52
        assert few["entries"] == 26
        assert few["kl"] > half["kl"] > 0
        assert few["seeds"] == 2
    whole = {r["signal"]: r for r in found["guardrail"] if r["over"] == "all"}
    assert set(whole) == {"auto", "asked", "auto ppl", "asked ppl", "ceiling"}
    assert all(0 <= r["auroc"] <= 1 for r in whole.values())


def test_speed_and_long(tmp_path: Path) -> None:
    out = tmp_path / "kv.json"
    small = ["--lengths", "100,200", "--repeats", 1, "--tokens", "4k", "--turn", 500]
    done = run("--only", "speed,long", *small, "--json", out)
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text())
    assert [p["tokens"] for p in found["speed"]] == [100, 200]
    assert all(0 < p["nbytes"] < p["full_bytes"] and p["step"] > 0 for p in found["speed"])
    [held], [talk] = found["memory"], found["long"]
    assert held["tokens"] == 200
    assert held["tensors"] < held["full_tensors"]
    assert talk["turns"] == 8
    assert talk["last_bytes"] < talk["full_bytes"]


def test_latent(tmp_path: Path) -> None:
    out = tmp_path / "kv.json"
    done = run("--model", NEEDLE, "--only", "latent", "--contexts", 1, "--seeds", 1, "--latent-steps", 1, "--json", out)
    assert done.exit_code == 0, done.output
    rows = json.loads(out.read_text())["latent"]
    assert {r["window"] for r in rows} == {4, 8, 16}
    assert all(0 <= r["accuracy"] <= 1 for r in rows)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "table"], "--model"),
        (["--only", "tables"], "table, guardrail, latent, quant, speed, long"),
        (["--only", "quant"], "--text"),
        (["--model", "nowhere", "--only", "table"], "config.json"),
        (["--only", "long", "--device", "cuda"], "GPU"),
        (["--model", NEEDLE, "--only", "table", "--methods", "best"], "best"),
        (["--keep", "2", "--only", "long"], "--keep"),
    ],
)
def test_wrong_settings_are_one_line(arguments: list[Any], said: str) -> None:
    import torch

    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    done = run(*arguments)
    assert done.exit_code == 2
    assert said in done.output.replace("\n", "")
