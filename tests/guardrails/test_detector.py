import itertools
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink import ConfigError, ModelError, PerplexityGuardrail
from ctxshrink.guardrails import MAX_MISS_RATE, SHIPPED, Adjustment, load_detector
from ctxshrink.guardrails._needs import FEATURES as UNIT_FEATURES
from ctxshrink.guardrails._omission import FEATURES
from ctxshrink.guardrails._terms import TERMS
from ctxshrink.guardrails.detector import FALSE_FALLBACKS, Level, Logistic, check_miss_rate, save_detector
from tests.guardrails.detectors import CURVE, MODES, detector
from tests.strategies import PROPERTY

LEVELS: tuple[Level, ...] = ("segment", "output")
RATES = st.floats(0.001, 0.999)


def test_the_shipped_detector_is_sound_and_documented() -> None:
    shipped = load_detector()
    for mode in MODES:
        for fitted in shipped.needs[mode].values():
            assert tuple(fitted.weights) == UNIT_FEATURES[mode]
        assert "text" in shipped.needs[mode]
        assert tuple(shipped.segment[mode].weights) == tuple(shipped.output[mode].weights) == FEATURES
        assert set(shipped.terms[mode]) <= set(TERMS)
        for level in LEVELS:
            curve = shipped.curves[f"{mode}/{level}"]
            limits = [p.limit for p in curve]
            assert limits == sorted(set(limits))
            assert all(a.missed <= b.missed for a, b in itertools.pairwise(curve))
            assert all(a.false_fallbacks >= b.false_fallbacks for a, b in itertools.pairwise(curve))
            assert 0 < shipped.limit(mode, level, MAX_MISS_RATE) < 1
    assert (SHIPPED.parent / "CARD.md").is_file()


def test_a_logistic_is_the_formula() -> None:
    fitted = Logistic(-1.0, {"a": 2.0, "b": -0.5})
    x = np.array([[1.0, 2.0], [0.0, 0.0], [1e9, 0.0], [-1e9, 0.0]])
    assert fitted.risk(x)[:2] == pytest.approx([0.5, 1 / (1 + np.e)])
    assert np.isfinite(fitted.risk(x)).all()


def test_a_risk_does_not_depend_on_batch_mates() -> None:
    x = np.random.default_rng(0).normal(size=(300, len(FEATURES)))
    fitted = load_detector().segment["query"]
    assert fitted.risk(x).tolist() == [float(fitted.risk(row[None])[0]) for row in x]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("level", LEVELS)
@PROPERTY
@given(a=RATES, b=RATES)
def test_more_may_be_risked_where_more_may_be_lost(mode: str, level: Level, a: float, b: float) -> None:
    low, high = sorted((a, b))
    for fitted in (load_detector(), detector()):
        assert 0 < fitted.limit(mode, level, low) <= fitted.limit(mode, level, high) < 1


def test_the_limit_is_the_best_point_that_is_good_enough() -> None:
    fitted = detector()
    assert fitted.limit("query", "output", 0.04) == 0.3
    assert fitted.limit("query", "output", 0.02) == 0.3
    assert fitted.limit("query", "output", 0.0025) == pytest.approx(0.05)  # no point is: the first one, scaled down
    assert fitted.limit("query", "segment", 0.0025) == 0.5  # at most one harmless compression in ten is rejected
    assert next(p for p in CURVE if p.false_fallbacks <= FALSE_FALLBACKS).limit == 0.5
    assert fitted.limit("query", "segment", 0.5) == 0.9


@given(RATES)
def test_the_miss_rate_of_a_limit_is_no_more_than_was_asked_for(rate: float) -> None:
    for fitted in (load_detector(), detector()):
        assert fitted.miss_rate("query", fitted.limit("query", "output", rate)) <= rate
    assert detector().miss_rate("query", 0.0) == 0.0


@given(
    slope=st.floats(0.2, 5) | st.just(1.0),
    intercept=st.floats(-4, 4) | st.just(0.0),
    risk=st.floats(0.001, 0.999),
)
def test_an_adjustment_can_be_taken_back(slope: float, intercept: float, risk: float) -> None:
    adjusted = Adjustment(slope, intercept)
    after = adjusted.apply(risk)
    assert 0 <= after <= 1
    if 1e-5 < after < 1 - 1e-5:
        assert adjusted.revert(after) == pytest.approx(risk, rel=1e-3, abs=1e-4)


@given(slope=st.floats(0.2, 5), intercept=st.floats(-4, 4), a=st.floats(0, 1), b=st.floats(0, 1))
def test_an_adjustment_keeps_the_order(slope: float, intercept: float, a: float, b: float) -> None:
    low, high = sorted((a, b))
    adjusted = Adjustment(slope, intercept)
    assert adjusted.apply(low) <= adjusted.apply(high)


def test_the_neutral_adjustment_changes_nothing() -> None:
    assert Adjustment().apply(0.1234) == 0.1234
    assert Adjustment().revert(0.1234) == pytest.approx(0.1234)


@pytest.mark.parametrize("made", [load_detector(), detector()], ids=["shipped", "by hand"])
def test_saved_and_loaded_it_is_the_same(made: Any, tmp_path: Path) -> None:
    file = save_detector(made, tmp_path / "new" / "folder")
    assert load_detector(file) == made
    assert load_detector(file.parent) == made
    assert load_detector(file).figures == made.figures


def _without(*path: str) -> str:
    stored = json.loads(SHIPPED.read_text("utf-8"))
    inner = stored
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return json.dumps(stored)


def _with(key: str, value: object) -> str:
    return json.dumps(json.loads(SHIPPED.read_text("utf-8")) | {key: value})


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        "{",
        "{}",
        "[]",
        "3",
        "[" * 100_000,
        '{"format": 2}',
        _without("curves"),
        _without("segment", "query", "bias"),
        _with("needs", []),
        _with("terms", {"query": 3}),
        _with("curves", {"query/output": [[0.1, "x", 0, 0, 0]]}),
        _with("curves", {"query/output": [[0.1, 0.2]]}),
        _without("curves", "query/output"),
        _without("output", "blind"),
        _without("needs", "query", "text"),
        _without("output", "query", "weights", "lost"),
        _without("needs", "blind", "text", "weights", "share"),
    ],
    ids=lambda text: str(len(text)),
)
def test_a_damaged_file_is_one_clear_error(damaged: str, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(damaged)
    with pytest.raises(ModelError, match=rf"guardrail file {re.escape(str(file))} is .* damaged \(.*\); fit it again"):
        load_detector(file)


def test_bytes_that_are_no_text_are_damage_too(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(ModelError, match="damaged"):
        load_detector(file)


def test_a_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        file = path if path.suffix else path / "config.json"
        with pytest.raises(ModelError, match=rf"{re.escape(str(file))} is missing or damaged \(FileNotFoundError"):
            load_detector(path)


def test_a_file_is_read_once_and_again_when_it_was_written_again(tmp_path: Path) -> None:
    assert load_detector() is load_detector(SHIPPED.parent) is load_detector(SHIPPED)
    file = save_detector(detector(), tmp_path)
    first = load_detector(file)
    assert load_detector(tmp_path) is first == detector()
    save_detector(detector(output_bias=-3.0), tmp_path)
    os.utime(file, ns=(1, 1))  # whatever the file system's clock
    assert load_detector(file) == detector(output_bias=-3.0)
    file.unlink()
    with pytest.raises(ModelError, match="missing"):
        load_detector(file)


@pytest.mark.parametrize("other", [1, 3, "2", None])
def test_another_format_says_what_to_do(other: object, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(_with("format", other))
    with pytest.raises(ModelError, match=r"has format .*, this version reads 2: fit it again"):
        load_detector(file)


@pytest.mark.parametrize("rate", [0, 1, 0.0, 1.0, -0.1, 2, float("nan"), float("inf"), True, "0.02", None])
def test_a_miss_rate_is_a_share(rate: Any) -> None:
    with pytest.raises(ConfigError, match="max_miss_rate"):
        check_miss_rate(rate)
    with pytest.raises(ConfigError, match="max_miss_rate"):
        PerplexityGuardrail(max_miss_rate=rate)


@pytest.mark.parametrize("level", LEVELS)
@PROPERTY
@given(a=RATES, b=RATES)
def test_the_guardrails_limit_rises_with_the_miss_rate(level: Level, a: float, b: float) -> None:
    low, high = (PerplexityGuardrail(max_miss_rate=r) for r in sorted((a, b)))
    for mode in MODES:
        assert low.limit(mode, level) <= high.limit(mode, level)


@pytest.mark.parametrize("level", LEVELS)
def test_a_threshold_stands_in_place_of_the_curve(level: Level) -> None:
    adjusted = {"query": Adjustment(threshold=0.4)}
    assert PerplexityGuardrail(threshold=0.123, adjustments=adjusted).limit("query", level) == 0.123


@pytest.mark.parametrize("threshold", [0.0, -1, 1.01, float("nan")])
def test_a_threshold_is_a_probability(threshold: float) -> None:
    with pytest.raises(ConfigError, match="threshold"):
        PerplexityGuardrail(threshold=threshold)


def test_an_adjusted_threshold_is_of_its_mode_alone() -> None:
    plain = PerplexityGuardrail(detector=detector())
    adjusted = PerplexityGuardrail(detector=detector(), adjustments={"query": Adjustment(1.0, 0.0, 0.35)})
    assert adjusted.limit("query") == 0.35
    assert adjusted.limit("blind") == plain.limit("blind")
    # As many losses as the outputs' limit lets through: 0.05 at 0.35; no less than one harmless in ten comes back.
    assert adjusted.limit("query", "segment") == detector().limit("query", "segment", 0.05)
    assert replace(adjusted.adjustments["query"], threshold=None).apply(0.35) == 0.35


def test_adjustments_are_of_known_modes() -> None:
    with pytest.raises(ConfigError, match=r"'documents'"):
        PerplexityGuardrail(adjustments={"documents": Adjustment()})


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"slope": 0.0}, "slope"),
        ({"slope": -1.0}, "slope"),
        ({"slope": float("nan")}, "slope"),
        ({"slope": float("inf")}, "slope"),
        ({"intercept": float("nan")}, "intercept"),
        ({"threshold": 1.5}, "threshold"),
        ({"threshold": -0.1}, "threshold"),
        ({"threshold": float("nan")}, "threshold"),
    ],
)
def test_an_adjustment_that_orders_nothing_is_refused(settings: dict[str, float], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        Adjustment(**settings)
