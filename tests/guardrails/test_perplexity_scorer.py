"""When the guardrail asks the language model, and what becomes of a verdict where that fails."""

import logging
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink import PerplexityGuardrail
from ctxshrink.guardrails import MAX_MISS_RATE
from ctxshrink.testing import FakeScorer, call_for
from ctxshrink.types import Trial
from tests.guardrails.detectors import ANCHOR, RECOVERY, detector
from tests.strategies import PROPERTY

INVOICE = "The invoice INV-2291 was sent on 2024-05-13. It is about chairs. The weather was fine."
QUERY = "When was invoice INV-2291 sent?"
TERMS = {"query": ANCHOR, "blind": RECOVERY}


class Recording(FakeScorer):
    """Keeps the pairs it was asked for."""

    def __init__(self, *nats: float) -> None:
        super().__init__(*nats)
        self.calls = 0
        self.pairs: list[tuple[str, str]] = []

    def nll(self, pairs: Any, /) -> list[np.ndarray[Any, Any]]:
        self.calls += 1
        self.pairs += pairs
        return super().nll(pairs)


@pytest.mark.parametrize("query", [None, QUERY])
@PROPERTY
@given(
    bias=st.floats(-6, 6),
    term=st.floats(-3, 3),
    probe=st.floats(-3, 3),
    limit=st.floats(0.05, 0.95),
    kept=st.integers(0, 3),
)
def test_not_asking_the_model_changes_no_verdict(
    query: str | None, bias: float, term: float, probe: float, limit: float, kept: int
) -> None:
    name, mode = ("anchor", "query") if query else ("recovery", "blind")
    terms = {mode: {name: term, "probe": probe}}
    fitted = detector(bias=bias, terms=terms, output_bias=-100.0)
    guardrail = PerplexityGuardrail(FakeScorer(), detector=fitted, threshold=limit)
    text = ["It is about chairs.", "The invoice INV-2291 was sent on 2024-05-13.", "", "The weather was fine."][kept]
    full = guardrail.judge(INVOICE, text, query)  # asks
    call = call_for([INVOICE], query)
    [quick] = guardrail.check([Trial(call.segments[0], text)], call)
    assert quick.ok == full.ok
    assert (quick.score <= limit) == quick.ok
    if name in quick.features:
        assert quick.score == pytest.approx(full.score, abs=2e-4)
    else:
        assert (full.score <= quick.score + 2e-4) if quick.ok else (full.score >= quick.score - 2e-4)


def test_a_risk_that_is_rounded_to_the_limit_is_decided_as_it_is_told() -> None:
    call = call_for([INVOICE], QUERY)
    trial = Trial(call.segments[0], "It is about chairs.")
    terms = {"query": ANCHOR}
    sure = PerplexityGuardrail(FakeScorer(), detector=detector(terms=terms), threshold=1e-9)
    lowest = sure.check([trial], call)[0].score  # the least that the model's terms can lead to, rounded
    scorer = Recording()
    [verdict] = PerplexityGuardrail(scorer, detector=detector(terms=terms), threshold=lowest).check([trial], call)
    assert scorer.calls == 1
    assert verdict.ok == (verdict.score <= lowest)


def undecided(trial: Trial, call: Any) -> float:
    """The risk of a trial without the language model, as the threshold that leaves the verdict to it."""
    [verdict] = PerplexityGuardrail(FakeScorer(), detector=detector()).check([trial], call)
    return verdict.score


def test_the_model_is_asked_only_where_it_can_decide() -> None:
    call = call_for([INVOICE], "invoice?")
    trial = Trial(call.segments[0], "The weather was fine.")
    for threshold, asked in ((1e-9, False), (undecided(trial, call), True), (1.0, False)):
        scorer = Recording()
        guardrail = PerplexityGuardrail(scorer, detector=detector(terms=TERMS), threshold=threshold)
        [verdict] = guardrail.check([trial], call)
        assert bool(scorer.pairs) == asked == ("anchor" in verdict.features)
        guardrail.check_output([trial], call)
        assert scorer.calls == asked
        guardrail.judge(INVOICE, "The weather was fine.", "invoice?")
        assert scorer.calls == asked + 1


@pytest.mark.parametrize("query", [None, QUERY])
def test_a_batch_is_one_call_to_the_scorer_and_pairs_are_shared(query: str | None) -> None:
    one, five = Recording(), Recording()
    for scorer, count in ((one, 1), (five, 5)):
        call = call_for([INVOICE] * 5, query)
        trials = [Trial(s, "The weather was fine.") for s in call.segments[:count]]
        limit = undecided(trials[0], call)
        PerplexityGuardrail(scorer, detector=detector(terms=TERMS), threshold=limit).check(trials, call)
    assert one.calls == five.calls == 1
    assert one.pairs == five.pairs


class Raising(FakeScorer):
    def nll(self, pairs: Any, /) -> list[np.ndarray[Any, Any]]:
        raise OSError(f"cannot score {pairs[0][1]!r}")


class Short(FakeScorer):
    def nll(self, pairs: Any, /) -> list[np.ndarray[Any, Any]]:
        return super().nll(pairs)[1:]


@pytest.mark.parametrize("query", [None, QUERY])
@pytest.mark.parametrize("scorer", [Raising(), Short(), FakeScorer(math.nan, math.nan)], ids=["raise", "short", "nan"])
def test_where_the_model_fails_the_rest_judges(
    scorer: Any, query: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    text, after = "The parcel weighs 3.75 kg. Xyzzy is the word.", "Xyzzy is the word."
    fitted = {"query": {**ANCHOR, "bias": 0.0}, "blind": {**RECOVERY, "bias": 0.0}}
    failing = PerplexityGuardrail(scorer, detector=detector(terms=fitted))
    without = PerplexityGuardrail(FakeScorer(), detector=detector())
    call = call_for([text], query)
    trial = Trial(call.segments[0], after)
    assert failing.judge(text, after, query) == without.judge(text, after, query)
    assert failing.check_output([trial], call) == without.check_output([trial], call)
    assert "xyzzy" not in caplog.text.lower()
    assert "3.75" not in caplog.text
    if not math.isnan(scorer.known):
        assert "judged without the language model" in caplog.text


def test_no_model_is_loaded_before_it_is_needed() -> None:
    guardrail = PerplexityGuardrail(detector=detector())
    guardrail.judge(INVOICE, "The weather was fine.", QUERY)
    assert "None" in repr(guardrail)
    assert f"max_miss_rate={MAX_MISS_RATE}" in repr(guardrail)
    assert "threshold=0.5" in repr(PerplexityGuardrail(threshold=0.5))


def test_what_says_something_else_needs_no_model() -> None:
    scorer = Recording()
    changed = INVOICE.replace("2024-05-13", "2024-05-31")
    assert not PerplexityGuardrail(scorer, detector=detector(terms=TERMS)).judge(INVOICE, changed, QUERY).ok
    assert scorer.calls == 0
