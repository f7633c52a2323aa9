from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink import AllOf, ConfigError, KeepFacts, ModelError, PerplexityGuardrail
from ctxshrink.guardrails import RANGES, SHIPPED, Calibration, load_calibrations
from ctxshrink.guardrails.likelihood import MAX_WINDOWS, WINDOW_CHARS, Likelihoods, dropped_text, windows
from ctxshrink.testing import FakeScorer, ScriptedGuardrail, call_for, check_guardrail
from ctxshrink.types import Segment, Trial

INVOICE = "The invoice INV-2291 was sent on 2024-05-13. It is about chairs. The weather was fine."
CALIBRATIONS = {
    "query": Calibration(-3.0, {"anchor": 2.0, "dropped": 0.5, "best": 2.0}, 0.5),
    "blind": Calibration(-1.0, {"dropped": 4.0, "recovery": -2.0}, 0.5),
}
GUARDRAILS: dict[str, Any] = {
    "perplexity": lambda: PerplexityGuardrail(FakeScorer(), calibrations=CALIBRATIONS),
    "facts": KeepFacts,
    "facts-all": lambda: KeepFacts(scope="all"),
    "all-of": lambda: AllOf(KeepFacts(), PerplexityGuardrail(FakeScorer(), calibrations=CALIBRATIONS)),
}


@pytest.mark.parametrize("query", [None, "When was invoice INV-2291 sent?"])
@pytest.mark.parametrize("name", sorted(GUARDRAILS))
def test_contract(name: str, query: str | None) -> None:
    check_guardrail(GUARDRAILS[name](), query=query)


def test_losing_what_the_query_is_about_is_riskier_than_losing_filler() -> None:
    guardrail = GUARDRAILS["perplexity"]()
    query = "When was invoice INV-2291 sent?"
    lost = guardrail.judge(INVOICE, "It is about chairs. The weather was fine.", query)
    kept = guardrail.judge(INVOICE, "The invoice INV-2291 was sent on 2024-05-13.", query)
    assert lost.score > kept.score
    assert not lost.ok
    assert kept.ok
    assert "perplexity" in lost.reason


def test_repeated_text_may_go_and_unique_text_may_not() -> None:
    guardrail = GUARDRAILS["perplexity"]()
    twice = "The door is red and heavy. The door is red and heavy."
    redundant = guardrail.judge(twice, "The door is red and heavy.")
    unique = guardrail.judge(INVOICE, "The weather was fine.")
    assert redundant.features["recovery"] > unique.features["recovery"]
    assert redundant.score < unique.score


def test_whitespace_is_no_loss() -> None:
    assert GUARDRAILS["perplexity"]().judge("a  b\nc", "a b c", "d?").score == 0.0


def test_an_anchor_serves_where_there_is_no_query() -> None:
    verdict = GUARDRAILS["perplexity"]().judge(INVOICE, "The weather was fine.", anchor="invoice INV-2291")
    assert "anchor" in verdict.features


def test_the_threshold_can_be_set() -> None:
    cut = "It is about chairs. The weather was fine."
    strict = PerplexityGuardrail(FakeScorer(), threshold=0.01, calibrations=CALIBRATIONS)
    lax = PerplexityGuardrail(FakeScorer(), threshold=1.0, calibrations=CALIBRATIONS)
    assert not strict.judge(INVOICE, cut, "chairs?").ok
    assert lax.judge(INVOICE, "", "invoice INV-2291?").ok
    with pytest.raises(ConfigError, match="threshold"):
        PerplexityGuardrail(threshold=0.0)


def test_a_batch_is_one_call_to_the_scorer_and_pairs_are_shared() -> None:
    class Counting(FakeScorer):
        calls = 0
        pairs = 0

        def nll(self, pairs: Any, /) -> list[np.ndarray[Any, Any]]:
            self.calls += 1
            self.pairs += len(pairs)
            return super().nll(pairs)

    scorer = Counting()
    call = call_for([INVOICE] * 5, "invoice?")
    PerplexityGuardrail(scorer, calibrations=CALIBRATIONS).check(
        [Trial(s, "The weather was fine.") for s in call.segments], call
    )
    assert (scorer.calls, scorer.pairs) == (1, 2)


def test_windows_hold_all_words_within_the_size() -> None:
    text = " ".join(f"Sentence {i} is here." for i in range(400))
    parts = windows(text)
    assert max(map(len, parts)) <= WINDOW_CHARS
    assert " ".join(parts).split() == text.split()
    assert windows("") == [""]
    assert "".join(windows("x" * 5000)) == "x" * 5000


def test_the_best_window_counts() -> None:
    filler = "Nothing of note happened on that day. " * 120
    text = filler + "The key is under the mat. " + filler
    terms = Likelihoods(FakeScorer())
    terms.want_anchor(text, filler, "key mat")
    terms.want_anchor(text, "The key is under the mat.", "key mat")
    terms.run()
    assert terms.anchor(text, filler, "key mat") == 5.0
    assert terms.anchor(text, "The key is under the mat.", "key mat") == 0.0


def test_a_long_text_is_scored_by_the_windows_that_share_the_querys_words() -> None:
    class Counting(FakeScorer):
        pairs = 0

        def nll(self, pairs: Any, /) -> list[np.ndarray[Any, Any]]:
            self.pairs += len(pairs)
            return super().nll(pairs)

    scorer = Counting()
    filler = " ".join(f"Nothing of note happened on day {i}." for i in range(4000))
    terms = Likelihoods(scorer)
    terms.want_anchor(filler + " The key is under the mat. " + filler, "", "key mat")
    terms.run()
    assert scorer.pairs == MAX_WINDOWS + 1
    assert terms.anchor(filler + " The key is under the mat. " + filler, "", "key mat") == 5.0


def test_dropped_text_is_the_complement_of_the_spans() -> None:
    segment = Segment("0", "one two three four")
    assert dropped_text(Trial(segment, "two", ((4, 7),))) == "one\nthree four"
    assert dropped_text(Trial(segment, "anything")) == segment.text


@pytest.mark.parametrize(
    ("before", "after", "query", "lost"),
    [
        (INVOICE, "The weather was fine.", "What of INV-2291?", "inv-2291"),
        ("Ask Mr Olsen or call Berta Holm today.", "Ask or call today.", "Where is Berta Holm?", "berta holm"),
        ("It costs 1,200 now.", "It costs now.", "Why 1200?", "1200"),
    ],
)
def test_a_needed_fact_must_survive(before: str, after: str, query: str, lost: str) -> None:
    verdict = KeepFacts().judge(before, after, query)
    assert not verdict.ok
    assert lost in verdict.reason


def test_facts_nobody_asked_for_may_go() -> None:
    assert KeepFacts().judge(INVOICE, "It is about chairs.", "What is it about?").ok
    assert not KeepFacts(scope="all").judge(INVOICE, "It is about chairs.", "What is it about?").ok


def test_a_dropped_negation_is_a_lost_fact() -> None:
    strict = KeepFacts(["negation"], scope="all")
    assert not strict.judge("Do not open the valve.", "Open the valve.").ok
    assert strict.judge("Do not open the valve. Thanks.", "Do not open the valve.").ok


def test_an_altered_number_is_noticed() -> None:
    verdict = KeepFacts().judge("It opened in 1998.", "It opened in 1989.", "When?")
    assert not verdict.ok
    assert "1989" in verdict.reason


def test_all_of_rejects_what_one_rejects() -> None:
    call = call_for(["a b c", "d e f"])
    trials = [Trial(s, "a") for s in call.segments]
    both = AllOf(ScriptedGuardrail([True, False]), ScriptedGuardrail([True, True]))
    assert [v.ok for v in both.check(trials, call)] == [True, False]
    assert both.check(trials, call)[0].score == 0.1
    with pytest.raises(ConfigError, match="AllOf"):
        AllOf()


@pytest.mark.parametrize("arguments", [{"kinds": ["smell"]}, {"scope": "some"}])
def test_wrong_settings_are_named(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(arguments))):
        KeepFacts(**arguments)


def test_shipped_thresholds_are_sound_and_documented() -> None:
    for calibration in load_calibrations().values():
        assert 0 < calibration.threshold < 1
        assert calibration.weights
    assert load_calibrations().keys() == {"query", "blind"}
    assert "development half" in (SHIPPED.parent / "CARD.md").read_text("utf-8")


@pytest.mark.parametrize("damaged", ["", "{}", '{"calibrations": {"query": {}}}', "[]"])
def test_a_damaged_calibration_is_one_clear_error(damaged: str, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(damaged)
    with pytest.raises(ModelError, match="calibration"):
        load_calibrations(file)


class Recording(FakeScorer):
    """Keeps the pairs it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.pairs: list[tuple[str, str]] = []

    def nll(self, pairs: Any, /) -> list[np.ndarray[Any, Any]]:
        self.pairs += pairs
        return super().nll(pairs)


@pytest.mark.parametrize("query", [None, "When was invoice INV-2291 sent?"])
@given(
    bias=st.floats(-6, 6),
    term=st.floats(-3, 3),
    best=st.floats(-5, 5),
    limit=st.floats(0.05, 0.95),
    cut=st.integers(0, 3),
)
def test_not_asking_the_model_changes_no_verdict(
    query: str | None, bias: float, term: float, best: float, limit: float, cut: int
) -> None:
    name = "anchor" if query else "recovery"
    calibration = Calibration(bias, {name: term, "best": best, "dropped": 1.0}, limit)
    guardrail = PerplexityGuardrail(FakeScorer(), calibrations={"query": calibration, "blind": calibration})
    kept = ["It is about chairs.", "The invoice INV-2291 was sent on 2024-05-13.", "", "The weather was fine."][cut]
    call = call_for([INVOICE], query)
    trial = Trial(call.segments[0], kept)
    [quick] = guardrail.check([trial], call)
    risk = round(calibration.risk(guardrail.features([trial], call)[0]), 4)
    assert quick.ok == (risk <= limit)
    assert (quick.score <= limit) == quick.ok
    if name in quick.features:
        assert quick.score == risk
    else:
        assert (risk <= quick.score) if quick.ok else (risk >= quick.score)
        assert "whatever the language model says" in quick.reason


def test_the_model_is_asked_only_where_it_can_decide() -> None:
    sure = Calibration(-20.0, {"anchor": 1.0, "best": 0.0, "dropped": 0.0}, 0.5)
    unsure = Calibration(-1.0, {"anchor": 1.0, "best": 0.0, "dropped": 0.0}, 0.5)
    call = call_for([INVOICE], "invoice?")
    trial = Trial(call.segments[0], "The weather was fine.")
    for calibration, asked in ((sure, 0), (unsure, 2)):
        scorer = Recording()
        PerplexityGuardrail(scorer, calibrations={"query": calibration, "blind": calibration}).check([trial], call)
        assert len(scorer.pairs) == asked
    scorer = Recording()
    verdict = PerplexityGuardrail(scorer, calibrations={"query": sure, "blind": sure}).judge(INVOICE, "", "invoice?")
    assert len(scorer.pairs) == 2
    assert "anchor" in verdict.features


@pytest.mark.parametrize("query", [None, "When was invoice INV-2291 sent?"])
def test_a_likelihood_that_is_no_number_rejects(query: str | None) -> None:
    guardrail = PerplexityGuardrail(FakeScorer(known=float("nan"), unknown=float("nan")), calibrations=CALIBRATIONS)
    verdict = guardrail.judge(INVOICE, "The weather was fine.", query)
    assert not verdict.ok
    assert verdict.score == 1.0
    assert "not a number" in verdict.reason


def test_the_models_terms_stay_in_their_ranges() -> None:
    guardrail = PerplexityGuardrail(FakeScorer(unknown=100.0), calibrations=CALIBRATIONS)
    assert guardrail.judge(INVOICE, "The weather was fine.", "INV-2291").features["anchor"] == RANGES["anchor"][1]
