from __future__ import annotations

import datetime
import math
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink import PerplexityGuardrail
from ctxshrink.errors import ConfigError
from ctxshrink.policies import Adaptive
from ctxshrink.policyfile import (
    AdjustmentSettings,
    CalibrationSettings,
    DriftSettings,
    GuardrailSettings,
    ModeFigures,
    PolicySettings,
    Settings,
    load_policy_file,
    policy_text,
    shrinker_settings,
    write_policy_file,
)

SHARE = st.floats(0, 1)
INNER = st.floats(1e-6, 1 - 1e-6)
COUNT = st.integers(1, 10**6)
POLICIES = st.builds(
    PolicySettings,
    keep=st.floats(1e-6, 1),
    recent_turns=st.integers(0, 50),
    kind_floors=st.dictionaries(st.sampled_from(["user", "assistant", "tool_result", "document"]), SHARE),
    type_floors=st.dictionaries(st.sampled_from(["prose", "json", "log", "code", "diff", "table", "html"]), SHARE),
)
ADJUSTMENTS = st.builds(
    AdjustmentSettings, slope=st.floats(0.001, 1000), intercept=st.floats(-50, 50), threshold=st.none() | SHARE
)
KEEPS = st.lists(INNER, min_size=1, max_size=5, unique=True).map(sorted).map(tuple)
PAIR = st.tuples(SHARE, SHARE)
FIGURES = KEEPS.flatmap(
    lambda keeps: st.builds(
        ModeFigures,
        records=COUNT,
        needed=COUNT,
        keeps=st.just(keeps),
        acceptance=st.tuples(*[SHARE] * len(keeps)),
        calls=COUNT,
        miss_rate=SHARE,
        miss_rate_interval=PAIR,
        savings=SHARE,
        savings_interval=PAIR,
        shipped_miss_rate=SHARE,
        shipped_savings=SHARE,
    )
)
CALIBRATIONS = st.builds(
    CalibrationSettings,
    date=st.dates(datetime.date(2000, 1, 1)),
    ctxshrink=st.text(),
    data=st.text(),
    labels=st.sampled_from(["answers", "reuse"]),
    query=st.none() | FIGURES,
    blind=st.none() | FIGURES,
)
SETTINGS = st.builds(
    Settings,
    policy=POLICIES,
    guardrail=st.builds(
        GuardrailSettings, max_miss_rate=INNER, query=st.none() | ADJUSTMENTS, blind=st.none() | ADJUSTMENTS
    ),
    drift=st.builds(DriftSettings, window=st.integers(10, 10**6), least=INNER, confidence=st.floats(0.51, 0.999999)),
    calibration=st.none() | CALIBRATIONS,
)


@given(SETTINGS)
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, settings: Settings) -> None:
    file = tmp_path_factory.getbasetemp() / "ctxshrink.toml"
    write_policy_file(file, settings)
    assert load_policy_file(file) == settings


FIGURES_ONE = ModeFigures(200, 340, (0.25, 0.5), (0.6, 0.9), 60, 0.012, (0.002, 0.03), 0.4, (0.35, 0.45), 0.03, 0.42)
ONE = Settings(
    PolicySettings(0.25, kind_floors={"tool_result": 0.5}),
    GuardrailSettings(0.01, query=AdjustmentSettings(0.9, -0.25, 0.15)),
    calibration=CalibrationSettings(datetime.date(2026, 1, 2), "0.1.0", "my.jsonl", "answers", query=FIGURES_ONE),
)


def test_the_file_says_what_its_values_are() -> None:
    text = policy_text(ONE)
    assert text.isprintable() is False  # lines
    values = [line for line in text.splitlines() if " = " in line and not line.startswith("#")]
    explained = [line for line in values if "  # " in line]
    assert "keep = 0.25  # share of the unlocked tokens to keep where a call names no goal" in text
    assert len(explained) >= 0.6 * len(values)
    assert tomllib.loads(text)["calibration"]["query"]["acceptance"] == [0.6, 0.9]
    assert max(map(len, text.splitlines())) <= 130


def test_the_parts_of_a_shrinker(tmp_path: Path) -> None:
    write_policy_file(tmp_path / "c.toml", ONE)
    parts = shrinker_settings(tmp_path / "c.toml")
    assert parts.policy == Adaptive(0.25, kind_floors={"tool_result": 0.5})
    assert parts.guardrail.max_miss_rate == 0.01
    assert parts.monitor is not None
    assert parts.monitor.expected["query"].at(0.25) == pytest.approx(0.6)
    (tmp_path / "hand.toml").write_text("version = 1\n[policy]\nkeep = 1\n", "utf-8")
    assert shrinker_settings(tmp_path / "hand.toml").monitor is None
    assert shrinker_settings(str(tmp_path / "hand.toml")).policy == Adaptive(1.0)
    assert shrinker_settings(tmp_path / "hand.toml").guardrail.max_miss_rate == PerplexityGuardrail().max_miss_rate


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version = 2\n[newer]\nx = 1", r"version 2 was written by a newer ctxshrink; .*[Uu]pgrade"),
        ("[policy]\nkeep = 0.5", "version must be 1"),
        ("version = true", "version must be 1"),
        ("version = 1\nkeep = ", "cannot be read as TOML"),
        ("version = 1\n[policy]\nkeeps = 0.5", "unknown key policy.keeps; known here: keep, recent_turns"),
        ("version = 1\nshrink = 1", "unknown key shrink"),
        ("version = 1\npolicy = 1", r"policy must be a table, \[policy\]"),
        ("version = 1\n[policy]\nkeep = 0", "policy.keep must be a number from"),
        ('version = 1\n[policy]\nkeep = "0.5"', "policy.keep must be a number"),
        ("version = 1\n[policy]\nkeep = nan", "policy.keep must be a number"),
        ("version = 1\n[policy]\nkeep = true", "policy.keep must be a number"),
        ("version = 1\n[policy]\nrecent_turns = 1.5", "policy.recent_turns must be a whole number"),
        ("version = 1\n[policy.kind_floors]\nrobot = 0.5", "kind_floors: unknown key robot; known here: instruction"),
        ("version = 1\n[policy.kind_floors]\nuser = 1.5", "policy.kind_floors.user must be a number from 0 to 1"),
        ("version = 1\n[policy]\nkind_floors = 3", "policy.kind_floors must be a table"),
        ("version = 1\n[guardrail]\nmax_miss_rate = 1.0", "guardrail.max_miss_rate"),
        ("version = 1\n[guardrail.query]\nslope = -1.0", "guardrail.query.slope must be a number from 0.001"),
        ("version = 1\n[guardrail.query]\nslope = inf", "guardrail.query.slope"),
        ("version = 1\n[guardrail.query]\nthreshold = 2", "guardrail.query.threshold"),
        ("version = 1\n[drift]\nwindow = 3", "drift.window must be a whole number from 10"),
        ('version = 1\n[calibration]\ndate = "today"', "calibration.date must be a date"),
        ("version = 1\n[calibration]\ndate = 2026-01-02", "calibration.ctxshrink is missing"),
        (policy_text(ONE).replace("keeps = [0.25, 0.5]", "keeps = [0.5]"), "calibration.query.keeps must rise"),
        (policy_text(ONE).replace("keeps = [0.25, 0.5]", "keeps = 0.5"), "keeps must be a list of numbers"),
        (policy_text(ONE).replace("[0.25, 0.5]", '[0.25, "x"]'), r"keeps\[1\] must be a number"),
        ("version = 1\n" + "a = [" * 5000, "cannot be read as TOML"),
        ("version = 1\na = 1" + "0" * 5000, "cannot be read as TOML"),
        ("version = 1\n[policy]\nkeep = 1" + "0" * 400, "policy.keep must be a number from"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=message) as caught:
        load_policy_file(file)
    assert str(file) in str(caught.value)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file; `ctxshrink calibrate` writes one"):
        load_policy_file(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_policy_file(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"version = 1 # \xe9")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_policy_file(tmp_path / "latin.toml")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_policy_file(tmp_path / "none" / "x.toml", Settings())


def test_a_name_that_has_no_utf8_does_not_stop_the_run(tmp_path: Path) -> None:
    odd = CalibrationSettings(datetime.date(2026, 1, 2), "0.1.0", 'a"b\\c\n\x7f\x00\udcff', "answers")
    write_policy_file(tmp_path / "odd.toml", Settings(calibration=odd))
    read = load_policy_file(tmp_path / "odd.toml").calibration
    assert read is not None
    assert read.data == 'a"b\\c\n\x7f\x00?'
    assert math.isclose(load_policy_file(tmp_path / "odd.toml").policy.keep, 0.5)
