import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink import KeepFacts, PerplexityGuardrail
from ctxshrink.guardrails import AllOf
from ctxshrink.guardrails._omission import FEATURES
from ctxshrink.guardrails.detector import Adjustment
from ctxshrink.testing import FakeScorer, call_for, check_guardrail
from ctxshrink.text import units
from ctxshrink.types import Trial
from tests.guardrails.detectors import ANCHOR, MODES, RECOVERY, detector
from tests.strategies import PROPERTY, SENTENCES, texts

INVOICE = "The invoice INV-2291 was sent on 2024-05-13. It is about chairs. The weather was fine."
ANSWER, CHAIRS, WEATHER = ((0, 44), (45, 64), (65, 86))
QUERY = "When was invoice INV-2291 sent?"
TERMS = {"query": ANCHOR, "blind": RECOVERY}
ODD = ("", "\ud800", "\x00", " \n", "\u2028", "…", "[… 3 lines]\n…")
HOSTILE = (*ODD, "a" * 20_000, "1" * 20_000, "{" * 3000, ".\n" * 500)
GUARDRAILS: dict[str, Any] = {
    "shipped": lambda: PerplexityGuardrail(FakeScorer()),
    "by-hand": lambda: PerplexityGuardrail(FakeScorer(), detector=detector(terms=TERMS)),
    "adjusted": lambda: PerplexityGuardrail(FakeScorer(), adjustments={"query": Adjustment(0.5, -1.0, 0.2)}),
    "all-of": lambda: AllOf(KeepFacts(), PerplexityGuardrail(FakeScorer())),
}


def cut(segment: Any, *spans: tuple[int, int], told: bool = True) -> Trial:
    """The trial that keeps these ranges."""
    return Trial(segment, " ".join(segment.text[a:b] for a, b in spans), spans if told else None)


@pytest.mark.parametrize("query", [None, QUERY])
@pytest.mark.parametrize("name", sorted(GUARDRAILS))
def test_contract(name: str, query: str | None) -> None:
    check_guardrail(GUARDRAILS[name](), query=query)


@pytest.mark.parametrize("query", [None, "x", "\ud800", "INV-2 " * 400])
def test_hostile_text_is_judged(query: str | None) -> None:
    guardrail, call = PerplexityGuardrail(FakeScorer()), call_for(HOSTILE, query)
    for after in HOSTILE:
        trials = [Trial(s, after) for s in call.segments]
        for verdict in (*guardrail.check(trials, call), guardrail.check_output(trials, call)):
            assert 0 <= verdict.score <= 1
            assert all(map(math.isfinite, verdict.features.values()))
            assert verdict.reason


@pytest.mark.parametrize("query", [None, "\ud800"])
def test_hostile_pairs_are_judged(query: str | None) -> None:
    guardrail = PerplexityGuardrail(FakeScorer(), detector=detector(terms=TERMS))
    for before, after in itertools.product((*ODD, "a" * 20_000, INVOICE), (*ODD, "a" * 20_000)):
        verdict = guardrail.judge(before, after, query)
        assert 0 <= verdict.score <= 1
        if before.split() == after.split():
            assert verdict.ok


@PROPERTY
@given(docs=st.lists(texts(), min_size=1, max_size=4), after=texts(), query=st.sampled_from([None, QUERY, "\x00"]))
def test_any_replacement_is_judged_and_batch_mates_do_not_matter(
    docs: list[str], after: str, query: str | None
) -> None:
    guardrail, call = GUARDRAILS["by-hand"](), call_for(docs, query)
    trials = [Trial(s, after) for s in call.segments]
    verdicts = guardrail.check(trials, call)
    assert verdicts[::-1] == guardrail.check(trials[::-1], call_for(docs, query))
    assert verdicts == [v for t in trials for v in guardrail.check([t], call_for(docs, query))]
    for verdict in (*verdicts, guardrail.check_output(trials, call)):
        assert 0 <= verdict.score <= 1
        assert all(map(math.isfinite, verdict.features.values()))


@PROPERTY
@given(text=texts(), query=st.sampled_from([None, QUERY]))
def test_identity_and_white_space_are_no_loss(text: str, query: str | None) -> None:
    guardrail = PerplexityGuardrail(FakeScorer(), threshold=1e-9)
    for same in (text, f" \n{text}\t", "\n\n".join(text.split())):
        verdict = guardrail.judge(text, same, query)
        assert (verdict.ok, verdict.score) == (True, 0.0)
        call = call_for([text, "Another text. With two sentences."], query)
        whole = guardrail.check_output([Trial(call.segments[0], same)], call)
        assert (whole.ok, whole.score) == (True, 0.0)


@pytest.mark.parametrize("name", ["shipped", "by-hand"])
def test_losing_what_the_query_is_about_is_riskier_than_losing_filler(name: str) -> None:
    guardrail, call = GUARDRAILS[name](), call_for([INVOICE], QUERY)
    lost, kept = cut(call.segments[0], CHAIRS, WEATHER), cut(call.segments[0], ANSWER, CHAIRS)
    without, with_ = guardrail.check([lost, kept], call)
    assert without.score > with_.score
    assert not without.ok
    assert with_.ok
    assert guardrail.check_output([lost], call).score > guardrail.check_output([kept], call).score


def test_repeated_text_may_go_and_unique_text_may_not() -> None:
    guardrail = PerplexityGuardrail(FakeScorer())
    twice = guardrail.judge("The door is red and heavy. The door is red and heavy.", "The door is red and heavy.")
    once = guardrail.judge(INVOICE, "The weather was fine.")
    assert twice.score < once.score
    assert set(FEATURES) <= set(once.features)


@PROPERTY
@given(
    sentences=st.lists(st.sampled_from(SENTENCES), min_size=2, max_size=8, unique=True),
    flags=st.lists(st.booleans(), min_size=8, max_size=8),
    query=st.sampled_from([None, "When must INV-2291 be paid?"]),
)
def test_a_verbatim_extract_gets_the_same_verdict_without_its_spans(
    sentences: list[str], flags: list[bool], query: str | None
) -> None:
    text = " ".join(sentences)
    spans = [span for span, kept in zip(units(text, "prose"), flags, strict=False) if kept]
    guardrail, call = PerplexityGuardrail(FakeScorer(), threshold=0.5), call_for([text], query)
    told, untold = (cut(call.segments[0], *spans, told=told) for told in (True, False))
    for exact, looked in (
        (guardrail.check([told], call)[0], guardrail.check([untold], call)[0]),
        (guardrail.check_output([told], call), guardrail.check_output([untold], call)),
    ):
        assert exact.ok == looked.ok or abs(exact.score - looked.score) < 0.2


@pytest.mark.parametrize("query", [None, QUERY])
def test_the_order_of_trials_does_not_change_the_outputs_verdict(query: str | None) -> None:
    docs = [INVOICE, "The gauge read 3.75 bar. Nobody touched the valve.", '[{"id": 1, "x": "a"}, {"id": 2, "x": "b"}]']
    verdicts: list[Any] = []
    for order in itertools.permutations(range(3)):
        call = call_for(docs, query)
        trials = [Trial(call.segments[i], docs[i][: len(docs[i]) // 2]) for i in order]
        verdicts.append(GUARDRAILS["shipped"]().check_output(trials, call))
    assert all(v == verdicts[0] and v.features == verdicts[0].features for v in verdicts)


def test_small_losses_add_up() -> None:
    docs = [f"Room {i} costs {i * 37 + 11} euros. Our heron sleeps on one leg." for i in range(6)]
    call, guardrail = call_for(docs), GUARDRAILS["by-hand"]()
    trials = [Trial(s, s.text.split(". ")[1], ((s.text.index("Our"), len(s.text)),)) for s in call.segments]
    scores = [guardrail.check_output(trials[:n], call).score for n in range(7)]
    assert scores == sorted(scores)
    assert scores[0] == 0.0 < scores[1] < scores[6]


def test_an_adjustment_moves_the_outputs_risk_and_the_raw_one_stays_on_record() -> None:
    call = call_for([INVOICE], QUERY)
    trial = cut(call.segments[0], CHAIRS, WEATHER)
    plain = PerplexityGuardrail(FakeScorer()).check_output([trial], call)
    adjusted = PerplexityGuardrail(FakeScorer(), adjustments={"query": Adjustment(1.0, -2.0)})
    moved = adjusted.check_output([trial], call)
    assert moved.score < plain.score == plain.features["raw"] == moved.features["raw"]
    blind = PerplexityGuardrail(FakeScorer(), adjustments={"blind": Adjustment(1.0, -2.0)})
    assert blind.check_output([trial], call) == plain


@pytest.mark.parametrize("query", [None, QUERY])
@pytest.mark.parametrize("output_bias", [-40.0, 0.0])
def test_a_threshold_of_zero_accepts_no_output_that_left_something_out(query: str | None, output_bias: float) -> None:
    none: dict[str, Adjustment] = {mode: Adjustment(threshold=0.0) for mode in MODES}
    guardrail = PerplexityGuardrail(FakeScorer(), detector=detector(output_bias=output_bias), adjustments=none)
    call = call_for([INVOICE], query)
    assert not guardrail.check_output([cut(call.segments[0], ANSWER, CHAIRS)], call).ok
    assert guardrail.check_output([Trial(call.segments[0], f"{INVOICE}\n")], call).ok


def test_the_threshold_can_be_set() -> None:
    lost = "It is about chairs. The weather was fine."
    assert not PerplexityGuardrail(FakeScorer(), threshold=0.01).judge(INVOICE, lost, "chairs?").ok
    assert PerplexityGuardrail(FakeScorer(), threshold=1.0).judge(INVOICE, "", "invoice INV-2291?").ok


def test_an_anchor_serves_where_there_is_no_query() -> None:
    guardrail = PerplexityGuardrail(FakeScorer(), detector=detector(terms=TERMS, output_bias=-30.0))
    verdict = guardrail.judge(INVOICE, "The weather was fine.", anchor="invoice INV-2291")
    assert "anchor" in verdict.features


def test_judge_rejects_what_the_whole_output_may_not_lose() -> None:
    lax = detector(bias=-30.0, output_bias=30.0)
    verdict = PerplexityGuardrail(FakeScorer(), detector=lax).judge(INVOICE, "It is about chairs.", QUERY)
    assert not verdict.ok
    assert verdict.score > 0.9


@pytest.mark.parametrize("query", [None, QUERY])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (INVOICE, INVOICE.replace("2024-05-13", "2024-05-31")),
        ("Room 4 costs 90 euros. Room 7 costs 60 euros.", "Room 4 costs 60 euros. Room 7 costs 90 euros."),
        ("Do not open the valve. The tank is full.", "Do open the valve. The tank is full."),
    ],
)
def test_what_says_something_else_is_rejected_whatever_the_threshold(
    before: str, after: str, query: str | None
) -> None:
    verdict = PerplexityGuardrail(FakeScorer(), threshold=1.0).judge(before, after, query)
    assert (verdict.ok, verdict.score) == (False, 1.0)
    assert verdict.reason.startswith("the compression ")


def test_spans_that_are_not_true_are_looked_into() -> None:
    call = call_for([INVOICE], QUERY)
    [verdict] = PerplexityGuardrail(FakeScorer()).check(
        [Trial(call.segments[0], INVOICE.replace("2291", "2292"), ((0, len(INVOICE)),))], call
    )
    assert not verdict.ok


@pytest.mark.parametrize("dropped", ["not ", "14 ", "2019-04-01 "])
def test_spans_that_cut_a_fact_out_of_a_sentence_are_looked_into(dropped: str) -> None:
    text = "The north gate was not opened on 2019-04-01 by 14 guards. The weather was fine."
    at = text.index(dropped)
    guardrail = PerplexityGuardrail(detector=detector(bias=-20.0, output_bias=-20.0))
    call = call_for([text], None)
    cut = Trial(call.segments[0], text[:at] + text[at + len(dropped) :], ((0, at), (at + len(dropped), len(text))))
    [verdict] = guardrail.check([cut], call)
    assert not verdict.ok
    assert verdict.reason.startswith("the compression ")
    whole = Trial(call.segments[0], text[:57], ((0, 57),))
    assert guardrail.check([whole], call)[0].ok
