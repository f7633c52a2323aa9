from __future__ import annotations

import math
from typing import Any

import pytest

from ctxshrink.bench.data import RagRecord
from ctxshrink.bench.guardrail_product import BARE, GUARDED, observe, outcomes
from ctxshrink.bench.run import Observation
from ctxshrink.bench.tasks import Rag
from ctxshrink.testing import ScriptedGuardrail

DOCS = tuple(
    {
        "text": f"The roof {i} is high. The gate {i} is open. The pump {i} was replaced. The hall {i} is grey.",
        "title": "",
    }
    for i in range(3)
)


def seen(name: str, method: str, at_risk: int, lost: int, after: int, **actions: int) -> Observation:
    return Observation(
        name, "en", method, 0.5, {}, 120, 120, 100, after, 0, 0, 1.0, actions, at_risk=at_risk, lost=lost
    )


def test_rates_are_those_counted_by_hand() -> None:
    observations = [
        seen("a", GUARDED, 4, 1, 50, compressed=3, fallback=1, locked=2),
        seen("a", GUARDED, 1, 0, 100, fallback=4),
        seen("a", GUARDED, 0, 0, 30, compressed=2),  # nothing to lose: counts for what is saved alone
        seen("a", BARE, 4, 4, 50, compressed=4),
    ]
    guarded, bare = outcomes(observations)
    assert (guarded.source, guarded.keep, guarded.guarded) == ("a", 0.5, True)
    assert (guarded.records, guarded.at_risk, guarded.lost, guarded.records_lost) == (2, 5, 1, 1)
    assert guarded.miss_rate == 0.2
    assert guarded.saved == pytest.approx(1 - 180 / 300)
    assert guarded.fallbacks == 0.5
    assert guarded.interval == (0.0, 0.25)
    low, high = guarded.records_interval
    assert low < 0.5 < high
    assert (bare.guarded, bare.miss_rate, bare.records_lost, bare.fallbacks) == (False, 1.0, 1, 0.0)


def test_sources_are_pooled_by_their_strings() -> None:
    found = outcomes([seen("a", GUARDED, 9, 0, 50), seen("b", GUARDED, 1, 1, 50)])
    assert [(o.source, o.miss_rate) for o in found] == [("a", 0.0), ("b", 1.0), ("all", 0.1)]
    [empty] = outcomes([seen("a", GUARDED, 0, 0, 50)])
    assert math.isnan(empty.miss_rate)
    assert empty.records_interval == (0.0, 1.0)


def test_a_guardrail_that_rejects_all_loses_and_saves_nothing() -> None:
    record = RagRecord("r", "r", "en", "Which roof is high?", DOCS, (), ("gate 1", "pump 2", "absent"), ())
    steps: list[None] = []
    reject_all: Any = ScriptedGuardrail([False] * 1000)
    observations = observe(Rag(), "tiny", [record, record], reject_all, (0.5, 0.2), lambda: steps.append(None))
    assert len(steps) == 2
    found = {(o.keep, o.guarded): o for o in outcomes(observations)}
    assert len(found) == 4
    for keep in (0.5, 0.2):
        assert found[keep, True].at_risk == 4  # two of the three facts stand in the documents, twice
        assert (found[keep, True].lost, found[keep, True].saved) == (0, 0.0)
        assert found[keep, True].fallbacks >= 2 / 3  # a document that was to come out whole is none
        assert found[keep, False].saved >= 1 - keep
    assert found[0.2, False].lost > 0
