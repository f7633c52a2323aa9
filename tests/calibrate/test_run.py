from __future__ import annotations

import datetime
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from ctxshrink import Shrinker
from ctxshrink.calibrate import Data, calibrate, observe, read_labelled, read_traces
from ctxshrink.calibrate.command import calibrate as command
from ctxshrink.calibrate.floors import try_floors
from ctxshrink.calibrate.observations import Observation, Observed
from ctxshrink.calibrate.run import Calibration, from_observations
from ctxshrink.drift import rejected_nothing
from ctxshrink.errors import ConfigError
from ctxshrink.guardrails import PerplexityGuardrail
from ctxshrink.policyfile import load_policy_file, shrinker_settings, write_policy_file
from ctxshrink.testing import FakeScorer

from .conftest import agent_messages, observation, rag_rows, simulate, write_lines

LIMITS: Any = {"query": 0.2, "blind": 0.2}


def settled(rows: list[Observation], limit: float = 0.02, unlabelled: int = 0) -> Calibration:
    unscored = sum(math.isnan(o.risk) for o in rows)
    return from_observations(Data("d", "answers", (), unlabelled), Observed(tuple(rows), 3, unscored), limit, LIMITS)


def found_guardrail(found: Calibration) -> PerplexityGuardrail:
    return PerplexityGuardrail(FakeScorer(), adjustments={m: f.adjustment for m, f in found.fits.items()})


def test_observations_of_real_compressions(rag_file: Path) -> None:
    data = read_labelled(rag_file)
    whole = replace(data, examples=data.examples[:3])
    seen: list[str] = []
    guardrail = PerplexityGuardrail(FakeScorer())
    found = observe(whole, guardrail, [0.3, 0.9], progress=lambda e: seen.append(e.record.id))
    assert seen == ["q0", "q1", "q2"]
    assert [(o.group, o.keep) for o in found.observations] == [(f"q{i}", k) for i in range(3) for k in (0.3, 0.9)]
    for o in found.observations:
        assert o.after <= o.before
        assert 0 <= o.risk <= 1
        assert (o.mode, o.needed) == ("query", 1)
    assert (found.absent, found.unscored) == (0, 0)
    again = observe(whole, guardrail, [0.3, 0.9], shrinker=Shrinker(guardrail=None))
    assert again == found


def test_what_cannot_be_lost_is_not_counted(tmp_path: Path) -> None:
    [row, other] = rag_rows(2)
    late: dict[str, Any] = {
        "id": "late",
        "messages": [{"role": "user", "content": f"Message {i} has the code {4000 + i}."} for i in range(8)],
        "probes": [{"answers": ["4007"]}, {"answers": ["4000"]}],
    }
    recent = {**late, "id": "recent", "probes": late["probes"][:1]}
    file = write_lines(tmp_path / "m.jsonl", [{**row, "answers": ["not there"]}, other, late, recent])
    found = observe(read_labelled(file), PerplexityGuardrail(FakeScorer()), [0.5])
    assert found.absent == 2
    assert [(o.mode, o.needed) for o in found.observations] == [("query", 1), ("blind", 1)]
    assert [p.kind for p in found.observations[1].places] == ["user"]


def test_labelled_data_becomes_a_policy_file(rag_file: Path, tmp_path: Path) -> None:
    found = calibrate(read_labelled(rag_file), keeps=[0.3, 0.6], guardrail=PerplexityGuardrail(FakeScorer()))
    assert list(found.fits) == ["query"]
    validation = found.validations["query"]
    assert (validation.records, validation.needed, list(validation.by_keep)) == (12, 12, [0.3, 0.6])
    assert any("12 records are few" in note and "49 are needed" in note for note in found.notes)
    write_policy_file(tmp_path / "c.toml", found.settings)
    read = load_policy_file(tmp_path / "c.toml")
    assert read == found.settings
    assert read.guardrail.query is not None
    assert read.guardrail.query.threshold == found.fits["query"].adjustment.threshold
    assert read.guardrail.blind is None
    assert read.calibration is not None
    assert read.calibration.date <= datetime.datetime.now(datetime.UTC).date()
    parts = shrinker_settings(tmp_path / "c.toml")
    monitor = parts.monitor
    assert monitor is not None
    shrinker = Shrinker(guardrail=found_guardrail(found))
    told = [rejected_nothing(e.shrink(shrinker, 0.3).decisions) for e in read_labelled(rag_file).examples]
    assert monitor.expected["query"].records == sum(ok is not None for ok in told) > 0
    assert monitor.expected["query"].at(0.3) == pytest.approx(told.count(True) / (12 - told.count(None)), abs=1e-3)
    json.dumps(found.to_dict())


def test_the_file_makes_a_guardrail_that_accepts_what_was_calibrated(rag_file: Path, tmp_path: Path) -> None:
    data = read_labelled(rag_file)
    found = calibrate(data, keeps=[0.3, 0.6], guardrail=PerplexityGuardrail(FakeScorer()))
    write_policy_file(tmp_path / "c.toml", found.settings)
    adjusted = PerplexityGuardrail(
        FakeScorer(), max_miss_rate=0.02, adjustments=shrinker_settings(tmp_path / "c.toml").guardrail.adjustments
    )
    live = observe(data, adjusted, [0.3, 0.6]).observations
    fit = found.fits["query"]
    assert [o.accepted for o in live] == [fit.accepts(o.risk) for o in found.observed.observations]


def test_traces_without_labels(tmp_path: Path) -> None:
    logs = write_lines(tmp_path / "logs.jsonl", [{"messages": agent_messages(i), "id": i} for i in range(10)])
    found = calibrate(read_traces(logs), keeps=[0.3], guardrail=PerplexityGuardrail(FakeScorer()))
    assert list(found.fits) == ["blind"]
    assert found.validations["blind"].needed >= 10
    calibration = found.settings.calibration
    assert calibration is not None
    assert (calibration.labels, calibration.data) == ("reuse", "logs.jsonl")


def test_keep_floors_are_tried_before_they_are_used(tmp_path: Path) -> None:
    rows = [{"messages": agent_messages(i), "id": i} for i in range(10)]
    data = read_traces(write_lines(tmp_path / "logs.jsonl", rows))
    found = observe(data, PerplexityGuardrail(FakeScorer()), [0.3])
    many = [replace(o, places=o.places * 50) for o in found.observations]
    trial = try_floors(data.examples, many, 0.02, [0.3])
    assert trial is not None
    assert 0 <= trial.lost_with <= 1
    assert trial.kept_with == pytest.approx(trial.kept, abs=0.2)
    for helps in (True, False):
        told = replace(trial, lost=0.5, lost_with=0.4 if helps else 0.6, kept=0.5, kept_with=0.5)
        settled_ = from_observations(data, replace(found, observations=tuple(many)), 0.02, LIMITS, told)
        assert bool(settled_.settings.policy.kind_floors) == helps
        assert any("keep floors by kind" in note for note in settled_.notes)


def test_nothing_lost_is_said() -> None:
    found = settled(simulate(200, lambda _: 0.0))
    assert any("everything needed was kept" in note for note in found.notes)
    assert found.validations["query"].calibrated.miss_rate.value == 0
    assert 0.01 < found.validations["query"].calibrated.miss_rate.high < 0.03


def test_everything_lost_is_said() -> None:
    found = settled([observation(f"r{i}", 0.05 + i / 1000, 1.0) for i in range(200)])
    assert any("everything needed was lost" in note for note in found.notes)
    # the last digit of a threshold of 200 records: at most three of them may be lost
    assert found.validations["query"].calibrated.acceptance.value <= 0.03


def test_where_nothing_can_be_accepted_the_note_and_the_keep_say_so() -> None:
    rows = [observation(f"r{i}", 0.01, 1.0, keep) for i in range(30) for keep in (0.1, 0.25)]
    found = settled(rows)
    assert any("no compression is accepted at a miss rate of 0.02" in note for note in found.notes)
    assert found.validations["query"].calibrated.savings.value == 0
    assert found.settings.policy.keep == 0.5


def test_what_was_left_out_is_counted() -> None:
    nan = [observation(f"n{i}", math.nan, 0.0, accepted=False) for i in range(4)]
    few = [observation(f"b{i}", 0.1, 0.0, mode="blind") for i in range(9)]
    found = settled([*simulate(20, lambda r: r), *nan, *few], unlabelled=7)
    notes = " | ".join(found.notes)
    assert "7 records name nothing that is needed" in notes
    assert "3 records have nothing that could be lost" in notes
    assert "4 outputs got no finite risk" in notes
    assert "blind: 9 records are too few (10 are needed); left as shipped" in notes
    assert list(found.fits) == ["query"]
    assert found.settings.guardrail.blind is None


def test_ten_records_work_and_nine_do_not(tmp_path: Path) -> None:
    found = settled([observation(f"r{i}", 0.1, 0.0) for i in range(10)])
    assert found.validations["query"].calibrated.miss_rate.high > 0.3
    with pytest.raises(ConfigError, match=r"d holds 9 usable records .2 more name nothing.*at least 10"):
        settled([observation(f"r{i}", 0.1, 0.0) for i in range(9)], unlabelled=2)
    with pytest.raises(ConfigError, match=r"nine.jsonl holds 9 usable records: at least 10"):
        calibrate(read_labelled(write_lines(tmp_path / "nine.jsonl", rag_rows(9))))


def test_a_scorer_that_gives_no_numbers_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"no numbers for any record.*scorer"):
        settled([observation(f"r{i}", math.nan, 0.0, accepted=False) for i in range(20)])


@pytest.mark.parametrize(("limit", "keeps"), [(0.0, [0.5]), (1.0, [0.5]), (math.nan, [0.5]), (0.1, []), (0.1, [1.0])])
def test_settings_out_of_range(limit: float, keeps: list[float]) -> None:
    with pytest.raises(ConfigError, match=r"max_miss_rate must be|keeps must be"):
        calibrate(Data("d", "answers", ()), limit, keeps=keeps)


app = typer.Typer(pretty_exceptions_enable=False)
app.command()(command)


def test_the_command(rag_file: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "out.toml", tmp_path / "out.json"
    arguments = ["--data", str(rag_file), "--keep", "0.4", "--out", str(out), "--json", str(report)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    shown = " ".join(result.output.split())
    for part in ("query: 12 records, 12 needed strings", "as shipped", "no guardrail", "note:", "written to"):
        assert part in shown
    assert load_policy_file(out).guardrail.max_miss_rate == 0.02
    written = json.loads(report.read_text("utf-8"))
    assert written["settings"]["keep"] == [0.4]
    assert written["modes"]["query"]["all"]["calibrated"]["miss_rate"]["high"] <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --data"),
        (["--data", "x.jsonl", "--traces", "y.jsonl"], "give --data"),
        (["--data", "x.jsonl"], "no such file"),
        (["--traces", "x.jsonl"], "no such file"),
        (["--data", "x.jsonl", "--max-miss-rate", "2"], "max_miss_rate must be"),
        (["--data", "x.jsonl", "--keep", "a"], "--keep must be numbers"),
        (["--data", "x.jsonl", "--keep", "1.5"], "keeps must be"),
    ],
)
def test_wrong_arguments(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


def test_a_folder_for_the_output_that_is_not_there(rag_file: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["--data", str(rag_file), "--out", str(tmp_path / "no" / "c.toml")])
    assert result.exit_code == 2
    assert "no such folder" in " ".join(result.output.split())


def test_places_for_the_output_are_looked_at_before_the_work(rag_file: Path, tmp_path: Path) -> None:
    for arguments, message in (
        (["--out", str(tmp_path)], "is a folder; name a file"),
        (["--json", str(tmp_path)], "is a folder; name a file"),
        (["--json", str(tmp_path / "no" / "x.json")], "no such folder"),
    ):
        result = CliRunner().invoke(app, ["--data", str(rag_file), "--out", str(tmp_path / "c.toml"), *arguments])
        assert result.exit_code == 2
        assert f"{arguments[0]} " in result.output
        assert message in " ".join(result.output.split())
    assert not (tmp_path / "c.toml").exists()
