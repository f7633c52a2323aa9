from __future__ import annotations

import math

import pytest

from ctxshrink.bench.guardrail_detector import curve, standings
from ctxshrink.bench.guardrail_rows import COSINE, DETECTOR, KEPT, PERPLEXITY, Row
from ctxshrink.bench.tasks import TASKS


def row(
    score: float,
    lost: bool,
    *,
    source: str = "one",
    task: str = "rag",
    record: int = 0,
    weight: float = 1.0,
    ok: bool = True,
    share: float = 0.5,
    read: float = 0.0,
    features: dict[str, float] | None = None,
    **risks: float,
) -> Row:
    named = {DETECTOR: score, KEPT: 1 - score, **risks}
    return Row(source, task, record, "output", lost, share if lost else 0.0, ok, weight, named, features or {}, read)


SOME = [row(0.9, True, ok=False), row(0.4, True), row(0.5, False, ok=False), row(0.1, False), row(0.05, False)]


def test_figures_are_those_counted_by_hand() -> None:
    [found] = standings(SOME)
    assert (found.source, found.level, found.rows, found.losses) == ("one", "output", 5, 2)
    # Of the 6 pairs of a loss and a harmless one, 5 are in order.
    assert found.auroc == pytest.approx(5 / 6)
    assert found.alone[KEPT] == pytest.approx(1 / 6)
    assert found.caught == 0.5  # no harmless one may be rejected of three
    assert (found.rejected, found.rejected_harmless) == (0.5, pytest.approx(1 / 3))
    assert (found.actual, found.estimated) == (pytest.approx(1 / 5), pytest.approx(1.95 / 5))
    assert (found.read, math.isnan(found.detector_on_read)) == (0, True)


def test_weights_count_what_a_row_stands_for() -> None:
    [found] = standings([*SOME[:4], row(0.05, False, weight=8.0)])
    # The harmless one at 0.5 is now one of ten: it may be rejected.
    assert found.caught == 1.0
    assert found.auroc == pytest.approx((10 + 9) / 20)
    assert found.rejected_harmless == pytest.approx(0.1)


def test_features_count_in_their_better_direction_and_what_has_no_number_as_worst() -> None:
    rows = [row(0.5, True, features={"margin": 0.1}, read=1.0) for _ in range(2)] + [
        row(0.5, False, features={"margin": 0.9}, read=1.0) for _ in range(2)
    ]
    rows[0].features[PERPLEXITY], rows[1].features[PERPLEXITY] = math.nan, 2.0
    rows[2].features[PERPLEXITY], rows[3].features[PERPLEXITY] = 3.0, 4.0
    for r in rows:
        r.risks[COSINE] = 0.5
    [found] = standings(rows)
    assert found.alone["margin"] == 1.0
    assert found.alone[PERPLEXITY] == 1.0
    assert found.alone[COSINE] == found.auroc == found.detector_on_read == 0.5
    assert found.read == 4


def test_pools_are_of_several_sources() -> None:
    rows = [
        row(s, lost, source=name, task=task, record=i)
        for name, task in (("a", "rag"), ("b", "rag"), ("c", "chat"))
        for i, (s, lost) in enumerate([(0.9, True), (0.1, False)] * 3)
    ]
    found = {s.source: s for s in standings(rows)}
    assert list(found) == ["a", "b", "c", "rag", "all"]
    assert found["all"].rows == 18
    assert found["all"].auroc == 1.0
    assert found["all"].interval == found["all"].caught_interval == (1.0, 1.0)


def test_without_losses_there_are_no_figures() -> None:
    [found] = standings([row(0.5, False), row(0.1, False)])
    assert math.isnan(found.auroc)
    assert math.isnan(found.caught)
    assert all(map(math.isnan, (*found.interval, *found.caught_interval)))
    assert curve([row(0.5, False)], {"rag": True}) == []


def test_the_curve_goes_from_missing_all_to_rejecting_all() -> None:
    asks = {name: task.asks for name, task in TASKS.items()}
    points = curve(SOME, asks)
    assert [p.mode for p in points] == ["query"] * 6
    assert [p.threshold for p in points] == [0.9, 0.5, 0.4, 0.1, 0.05, -math.inf]
    assert [p.missed for p in points] == [1.0, 0.5, 0.5, 0.0, 0.0, 0.0]
    assert [p.false_fallbacks for p in points] == pytest.approx([0, 0, 1 / 3, 1 / 3, 2 / 3, 1])
    both = curve([*SOME, row(0.3, True, task="chat"), row(0.2, False, task="chat")], asks)
    assert list(dict.fromkeys(p.mode for p in both)) == ["query", "blind", "all"]


def test_a_long_curve_is_thinned_and_keeps_its_ends() -> None:
    rows = [row(i / 5000, i % 3 == 0) for i in range(5000)]
    points = curve(rows, {"rag": True})
    assert 60 < len(points) <= 102
    assert (points[-1].missed, points[-1].false_fallbacks) == (0.0, 1.0)
    assert points[0].false_fallbacks < 0.02
