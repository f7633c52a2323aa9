from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ctxshrink.calibrate.command import compare
from ctxshrink.calibrate.intervals import Estimate
from ctxshrink.calibrate.sources import SourceRow, compare_sources
from ctxshrink.calibrate.validate import outcome
from ctxshrink.errors import ConfigError
from ctxshrink.guardrails import Adjustment, PerplexityGuardrail, load_detector
from ctxshrink.guardrails.detector import save_detector
from ctxshrink.testing import FakeScorer

from .conftest import observation, rag_rows, write_lines


def guardrail(source: str, adjustments: Mapping[str, Adjustment]) -> PerplexityGuardrail:
    return PerplexityGuardrail(FakeScorer(), adjustments=adjustments)


@pytest.mark.parametrize("live", [True, False])
def test_half_is_fitted_on_and_half_is_measured(tmp_path: Path, live: bool) -> None:
    (tmp_path / "rag").mkdir()
    write_lines(tmp_path / "rag" / "machines.jsonl", rag_rows(36))
    write_lines(tmp_path / "rag" / "tiny.jsonl", rag_rows(3))
    seen: list[str] = []
    [row] = compare_sources(tmp_path, guardrail, keeps=[0.4], limit=4, live=live, progress=seen.append)
    assert seen == ["machines", "tiny"]
    assert row.source == "machines"
    assert 10 <= row.examples < 36
    assert row.records == 4
    assert 0 <= row.shipped.miss_rate.value <= 1
    difference = row.calibrated.savings.value - row.shipped.savings.value
    assert row.more_savings.value == pytest.approx(difference, abs=1e-9)
    json.dumps(row.to_dict())


def row(lost: tuple[float, float], saved: tuple[float, float]) -> SourceRow:
    one = outcome([observation("a", 0.1, lost[1])], [True])
    fewer, more = lost[0] - lost[1], saved[1] - saved[0]
    return SourceRow("s", 10, 1, one, one, Estimate(fewer, fewer, fewer), Estimate(more, more, more), 0.02)


@pytest.mark.parametrize(
    ("lost", "saved", "gain"),
    [
        ((0.1, 0.02), (0.5, 0.4), "fewer misses"),
        ((0.0, 0.01), (0.5, 0.6), "more savings"),
        ((0.1, 0.05), (0.5, 0.6), "fewer misses and more savings"),
        ((0.0, 0.05), (0.5, 0.6), "none"),
        ((0.0, 0.0), (0.5, 0.5), "none"),
    ],
)
def test_what_counts_as_a_gain(lost: tuple[float, float], saved: tuple[float, float], gain: str) -> None:
    assert row(lost, saved).gain == gain


def test_the_command(tmp_path: Path) -> None:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(compare)
    file, report = write_lines(tmp_path / "machines.jsonl", rag_rows(26)), tmp_path / "r.json"
    arguments = ["--data", str(file), "--keep", "0.4", "--limit", "2", "--simulated", "--json", str(report)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "machines" in result.output
    assert "of 1 sources" in result.output
    [written] = json.loads(report.read_text("utf-8"))["sources"]
    assert written["records"] == 2


def test_data_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such file, or a folder without \.jsonl files"):
        compare_sources(tmp_path, guardrail)


def test_detectors_are_found_by_task_and_set_before_the_work(tmp_path: Path) -> None:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(compare)
    (tmp_path / "rag").mkdir()
    for name in ("machines", "other"):
        write_lines(tmp_path / "rag" / f"{name}.jsonl", rag_rows(26))
    folder = tmp_path / "crossed"
    save_detector(load_detector(), folder / "rag" / "machines")
    arguments = ["--data", str(tmp_path), "--keep", "0.4", "--limit", "2", "--simulated", "--detectors", str(folder)]
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 2
    assert "no folder other with a config.json" in " ".join(refused.output.split())
    (tmp_path / "rag" / "other.jsonl").unlink()
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    save_detector(load_detector(), folder / "chat" / "machines")
    assert "several folders machines" in " ".join(CliRunner().invoke(app, arguments).output.split())
