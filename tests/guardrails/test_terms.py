from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink.guardrails import load_detector
from ctxshrink.guardrails._omission import segment_omissions
from ctxshrink.guardrails._terms import LEFT_CHARS, RANGES, TERMS, term_values
from ctxshrink.guardrails.likelihood import MAX_WINDOWS, WINDOW_CHARS, Likelihoods, dropped_text, windows
from ctxshrink.testing import FakeScorer, call_for
from ctxshrink.types import Segment, Trial
from tests.strategies import PROPERTY, texts

INVOICE = "The invoice INV-2291 was sent on 2024-05-13. It is about chairs. The weather was fine."
DETECTOR = load_detector()


class Recording(FakeScorer):
    """Keeps the pairs it was asked for, call by call."""

    def __init__(self, *nats: float) -> None:
        super().__init__(*nats)
        self.calls: list[list[tuple[str, str]]] = []

    def nll(self, pairs: Any, /) -> list[np.ndarray[Any, Any]]:
        self.calls.append(list(pairs))
        return super().nll(pairs)


def values(scorer: Any, texts: list[str], kept: list[str], query: str | None) -> list[dict[str, float]]:
    call = call_for(texts, query)
    trials = [Trial(s, k) for s, k in zip(call.segments, kept, strict=True)]
    return term_values(scorer, trials, segment_omissions(trials, call, DETECTOR), call)


@pytest.mark.parametrize(("query", "names"), [("INV-2291?", {"anchor", "probe"}), (None, {"recovery", "probe"})])
def test_each_mode_has_its_terms(query: str | None, names: set[str]) -> None:
    [found] = values(FakeScorer(), [INVOICE], ["It is about chairs."], query)
    assert set(found) == names <= set(TERMS) == set(RANGES)


def test_without_a_dropped_fact_there_is_no_probe() -> None:
    [found] = values(FakeScorer(), ["nothing of note. all was quiet."], ["nothing of note."], None)
    assert set(found) == {"recovery"}


@PROPERTY
@given(
    before=texts(),
    after=texts(),
    query=st.sampled_from([None, "What of INV-2291?"]),
    nats=st.tuples(st.sampled_from([0.0, 1e-6, 1.0, 1e6]), st.sampled_from([0.0, 1.0, 100.0, 1e6])),
)
def test_terms_stay_in_their_ranges(before: str, after: str, query: str | None, nats: tuple[float, float]) -> None:
    [found] = values(FakeScorer(*nats), [before], [after], query)
    for name, value in found.items():
        assert RANGES[name][0] <= value <= RANGES[name][1]


@pytest.mark.parametrize("query", [None, "What of INV-2291?"])
@pytest.mark.parametrize("nats", [(float("nan"), float("nan")), (float("inf"), float("inf"))])
def test_what_is_no_number_is_no_term(query: str | None, nats: tuple[float, float]) -> None:
    assert values(FakeScorer(*nats), [INVOICE], ["It is about chairs."], query) == [{}]


@pytest.mark.parametrize("query", [None, "What of INV-2291?"])
def test_a_batch_is_one_call_and_pairs_are_shared(query: str | None) -> None:
    one, five = Recording(), Recording()
    values(one, [INVOICE], ["It is about chairs."], query)
    found = values(five, [INVOICE] * 5, ["It is about chairs."] * 5, query)
    assert len(five.calls) == 1
    assert len(set(five.calls[0])) == len(five.calls[0])
    assert five.calls == one.calls
    assert all(f == found[0] for f in found)


def test_the_probe_asks_for_a_fact_of_what_was_dropped() -> None:
    scorer = Recording()
    first = "word " * 100 + "and the parcel of Mr Brown weighs 3.75 kg."
    values(scorer, [f"{first} It rained."], ["It rained."], None)
    asked = [pair for call in scorer.calls for pair in call if "3.75" in pair[1] and len(pair[1]) < 10]
    assert {target.rstrip(" kg.") for _, target in asked} == {"3.75"}
    left = min((context for context, _ in asked), key=len)
    assert left.endswith("weighs ")
    assert len(left) == LEFT_CHARS
    assert any(context.startswith("It rained.") for context, _ in asked)


def test_a_probe_is_high_where_what_was_kept_tells_the_fact() -> None:
    terms = Likelihoods(FakeScorer())
    left, kept = "The gauge read ", ("It showed 3.75 bar all day.", "It rained all day")
    for text in kept:
        terms.want_probe("3.75", left, text)
    terms.run()
    told, untold = (terms.probe("3.75", left, text) for text in kept)
    assert told > 0.5
    assert untold == 0.0


def test_repeated_text_can_be_recovered_and_unique_text_can_not() -> None:
    twice = "The door is red and heavy. The door is red and heavy."
    [redundant], [unique] = (
        values(FakeScorer(), [twice], ["The door is red and heavy."], None),
        values(FakeScorer(), [INVOICE], ["The weather was fine."], None),
    )
    assert redundant["recovery"] > unique["recovery"]


@PROPERTY
@given(text=st.text(max_size=6000) | texts(), size=st.integers(20, 2000))
def test_windows_are_bounded_and_in_order(text: str, size: int) -> None:
    parts = windows(text, size)
    assert parts
    assert max(map(len, parts)) <= size
    at = 0
    for part in parts:
        at = text.find(part, at)
        assert at >= 0
        at += len(part)


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
    scorer = Recording()
    filler = " ".join(f"Nothing of note happened on day {i}." for i in range(4000))
    terms = Likelihoods(scorer)
    terms.want_anchor(filler + " The key is under the mat. " + filler, "", "key mat")
    terms.run()
    assert len(scorer.calls[0]) == MAX_WINDOWS + 1
    assert terms.anchor(filler + " The key is under the mat. " + filler, "", "key mat") == 5.0


def test_dropped_text_is_the_complement_of_the_spans() -> None:
    segment = Segment("0", "one two three four")
    assert dropped_text(Trial(segment, "two", ((4, 7),))) == "one\nthree four"
    assert dropped_text(Trial(segment, "anything")) == segment.text
    assert dropped_text(Trial(segment, "x", (), "its rendering")) == "its rendering"
