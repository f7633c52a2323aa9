from typing import Any

import pytest

from ctxshrink import PerplexityGuardrail
from ctxshrink.guardrails._reasons import QUOTED
from ctxshrink.testing import FakeScorer, call_for
from ctxshrink.types import Call, Trial, Verdict
from tests.guardrails.detectors import ANCHOR, RECOVERY, detector

INVOICE = "The invoice INV-2291 was sent on 2024-05-13. It is about chairs. The weather was fine."


def checked(texts: list[str], cut: dict[int, str], query: str | None = None, **settings: Any) -> tuple[str, Verdict]:
    """The reason for the first cut text, and the verdict on the output."""
    guardrail = PerplexityGuardrail(FakeScorer(), **{"detector": detector(), **settings})
    call = call_for(texts, query)
    trials = [Trial(call.segments[i], text) for i, text in cut.items()]
    return guardrail.check(trials, call)[0].reason, guardrail.check_output(trials, call)


def test_the_fact_that_the_question_uses_is_named_as_it_is_written() -> None:
    reason, whole = checked([INVOICE], {0: "It is about chairs."}, "When was inv-2291 sent?")
    assert reason.startswith("drops the only mention of 'INV-2291', which the question uses; risk ")
    assert whole.reason.startswith("drops the only mention of 'INV-2291', which the question uses; risk ")


def test_a_recent_turn_may_use_it_too() -> None:
    call = call_for([INVOICE])
    call = Call(call.segments, call.tokens, call.counter, anchor="Please look at INV-2291 again.")
    [verdict] = PerplexityGuardrail(FakeScorer(), detector=detector()).check([Trial(call.segments[0], "")], call)
    assert verdict.reason.startswith("drops the only mention of 'INV-2291', which a recent turn uses")


@pytest.mark.parametrize(("text", "query", "written"), [("It costs 1,200 now.", "Why 1200?", "1,200")])
def test_separators_do_not_hide_a_fact(text: str, query: str, written: str) -> None:
    assert repr(written) in checked([text], {0: ""}, query)[0]


def test_a_fact_that_another_text_has_is_not_the_only_mention() -> None:
    other = "Payment for INV-2291 arrived on 2024-05-13 by cheque."
    reason, whole = checked([INVOICE, other], {0: "It is about chairs."}, "What of INV-2291?")
    assert "only mention" not in reason
    assert "only mention" not in whole.reason
    _, both = checked([INVOICE, other], {0: "It is about chairs.", 1: ""}, "What of INV-2291?")
    assert "the only mention of 'INV-2291'" in both.reason


@pytest.mark.parametrize(
    "other", ["The rent is 1,200 euros.", "The rent is 1\u202f200 euros.", "The rent is １２００ euros."]
)
def test_another_spelling_of_a_number_is_a_mention_too(other: str) -> None:
    texts = ["It costs 1,200 now.", other]
    assert "only mention" not in checked(texts, {0: ""}, "Why 1200?")[0]
    assert "only mention" not in checked(texts, {0: ""})[0]


def test_without_a_question_the_dropped_text_is_quoted_with_its_place() -> None:
    reason, _ = checked([INVOICE], {0: "It is about chairs."})
    assert reason.startswith("drops 'The invoice INV-2291 was sent on 2024-05-13.', number 1 in the ranking, with")
    assert "the only mention of '2024-05-13'" in reason


REPEATED = "Boats leave at dawn. The keys hang here. Boats leave at dawn."


@pytest.mark.parametrize(
    ("query", "where"), [("When do boats leave?", "what was kept or in the question"), (None, "what was kept")]
)
def test_repetition_is_called_repetition(query: str | None, where: str) -> None:
    reason, whole = checked([REPEATED], {0: "The keys hang here. Boats leave at dawn."}, query)
    for told in (reason, whole.reason):
        assert told.startswith(f"drops 34% of the text, only words that also stand in {where}")
        assert "risk" in told


def test_repetition_that_is_the_first_unit_or_a_later_one_is_told_alike() -> None:
    call = call_for([REPEATED])
    for spans in (((21, len(REPEATED)),), ((0, 40),)):
        trial = Trial(call.segments[0], "".join(REPEATED[s:e] for s, e in spans), spans)
        [verdict] = PerplexityGuardrail(FakeScorer(), detector=detector()).check([trial], call)
        assert verdict.reason.startswith("drops 34% of the text, only words that also stand in what was kept; risk ")


def test_a_fact_whose_words_all_stand_elsewhere_is_still_named() -> None:
    text = "The room is A13-7. Block A13 is old. It has 7 rooms. The room is quiet."
    call = call_for([text])
    trial = Trial(call.segments[0], text[19:], ((19, len(text)),))
    [verdict] = PerplexityGuardrail(FakeScorer(), detector=detector()).check([trial], call)
    assert verdict.reason.startswith("drops 'The room is A13-7.', number ")
    assert "with the only mention of 'A13-7'" in verdict.reason


def test_text_that_does_not_get_shorter_drops_no_share() -> None:
    rows = "- Boats leave at dawn.\n- The keys hang here."
    reason, _ = checked([rows], {0: "* Boats leave at dawn.\n* The keys hang here."})
    assert reason.startswith(("drops only words that also stand in what was kept", "nothing but white space"))


def test_long_text_is_cut() -> None:
    reason, _ = checked(["word " * 400 + "end."], {0: ""})
    assert len(reason) < 3 * QUOTED
    assert "…'" in reason


def test_the_risk_is_compared_with_the_limit() -> None:
    low, _ = checked([INVOICE], {0: INVOICE[:-25]}, threshold=0.99)
    assert low.endswith("<= 0.99")
    high, whole = checked([INVOICE], {0: ""}, threshold=0.01)
    assert high.endswith("> 0.01")
    assert whole.reason.endswith(f"risk {whole.score:.2f} > 0.01")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("When was INV-2291 sent?", "the query's perplexity changes by a factor of "),
        (None, "can be told from what was"),
    ],
)
def test_what_the_model_says_is_told(query: str | None, said: str) -> None:
    terms = {"query": ANCHOR, "blind": RECOVERY}
    verdict = PerplexityGuardrail(FakeScorer(), detector=detector(terms=terms, output_bias=-20.0)).judge(
        INVOICE, "It is about chairs.", query
    )
    assert said in verdict.reason
