from __future__ import annotations

from typing import Any

from ctxshrink import PerplexityGuardrail
from ctxshrink.bench.data import RagRecord
from ctxshrink.bench.guardrail_cost import Tally, cost
from ctxshrink.bench.tasks import Rag
from ctxshrink.testing import FakeScorer
from ctxshrink.types import Call, Trial, Verdict

TEXT = "The pump was replaced in May. The gate is open. Visitors like the roof. The canteen serves soup."


def records(count: int) -> list[RagRecord]:
    docs = tuple({"text": f"{TEXT} This is note {i}.", "title": ""} for i in range(3))
    return [
        RagRecord(str(i), str(i), "en", f"When was pump {i} replaced?", docs, ("May",), (), ()) for i in range(count)
    ]


class Asking:
    """Asks its scorer for the query, which all segments share, and for each segment's own text."""

    name = "asking"

    def __init__(self, scorer: Any) -> None:
        self._scorer = scorer

    def check(self, trials: list[Trial], call: Call, /) -> list[Verdict]:
        pairs = dict.fromkeys([("", call.query or ""), *(("", t.segment.text) for t in trials)])
        self._scorer.nll(list(pairs))
        return [Verdict(True, 0.1, "asked") for _ in trials]

    def check_output(self, trials: list[Trial], call: Call, /) -> Verdict:
        return Verdict(True, 0.1, "as a whole")


def test_pairs_that_segments_share_are_asked_more_often_than_scored() -> None:
    make: Any = Asking
    found = cost(Rag(), records(2), make, FakeScorer(), keep=0.5)
    changed = found.scored - 2  # the query once for each of the two calls, and every changed segment
    assert (found.records, found.batches) == (2, 2)
    assert 4 <= changed <= 6
    assert found.asked == 2 * changed
    assert found.tokens > 100
    assert found.bare > 0
    assert 0 < found.checks < found.guarded
    assert found.ratio == found.checks / found.bare
    assert found.median_ratio > 0


def test_the_real_guardrail_is_measured() -> None:
    found = cost(Rag(), records(1), lambda scorer: PerplexityGuardrail(scorer), FakeScorer())
    assert found.checks > 0
    assert found.asked >= found.scored >= 0


def test_a_tally_counts_and_answers() -> None:
    [asked] = Tally(FakeScorer()).nll([("two", "two words")])
    assert asked.tolist() == [1.0, 6.0]
    counted = Tally()
    [nats] = counted.nll([("a", "two words")])
    assert nats.tolist() == [1.0, 1.0]
    counted.nll([("a", "b")] * 3)
    counted.nll([])
    assert (counted.pairs, counted.calls) == (4, 2)
