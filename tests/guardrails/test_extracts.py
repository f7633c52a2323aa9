"""Extracts are judged as when the shipped models were fitted: their scores were written down before texts in other
words got a rule of their own."""

from __future__ import annotations

import pytest

from ctxshrink import PerplexityGuardrail
from ctxshrink.testing import FakeScorer, call_for
from ctxshrink.text import units
from ctxshrink.types import Call, Trial

HARBOUR = (
    "The harbour office moved to Quay Street in 2019. The crane lifts at most 40 tonnes and must not be used in wind "
    "above 17 m/s. The night shift begins at 22:00 and ends at 06:00. Invoices such as INV-2291 go to Mara Lindqvist, "
    "who pays them within 30 days. Visitors may watch the ships from the wide wooden terrace beside the canteen."
)
MUSEUM = "The museum opens at nine. Its oldest boat was built in 1874 by Tomas Hale. Children pay half of the price."
QUERY = "Who pays the invoices?"
KEPT: dict[str, list[tuple[int, tuple[int, ...]]]] = {
    "needed": [(0, (0, 1, 2, 4))],
    "other": [(0, (0, 1, 3))],
    "both": [(0, (3,)), (1, (1,))],
}
"""By name the segments that are cut and the sentences that each keeps."""
WERE = [
    (QUERY, "needed", 0.5308, [0.3735]),
    (QUERY, "other", 0.1551, [0.2606]),
    (QUERY, "both", 0.3601, [0.431, 0.0312]),
    (QUERY, "loose", 0.7219, [1.0]),
    (None, "needed", 0.0981, [0.2042]),
    (None, "other", 0.0319, [0.131]),
    (None, "both", 0.484, [0.6983, 0.1798]),
    (None, "loose", 0.5844, [1.0]),
]


def extract(call: Call, place: int, kept: tuple[int, ...]) -> Trial:
    segment = call.segments[place]
    every = units(segment.text, "prose")
    spans = tuple(every[i] for i in kept)
    return Trial(segment, " ".join(segment.text[a:b] for a, b in spans), spans)


@pytest.mark.parametrize(("query", "name", "output", "segments"), WERE)
def test_scores_are_as_they_were(query: str | None, name: str, output: float, segments: list[float]) -> None:
    call = call_for([HARBOUR, MUSEUM], query)
    trials = [extract(call, place, kept) for place, kept in KEPT.get(name, [])]
    if name == "loose":  # of a compressor that does not say what it kept
        trials = [Trial(call.segments[0], "The crane lifts 40 tonnes. Invoices go to Mara Lindqvist.")]
    guardrail = PerplexityGuardrail(FakeScorer())
    assert guardrail.check_output(trials, call).score == pytest.approx(output, abs=2e-4)
    assert [v.score for v in guardrail.check(trials, call)] == pytest.approx(segments, abs=2e-4)
