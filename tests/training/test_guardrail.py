from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from ctxshrink import ConfigError, PerplexityGuardrail
from ctxshrink.cli import app
from ctxshrink.guardrails import load_detector
from ctxshrink.guardrails._needs import FEATURES as UNIT_FEATURES
from ctxshrink.guardrails._omission import FEATURES
from ctxshrink.guardrails._terms import TERMS
from ctxshrink.testing import FakeScorer
from ctxshrink.training.guardrail import LIMITS, curve, fit, leave_one_out, write
from ctxshrink.training.guardrail_data import HARMLESS, OWN_KEEPS, Material, material
from ctxshrink.training.logistic import fit_logistic

Floats = NDArray[np.float64]

FILLER = ("Lunch is served at noon.", "The soup is warm.", "Nobody minds the rain.", "The bread is fresh.")
PLACES = ("hall", "mill", "lock", "barn")


def rag(place: str, i: int) -> dict[str, Any]:
    facts = f"The gate of {place} {i} has the code {7000 + i}. It is painted green. {' '.join(FILLER[: 1 + i % 3])}"
    docs = [{"text": " ".join(FILLER[i % 2 :])}, {"text": facts}, {"text": "The office is closed on Mondays."}]
    query = f"Which code does the gate of {place} {i} have?"
    return {"id": f"{place}{i}", "query": query, "docs": docs, "answers": [str(7000 + i)]}


def chat(place: str, i: int) -> dict[str, Any]:
    said = f"I came to the {place} by train. {FILLER[i % 4]} My locker is number {310 + i}. {FILLER[(i + 1) % 4]}"
    turns = [said, "Thank you, noted. " + " ".join(FILLER), *itertools.islice(itertools.cycle(FILLER), 6)]
    messages = [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(turns)]
    return {"id": f"{place}{i}", "messages": messages, "probes": [{"answers": [str(310 + i)]}]}


def tool(place: str, i: int) -> dict[str, Any]:
    rows = [{"door": f"{place}-{n}", "code": 9000 + 10 * i + n, "state": "open"} for n in range(8)]
    query = f"Which code does the door {place}-{i % 8} have?"
    return {
        "id": f"{place}{i}",
        "query": query,
        "content": json.dumps(rows),
        "needles": [{"answers": [str(9000 + 10 * i + i % 8)]}],
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sources of conversations, two of chunks and one of tool output."""
    folder = tmp_path_factory.mktemp("data")
    for task, make, places in (("rag", rag, PLACES[:2]), ("chat", chat, PLACES[2:]), ("tools", tool, PLACES[:1])):
        (folder / task).mkdir()
        for place in places:
            rows = [make(place, i) for i in range(12)]
            (folder / task / f"{place}s.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return folder


@pytest.fixture(scope="module")
def found(data: Path) -> list[Material]:
    return material(data, limit=3, scorer=FakeScorer())


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def test_without_features_the_bias_is_the_logit_of_the_weighted_mean() -> None:
    y, weight = np.array([1.0, 0.0, 0.25]), np.array([3.0, 1.0, 2.0])
    fitted = fit_logistic(np.zeros((3, 0)), y, weight, [])
    assert fitted.bias == pytest.approx(logit(3.5 / 6), abs=1e-5)
    assert fitted.weights == {}


def test_the_weight_of_a_yes_or_no_feature_is_the_log_odds_ratio() -> None:
    """Saturated model: 1 of 4 losses where the feature is 0, 6 of 8 where it is 1 (in raw units: 0 and 10)."""
    x = np.array([[0.0]] * 4 + [[10.0]] * 8)
    y = np.array([1, 0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0], dtype=np.float64)
    fitted = fit_logistic(x, y, np.ones(12), ["feature"], ridge=1e-9)
    assert fitted.bias == pytest.approx(logit(1 / 4), abs=1e-4)
    assert fitted.weights["feature"] == pytest.approx((logit(6 / 8) - logit(1 / 4)) / 10, abs=1e-4)
    assert fitted.risk(np.array([[0.0], [10.0]])) == pytest.approx([1 / 4, 6 / 8], abs=1e-4)


def test_an_offset_takes_the_place_of_the_bias() -> None:
    x, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0.0, 1.0, 0.0, 1.0])
    plain = fit_logistic(x, y, np.ones(4), ["a"])
    moved = fit_logistic(x, y, np.ones(4), ["a"], offset=np.full(4, 1.5))
    assert moved.bias == pytest.approx(plain.bias - 1.5, abs=1e-4)
    assert moved.weights == pytest.approx(plain.weights, abs=1e-4)


def test_a_share_is_the_same_as_its_parts_with_weights_and_weights_are_relative() -> None:
    shares = fit_logistic(np.array([[0.0], [1.0]]), np.array([0.25, 0.5]), np.array([4.0, 2.0]), ["a"], ridge=1e-9)
    x = np.array([[0.0]] * 4 + [[1.0]] * 2)
    parts = fit_logistic(x, np.array([1.0, 0, 0, 0, 1, 0]), np.full(6, 7.0), ["a"], ridge=1e-9)
    assert shares.bias == pytest.approx(parts.bias, abs=1e-4)
    assert shares.weights == pytest.approx(parts.weights, abs=1e-4)


@given(st.integers(0, 10_000), st.sampled_from((0.1, 1.0, 20.0)), st.floats(0, 4), st.integers(1, 4))
@example(10, 1.0, 4.0, 2)  # whole Newton steps lead ever further away here
def test_the_fit_is_where_the_penalised_likelihood_is_flat(seed: int, ridge: float, spread: float, wide: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(30, wide)) * 10.0 ** rng.integers(-2, 3, wide) + rng.normal(size=wide)
    y, weight = np.append(rng.random(28) < rng.random(), (0.0, 1.0)), rng.random(30) + 0.1
    offset = rng.normal(size=30) * spread
    fitted = fit_logistic(x, y, weight, [str(i) for i in range(wide)], ridge=ridge, offset=offset)
    w = np.array(list(fitted.weights.values()))
    p = 1 / (1 + np.exp(-(fitted.bias + x @ w + offset)))
    error = weight / weight.mean() * (p - y)
    z = (x - x.mean(0)) / x.std(0)
    gradient = np.append(error.sum(), z.T @ error + ridge * w * x.std(0))
    # The model is rounded to six digits, which counts the more the larger a feature is.
    assert np.abs(gradient).max() < 1e-4 * max(1.0, float(np.abs(x).max()))


def test_a_feature_that_never_changes_gets_no_weight() -> None:
    fitted = fit_logistic(np.full((4, 1), 5.0), np.array([0.0, 1.0, 1.0, 1.0]), np.ones(4), ["same"])
    assert fitted.weights == {"same": 0.0}
    assert fitted.bias == pytest.approx(logit(3 / 4), abs=1e-4)


def test_material_is_of_every_task_and_labelled(found: list[Material]) -> None:
    assert {m.source for m in found} == {"rag/halls", "rag/mills", "chat/barns", "chat/locks", "tools/halls"}
    for m in found:
        assert m.mode == ("blind" if m.source.startswith("chat") else "query")
        for units in m.units:
            assert units.x.shape == (len(units.needed), len(UNIT_FEATURES["query" if m.mode == "query" else "blind"]))
            assert units.needed.sum() == 1  # the sentence, or the record, with the answer
            assert units.free.sum() == len(units.group) == len(units.x)
        assert {s.lost for s in m.outputs} == {0.0, 1.0}
        for sample in (*m.segments, *m.outputs):
            sizes = [part.stop - part.start for _, part in sample.places]
            assert sum(sizes) == len(sample.omission.out)


def test_what_lost_the_needed_unit_left_it_out(found: list[Material]) -> None:
    for m in (m for m in found if len(m.units) == 1):
        [needed] = np.flatnonzero(m.units[0].free)[m.units[0].needed]
        for sample in (*m.segments, *m.outputs):
            units = np.concatenate([np.arange(part.start, part.stop) for _, part in sample.places])
            assert (sample.omission.out[units == needed].sum() > 0) == (sample.lost > 0)


def test_harmless_segments_are_drawn_and_stand_for_the_rest(data: Path) -> None:
    rows = [json.loads(line) for line in (data / "rag" / "halls.jsonl").read_text().splitlines()]
    for row in rows:
        row["docs"] += [{"text": " ".join(FILLER[n % 3 :])} for n in range(12)]
    (data / "many" / "rag").mkdir(parents=True)
    (data / "many" / "rag" / "halls.jsonl").write_text("\n".join(map(json.dumps, rows)))
    [m] = material(data / "many", limit=1, pairs=1)
    quiet = [s for s in m.segments if not s.lost]
    assert len(quiet) == HARMLESS * (1 + len(OWN_KEEPS))  # one drawn pair, and the default compressor at each keep
    assert sum(s.weight for s in quiet) > len(quiet)
    assert all(s.weight == 1 for s in m.segments if s.lost)


def test_the_language_model_is_asked_about_some_segments_or_none(data: Path, found: list[Material]) -> None:
    told = [s.terms for m in found for s in m.segments if s.terms is not None]
    assert 0 < len(told) < sum(len(m.segments) for m in found)
    assert {name for terms in told for name in terms} <= set(TERMS)
    without = material(data, limit=1)
    assert all(s.terms is None for m in without for s in m.segments)
    assert all(not terms for terms in fit(without).terms.values())


def test_the_fitted_models_tell_what_was_lost(found: list[Material], tmp_path: Path) -> None:
    detector = fit(found)
    assert detector.needs.keys() == detector.segment.keys() == detector.output.keys() == {"query", "blind"}
    assert all(tuple(m.weights) == FEATURES for m in (*detector.segment.values(), *detector.output.values()))
    for mode in ("query", "blind"):
        for level in ("segment", "output"):
            figures = detector.figures[mode][level]
            assert figures["auroc"] > 0.9
            assert 0 < figures["losses"] < figures["compressions"]
            assert figures["auroc_by_source"].keys() == {m.source for m in found if m.mode == mode}
    write({"all": detector}, tmp_path)
    assert load_detector(tmp_path / "all") == detector
    guardrail = PerplexityGuardrail(FakeScorer(), threshold=0.5, detector=detector)
    record = rag("barn", 3)
    whole, query = " ".join(d["text"] for d in record["docs"]), record["query"]
    answer = "The gate of barn 3 has the code 7003."
    assert not guardrail.judge(whole, whole.replace(answer, ""), query).ok
    assert guardrail.judge(whole, whole.replace("The office is closed on Mondays.", ""), query).ok


def test_a_detector_without_a_source_has_not_seen_it_and_is_whole_in_the_other_mode(
    found: list[Material], tmp_path: Path
) -> None:
    seen: list[str] = []
    detectors = leave_one_out(found, progress=seen.append)
    assert seen == list(detectors) == ["chat/barns", "chat/locks", "rag/halls", "rag/mills", "tools/halls"]
    whole = fit(found)
    assert all(d.output.keys() == {"query", "blind"} for d in detectors.values())
    assert detectors["rag/halls"].needs["blind"] == whole.needs["blind"]
    assert detectors["rag/halls"].output["blind"] == whole.output["blind"]
    sources = detectors["rag/halls"].figures["query"]["output"]["auroc_by_source"]
    assert sources.keys() == {"rag/mills", "tools/halls"}
    others = [m for m in found if m.mode == "query" and m.source != "rag/halls"]
    assert detectors["rag/halls"].needs["query"] == fit(others).needs["query"]
    write(detectors, tmp_path)
    assert load_detector(tmp_path / "rag" / "halls" / "config.json") == detectors["rag/halls"]


def test_a_source_that_has_a_class_alone_cannot_be_left_out(found: list[Material]) -> None:
    locks = [m for m in found if m.source == "chat/locks"]
    quiet = [
        Material(m.source, m.mode, m.units, *(tuple(s for s in of if not s.lost) for of in (m.segments, m.outputs)))
        for m in found
        if m.source == "chat/barns"
    ]
    assert fit(locks + quiet).figures["blind"]["output"]["losses"] > 0
    with pytest.raises(ConfigError, match=r"0 losses in \d+ compressions of chat/barns; both classes are needed"):
        leave_one_out(locks + quiet)
    with pytest.raises(ConfigError, match="both classes are needed"):
        fit([*quiet, *(Material("chat/other", m.mode, m.units, m.segments, m.outputs) for m in quiet)])


def test_one_source_of_a_mode_cannot_be_tested_on_another(found: list[Material]) -> None:
    with pytest.raises(ConfigError, match="1 blind source"):
        fit([m for m in found if m.source != "chat/locks"])
    with pytest.raises(ConfigError, match="no record has text that is needed"):
        fit([])


@given(st.integers(0, 10_000), st.integers(1, 6))
def test_curves_never_fall_where_more_is_accepted(seed: int, sources: int) -> None:
    rng = np.random.default_rng(seed)
    source = np.array([f"s{i}" for i in rng.integers(0, sources, 200)])
    lost: Floats = np.append(rng.choice([0.0, 0.3, 1.0], 198), (0.0, 1.0))
    points = curve(rng.random(200) ** 4, lost, source, rng.random(200) + 0.1)
    assert tuple(p.limit for p in points) == LIMITS
    for a, b in itertools.pairwise(points):
        assert a.missed <= b.missed
        assert a.average <= b.average
        assert a.false_fallbacks >= b.false_fallbacks
        assert a.caught >= b.caught


def test_the_curve_says_what_is_lost_just_below_each_limit() -> None:
    """Three sources, twenty compressions each at a risk of 0.09, of which 1, 2 and 3 in ten lost everything."""
    source = np.repeat(["a", "b", "c"], 20)
    lost = np.concatenate([np.arange(20) < 2 * n for n in (1, 2, 3)]).astype(np.float64)
    points = {p.limit: p for p in curve(np.full(60, 0.09), lost, source, np.ones(60))}
    assert points[0.07].missed == 0.0
    assert points[0.1].average == pytest.approx(0.2)
    assert points[0.1].missed == pytest.approx(0.28)  # nine sources in ten: 0.9 of the way from 0.1 to 0.3
    assert (points[0.07].false_fallbacks, points[0.07].caught) == (1.0, 1.0)
    assert (points[0.1].false_fallbacks, points[0.1].caught) == (0.0, 0.0)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["train", "guardrail", *arguments], env={"COLUMNS": "200", "NO_COLOR": "1"})


def test_the_command_writes_the_models_and_those_without_each_set(data: Path, tmp_path: Path) -> None:
    out, crossed = tmp_path / "out", tmp_path / "crossed"
    done = run("--data", str(data), "--out", str(out), "--limit", "2", "--no-scored", "--crossed", str(crossed))
    assert done.exit_code == 0, done.output
    assert "config.json" in done.stdout
    assert load_detector(out).output.keys() == {"query", "blind"}
    made = sorted(str(f.relative_to(crossed)) for f in crossed.rglob("config.json"))
    sets = ("chat/barns", "chat/locks", "rag/halls", "rag/mills", "tools/halls")
    assert made == [f"{name}/config.json" for name in sets]
    assert load_detector(crossed / "chat" / "barns").output.keys() == {"query", "blind"}


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda _: None, "no folder rag, chat, tools in it"),
        (lambda f: (f / "rag").mkdir(), "no .jsonl file"),
        (lambda f: [(f / "rag").mkdir(), (f / "rag" / "a.jsonl").write_text("{}")], 'a.jsonl:1: the field "docs"'),
    ],
)
def test_data_that_is_none_is_one_clear_line(tmp_path: Path, make: Any, says: str) -> None:
    (tmp_path / "data").mkdir()
    make(tmp_path / "data")
    done = run("--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--no-scored")
    assert done.exit_code == 2, done.output
    assert done.stderr.startswith("error: ")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out" / "config.json").exists()
