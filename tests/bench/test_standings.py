from __future__ import annotations

import math

import pytest

from ctxshrink.bench.run import Observation
from ctxshrink.bench.summary import Summary, summarize


def observe(scores: dict[tuple[str, str], list[float]], lang: dict[str, list[str]] | None = None) -> Summary:
    """Observations from scores by (method, set); languages by set, English where none is given."""
    rows = [
        Observation(name, langs[i], method, 0.25, {"score": value, "answers": value}, 100, 20, 100, 20, 0, 0, 0.1)
        for (method, name), values in scores.items()
        for langs in [(lang or {}).get(name, ["en"] * len(values))]
        for i, value in enumerate(values)
    ]
    return summarize(rows)


def test_the_best_baseline_is_the_one_with_the_best_english_mean() -> None:
    scores = {
        ("ours", "a"): [1.0, 1.0],
        ("ours", "b"): [1.0, 0.0],
        ("ours", "c"): [0.0, 0.0],
        ("bm25", "a"): [1.0, 0.0],
        ("bm25", "b"): [0.0, 0.0],
        ("bm25", "c"): [1.0, 1.0],
        ("lead", "a"): [0.0, 0.0],
        ("lead", "b"): [1.0, 1.0],
        ("lead", "c"): [0.0, 0.0],
    }
    [standing] = observe(scores, {"c": ["de", "de"]}).standings
    assert (standing.keep, standing.baseline) == (0.25, "lead")  # with the German set it would be bm25
    assert (standing.ours, standing.theirs, standing.ratio) == (0.75, 0.5, 0.5)
    assert standing.interval[0] <= 0.5 <= standing.interval[1]


def test_every_english_set_is_held_against_its_own_best_baseline() -> None:
    scores = {
        ("ours", "a"): [0.0] * 20,
        ("ours", "b"): [1.0, 0.0, 1.0, 0.0],
        ("bm25", "a"): [1.0] * 20,
        ("bm25", "b"): [0.0] * 4,
        ("lead", "a"): [0.0] * 20,
        ("lead", "b"): [1.0, 1.0, 1.0, 0.0],
    }
    a, b = observe(scores).set_standings
    assert (a.set_name, a.baseline, a.difference, a.interval, a.records) == ("a", "bm25", -1.0, (-1.0, -1.0), 20)
    assert a.behind
    assert a.beyond_noise
    assert (b.baseline, b.difference) == ("lead", -0.25)
    assert b.behind
    assert not b.beyond_noise  # resamples without the second record show no difference


def test_other_languages_are_held_against_bm25_one_by_one() -> None:
    scores = {
        ("ours", "x"): [1.0, 0.0, 1.0],
        ("bm25", "x"): [1.0, 1.0, 0.0],
        ("lead", "x"): [1.0, 1.0, 1.0],
    }
    de, zh = observe(scores, {"x": ["de", "de", "zh"]}).set_standings
    assert (de.lang, de.baseline, de.difference, de.records) == ("de", "bm25", -0.5, 2)
    assert (zh.lang, zh.baseline, zh.difference, zh.behind) == ("zh", "bm25", 1.0, False)
    del scores["bm25", "x"]
    assert {s.baseline for s in observe(scores, {"x": ["de", "de", "zh"]}).set_standings} == {"lead"}


def test_one_method_alone_stands_nowhere() -> None:
    summary = observe({("ours", "a"): [1.0]})
    assert summary.standings == []
    assert summary.set_standings == []


def test_a_baseline_that_loses_nothing() -> None:
    [standing] = observe({("ours", "a"): [1.0, 0.0], ("bm25", "a"): [1.0, 1.0]}).standings
    assert math.isnan(standing.ratio)
    assert all(math.isnan(end) for end in standing.interval)


@pytest.mark.parametrize("shift", [0.0, 0.25])
def test_a_tie_is_not_behind(shift: float) -> None:
    [row] = observe({("ours", "a"): [shift, 0.5], ("bm25", "a"): [0.5, shift]}).set_standings
    assert row.difference == 0.0
    assert not row.behind


def test_a_baseline_over_the_budget_is_none() -> None:
    def rows(method: str, score: float, over: int = 0) -> list[Observation]:
        scores = {"score": score, "answers": score}
        return [Observation("s", "en", method, 0.25, scores, 100, 20, 100, 20, over, 0, 0.1)] * 4

    found = summarize([*rows("ours", 0.5), *rows("fair", 0.25), *rows("larger", 1.0, over=9)])
    assert [s.baseline for s in found.standings] == ["fair"]
    assert [s.baseline for s in found.set_standings] == ["fair"]
    assert summarize([*rows("ours", 0.5), *rows("larger", 1.0, over=9)]).standings == []
