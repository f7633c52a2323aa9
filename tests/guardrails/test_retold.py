"""Which units of an original a text in other words still says, and what the verdict on a whole output makes of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink import KeepRatio, PerplexityGuardrail, Shrinker
from ctxshrink.guardrails._retold import retell
from ctxshrink.testing import FakeScorer, WordCounter, call_for
from ctxshrink.types import Call, Candidate, Job, Trial
from tests.strategies import PROPERTY, texts

UNITS = [
    "The harbour office moved to Quay Street in 2019.",
    "The crane lifts at most 40 tonnes and must not be used in wind above 17 m/s.",
    "The night shift begins at 22:00 and ends at 06:00.",
    "Invoices such as INV-2291 go to Mara Lindqvist, who pays them within 30 days.",
    "Visitors may watch the ships from the wide wooden terrace beside the canteen.",
]
FACTS = [
    "Harbour office: relocated to Quay Street in 2019.",
    "Crane: lifts 40 tonnes at most; use in wind above 17 m/s is forbidden.",
    "Night shift starts at 22:00 and finishes at 06:00.",
    "Mara Lindqvist pays invoices (e.g. INV-2291) within 30 days.",
    "Guests can watch ships from the broad wooden terrace next to the canteen.",
]
OTHERS = [
    "The museum opens at nine. Its oldest boat was built in 1874 by Tomas Hale. Children pay half of the price.",
    "Ferries to the island leave every 40 minutes. The last one leaves at 23:10. Dogs travel free of charge.",
]
OTHER_FACTS = [
    "Museum opening: nine.\nTomas Hale built its oldest boat in 1874.\nChildren pay half the price.",
    "Island ferries leave every 40 minutes.\nLast one: 23:10.\nDogs travel free.",
]


def missing(facts: Sequence[str]) -> list[float]:
    return retell(UNITS, "\n".join(facts)).missing.tolist()


def test_what_is_said_in_other_words_is_kept() -> None:
    assert missing(FACTS) == [0.0] * 5
    assert missing(UNITS) == [0.0] * 5
    assert missing(FACTS[::-1]) == [0.0] * 5
    assert missing(["; ".join(FACTS[:2]), " ".join(FACTS[2:])]) == [0.0] * 5


@pytest.mark.parametrize("gone", range(5))
def test_what_is_left_out_is_not(gone: int) -> None:
    found = missing([fact for i, fact in enumerate(FACTS) if i != gone])
    assert found[gone] == 1.0
    assert sum(found) == 1.0


def test_one_unit_may_become_several_facts() -> None:
    split = ["Crane: lifts at most 40 tonnes.", "Crane: must not be used in wind above 17 m/s."]
    assert missing([FACTS[0], *split, *FACTS[2:]]) == [0.0] * 5


@pytest.mark.parametrize(
    ("fact", "without"),
    [(1, "Crane: lifts at most 40 tonnes."), (2, "Night shift starts at 22:00."), (3, "Invoices such as INV-2291.")],
)
def test_a_unit_without_one_of_its_values_is_not_kept(fact: int, without: str) -> None:
    found = retell(UNITS, "\n".join([*FACTS[:fact], without, *FACTS[fact + 1 :]]))
    assert found.missing[fact] == 1.0
    assert found.lost[fact]


def test_a_name_may_not_go() -> None:
    found = retell(UNITS, "\n".join([*FACTS[:3], "Somebody pays invoices (e.g. INV-2291) within 30 days."]))
    assert found.lost.tolist() == [False, False, False, True, False]


def test_words_that_are_only_left_out_are_missed() -> None:
    found = missing([*FACTS[:4], "Visitors may watch the ships."])
    assert 0 < found[4] < 1


def test_text_without_spaces_between_words_is_kept_word_for_word() -> None:
    units = ["列车于15时30分到达北京。", "他没有带钥匙，所以等了四十分钟。"]
    assert retell(units, units[0]).missing.tolist() == [0.0, 1.0]


def test_nothing_says_nothing() -> None:
    assert missing([""]) == [1.0] * 5
    assert retell([], "Any text.").missing.tolist() == []
    assert retell(["…", "—"], "Any text.").missing.tolist() == [0.0, 0.0]


@PROPERTY
@given(st.lists(texts(), max_size=4), texts())
def test_any_texts_can_be_aligned(units: list[str], text: str) -> None:
    found = retell(units, text)
    assert ((found.missing >= 0) & (found.missing <= 1)).all()
    assert np.array_equal(found.missing, retell(units, text).missing)


@pytest.mark.parametrize("piece", ["a", "1", "中", "a ", "1 ", "not ", "A1 ", "x. ", "5. ", "Ann\n", "Ann 5\n"])
def test_a_long_run_of_anything_ends(piece: str) -> None:
    found = retell([piece * 50] * 200, piece * 5000)
    assert found.missing.shape == (200,)


def output(texts: Sequence[str], query: str | None) -> tuple[Call, list[Trial]]:
    call = call_for([" ".join(UNITS), *OTHERS], query)
    return call, [Trial(s, t, rewritten=True) for s, t in zip(call.segments, texts, strict=True)]


QUERY = "Who pays the invoices?"


@pytest.mark.parametrize("query", [QUERY, None])
def test_a_whole_list_of_facts_is_accepted(query: str | None) -> None:
    call, trials = output(["\n".join(FACTS), *OTHER_FACTS], query)
    verdict = PerplexityGuardrail(FakeScorer()).check_output(trials, call)
    assert verdict.ok, verdict.reason
    assert verdict.features["dropped"] < 0.05


def test_a_list_without_what_is_asked_for_is_rejected() -> None:
    call, trials = output(["\n".join([*FACTS[:3], FACTS[4]]), *OTHER_FACTS], QUERY)
    verdict = PerplexityGuardrail(FakeScorer()).check_output(trials, call)
    assert not verdict.ok
    assert "Mara Lindqvist" in verdict.reason or "INV-2291" in verdict.reason


def test_what_nobody_asks_for_may_go() -> None:
    call, trials = output(["\n".join(FACTS[:4]), *OTHER_FACTS], QUERY)
    verdict = PerplexityGuardrail(FakeScorer(), max_miss_rate=0.1).check_output(trials, call)
    assert verdict.ok, verdict.reason
    assert verdict.features["dropped"] > 0


def test_other_words_are_judged_as_an_extract_that_says_the_same() -> None:
    """The same sentences left out: the score is that of the extract."""
    call, trials = output(["\n".join([FACTS[0], *FACTS[2:]]), *OTHER_FACTS], QUERY)
    start = len(UNITS[0]) + 1
    text = call.segments[0].text
    spans = ((0, len(UNITS[0])), (start + len(UNITS[1]) + 1, len(text)))
    extract = Trial(call.segments[0], " ".join(text[a:b] for a, b in spans), spans)
    guardrail = PerplexityGuardrail(FakeScorer())
    told, cut = guardrail.check_output(trials[:1], call), guardrail.check_output([extract], call)
    assert told.features["dropped"] == cut.features["dropped"]
    assert told.score == pytest.approx(cut.score, abs=0.02)


def test_an_output_that_says_something_else_is_rejected() -> None:
    lie = "\n".join(FACTS).replace("22:00 and finishes at 06:00", "06:00 and finishes at 22:00")
    call, trials = output([lie, *OTHER_FACTS], QUERY)
    guardrail = PerplexityGuardrail(FakeScorer())
    assert not guardrail.check_output(trials, call).ok
    assert not guardrail.check(trials[:1], call)[0].ok


def test_a_whole_list_of_facts_comes_out_of_a_shrinker() -> None:
    class Facts:
        name = "facts"

        def compress(self, jobs: Sequence[Job], call: Call, /) -> list[Candidate]:
            made = dict(zip((" ".join(UNITS), *OTHERS), ("\n".join(FACTS), *OTHER_FACTS), strict=True))
            return [Candidate(made[job.segment.text], rewritten=True) for job in jobs]

    guardrail = PerplexityGuardrail(FakeScorer())
    shrinker = Shrinker(
        policy=KeepRatio(0.95), compressors=[Facts(), "pruner"], guardrail=guardrail, counter=WordCounter()
    )
    result = shrinker.shrink_documents([" ".join(UNITS), *OTHERS], QUERY)
    assert [d.rewritten for d in result.decisions] == [True, True, True]
    assert result.output == ["\n".join(FACTS), *OTHER_FACTS]
