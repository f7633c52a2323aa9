"""Texts in other words: what they may change, and what they may not."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink import Shrinker
from ctxshrink.bench.adversaries import Case, change_fact, damaged, swap_numbers
from ctxshrink.guardrails.fidelity import Rewording, changes, check_trial
from ctxshrink.testing import WordCounter
from ctxshrink.types import Candidate, Segment, Trial
from tests.strategies import PROPERTY, texts

HARBOUR = (
    "The harbour office moved to Quay Street in 2019. It is a pleasant building with tall windows. "
    "The crane lifts at most 40 tonnes and must not be used in wind above 17 m/s. "
    "Many people like to watch the ships from the terrace. The night shift begins at 22:00 and ends at 06:00. "
    "Invoices such as INV-2291 go to Mara Lindqvist, who pays them within 30 days."
)
ROOMS = "Room 4 costs 90 euros a night. Room 7 costs 60 euros a night. Breakfast is served in the garden all summer."
PUMP = (
    "The pump costs $5 per month in Berlin. It must not be opened before Monday. In 2019 Ann Miller paid 1,480 euros "
    "to Bob Kern. The red valve increased the pressure from 5 to 7 bar. Bob got 70 apples on 3 March. Only admins may "
    "delete the archive, unless the flag is set. Nobody has seen the key since then."
)
ZUG = "Der Zug nach Gera fährt um 9.30 Uhr ab. Er hält nicht in Jena. Die Fahrt kostet 24 Euro und dauert 50 Minuten."
TRAIN = (
    "Le train de Lyon part à 7 h 15. Il ne s'arrête pas à Dijon. Le billet coûte 48 euros et la réservation 3 euros."
)
STOCK = (
    "Invoice INV-2291 was issued to Corvella on 2024-05-13 for 48 units. Invoice INV-2307 was issued to Bramley on "
    "2024-06-02 for 112 units. The warehouse in Ostrava does not accept returns. Payment is due within 30 days."
)
TRUCK = (
    "Truck 9 left Ulm on May 8, 2016 with its former driver and three dogs. Its cargo weighed 12 tonnes in 2016 and 14 "
    "tonnes in 2018. The northern depot is part of the Ostrava group. Bramley runs the southern depot. Temporary staff "
    "sleep in the northern depot, which is often closed. The windows are never cleaned on Sundays. The doors are "
    "painted green."
)

SAME = [
    (HARBOUR, "Harbour office: Quay Street since 2019."),
    (HARBOUR, "Crane: at most 40 tonnes, not in wind above 17 m/s."),
    (HARBOUR, "The crane is limited to 40 tonnes and its use is forbidden when the wind exceeds 17 m/s."),
    (HARBOUR, "Night shift: 22:00 to 06:00."),
    (HARBOUR, "INV-2291 and other invoices: paid by Mara Lindqvist within 30 days."),
    (ROOMS, "Room 4: 90 euros a night; room 7: 60 euros."),
    (ROOMS, "Room 4: 90 euros, room 7: 60 euros"),
    (ROOMS, "A night in room 7 is 60 euros and in room 4 90 euros."),
    (PUMP, "Bob Kern was paid 1,480 euros by Ann Miller in 2019."),
    (PUMP, "Ann Miller paid Bob Kern 1,480 euros in 2019."),
    (PUMP, "Pump: $5/month in Berlin; not to be opened before Monday."),
    (PUMP, "The valve raised pressure from 5 to 7 bar, and Bob received 70 apples on 3 March."),
    (PUMP, "Archive deletion: only by admins, unless the flag is set."),
    (PUMP, "Key: seen by nobody since."),
    (STOCK, "INV-2291: 48 units, 2024-05-13, Corvella.\nINV-2307: 112 units, 2024-06-02, Bramley."),
    (STOCK, "Corvella was billed for 48 units on 2024-05-13 (INV-2291)."),
    (STOCK, "No returns at the Ostrava warehouse; payment within 30 days."),
    (PUMP, "Bob got 70 apples on March 3."),
    (HARBOUR, "Crane: lifts 40 tonnes at most; use in wind above 17 m/s is forbidden."),
    (TRUCK, "Truck 9 left Ulm on 8 May 2016, with the former driver and three dogs."),
    (TRUCK, "Truck 9 left Ulm on May 8, 2016 with its former driver and 3 dogs."),
    (TRUCK, "Its cargo weighed 12 tonnes in 2016 and 14 tonnes in 2018."),
    (TRUCK, "Cargo: 12 tonnes (2016), 14 tonnes (2018)."),
    (TRUCK, "The northern depot is part of the Ostrava group, and Bramley runs the southern one."),
    (ZUG, "Zug nach Gera: 9.30 Uhr, 24 Euro, 50 Minuten, kein Halt in Jena."),
    (TRAIN, "Train de Lyon : départ à 7 h 15, pas d'arrêt à Dijon, billet 48 euros, réservation 3 euros."),
]
OTHER = [
    (HARBOUR, "Crane: at most 17 tonnes.", "swapped"),
    (HARBOUR, "Crane: 40 tonnes, used in wind above 17 m/s.", "negations"),
    (HARBOUR, "Night shift: 06:00 to 22:00.", "swapped"),
    (HARBOUR, "INV-2291: Mara Lindqvist pays within 40 days.", "swapped"),
    (HARBOUR, "Harbour office on Quay Street since 2018.", "altered"),
    (HARBOUR, "Invoices go to Henrik Lindqvist.", "altered"),
    (ROOMS, "Room 4: 60 euros; room 7: 90 euros.", "swapped"),
    (ROOMS, "Room 4: 60 euros, room 7: 90 euros", "swapped"),
    (ROOMS, "A night in room 7 is 90 euros and in room 4 60 euros.", "swapped"),
    (PUMP, "Bob Kern was paid 1,840 euros by Ann Miller in 2019.", "altered"),
    (PUMP, "In 1,480 Ann Miller paid 2019 euros to Bob Kern.", "swapped"),
    (PUMP, "Ann Miller paid Bob Kern 2019 euros in 1,480.", "swapped"),
    (PUMP, "Pump: $5/month in Berlin; to be opened before Monday.", "negations"),
    (PUMP, "The valve raised pressure from 7 to 5 bar.", "swapped"),
    (PUMP, "Bob received 5 apples on 3 March.", "swapped"),
    (PUMP, "Bob did not get 70 apples on 3 March.", "negations"),
    (PUMP, "Key: seen by somebody since.", "negations"),
    (PUMP, "The red valve decreased the pressure from 5 to 7 bar.", "replaced"),
    (TRUCK, "Truck 9 left Ulm on May 8, 2016 with its latter driver and three dogs.", "replaced"),
    (TRUCK, "Its cargo weighed 14 tonnes in 2016 and 12 tonnes in 2018.", "swapped"),
    (TRUCK, "Its cargo weighed 12 tonnes in 2018 and 14 tonnes in 2016.", "swapped"),
    (TRUCK, "The northern depot isn't part of the Ostrava group.", "negations"),
    (TRUCK, "The northern depot is part of the Bramley group.", "swapped"),
    (TRUCK, "Ostrava runs the northern depot, which isn't often closed.", "negations"),
    (TRUCK, "The windows are never cleaned on Sundays, and the doors aren't painted green.", "negations"),
    (TRUCK, "Permanent staff sleep in the northern depot.", "replaced"),
    (STOCK, "INV-2291: 112 units, 2024-05-13, Corvella.", "swapped"),
    (STOCK, "INV-2292: 48 units, 2024-05-13.", "altered"),
    (STOCK, "INV-2291: 48 units, 2024-05-31.", "altered"),
    (STOCK, "The warehouse in Ostrava accepts returns.", "negations"),
    (ZUG, "Zug nach Gera: 9.30 Uhr, Halt in Jena, er hält in Jena.", "negations"),
    (ZUG, "Zug nach Gera: 9.30 Uhr, 50 Euro.", "swapped"),
    (TRAIN, "Train de Lyon : billet 3 euros, réservation 48 euros.", "swapped"),
]


@pytest.mark.parametrize(("original", "text"), SAME)
def test_other_words_are_no_change(original: str, text: str) -> None:
    found = changes(original, text, rewritten=True)
    assert found.ok, found.reason


@pytest.mark.parametrize(("original", "text", "name"), OTHER)
def test_another_fact_is(original: str, text: str, name: str) -> None:
    found = changes(original, text, rewritten=True)
    assert not found.ok
    assert found.features[name] > 0
    assert found.reason


def test_a_trial_says_by_which_rule_it_is_compared() -> None:
    text = "The crane is limited to 40 tonnes and its use is forbidden when the wind exceeds 17 m/s."
    segment = Segment("0", HARBOUR)
    assert check_trial(Trial(segment, text, rewritten=True)).ok
    assert not check_trial(Trial(segment, text)).ok


def test_mostly_other_words_are_another_text() -> None:
    found = changes(HARBOUR, "Little cats sleep quietly beneath some very old wooden table.", rewritten=True)
    assert not found.ok
    assert found.novel > 0.5


def test_the_query_is_no_fact() -> None:
    query = "Which wind is too much for the crane?"
    assert changes(HARBOUR, query, query, rewritten=True).echo


def test_text_without_spaces_between_words_is_compared_strictly() -> None:
    original = "列车于15时30分到达北京。他没有带钥匙，所以等了四十分钟。"
    assert changes(original, "列车于15时30分到达北京。", rewritten=True).ok
    assert not changes(original, "列车于15时30分到达南京。", rewritten=True).ok
    assert not changes(original, "他带钥匙，所以等了四十分钟。", rewritten=True).ok


def test_one_original_can_be_compared_with_many_texts() -> None:
    rewording = Rewording(PUMP)
    for original, text, _ in OTHER:
        if original is PUMP:
            assert rewording.changes(text) == changes(PUMP, text, rewritten=True)


_WORDS = (
    ("lifts", "raises"),
    ("costs", "is priced at"),
    ("moved", "relocated"),
    ("got", "received"),
    ("begins", "starts"),
)


def _reworded(text: str, form: int) -> str:
    """Synonyms, and by form: sentences in reverse order, merged in twos, or without articles and auxiliaries."""
    for old, new in _WORDS:
        text = re.sub(rf"\b{old}\b", new, text)
    parts = re.split(r"(?<=\.) ", text)
    if form == 1:
        parts = parts[::-1]
    if form == 2:
        parts = [
            " and ".join(p.rstrip(".") if k < 1 else p for k, p in enumerate(parts[i : i + 2]))
            for i in range(0, len(parts), 2)
        ]
    if form == 3:
        parts = [" ".join(w for w in p.split() if w.lower() not in {"the", "a", "is", "was"}) for p in parts]
    return "\n".join(parts)


LONG = (HARBOUR, PUMP, STOCK, ROOMS)


@pytest.mark.parametrize("original", LONG)
@pytest.mark.parametrize("form", range(4))
def test_rewordings_pass(original: str, form: int) -> None:
    found = changes(original, _reworded(original, form), rewritten=True)
    assert found.ok, found.reason


def test_one_changed_fact_in_other_words_is_found() -> None:
    """Of all single digits that are changed, and all numbers that change places, at most one in a hundred is missed."""
    missed: list[str] = []
    tried = 0
    for original in LONG:
        for form in range(4):
            for m in re.finditer(r"\d", original):
                other = "9" if m.group() != "9" else "8"
                text = _reworded(original[: m.start()] + other + original[m.end() :], form)
                tried += 1
                if changes(original, text, rewritten=True).ok:
                    missed.append(text)
            for seed in range(4):
                case = Case(original, seed=seed)
                for change in (swap_numbers, change_fact):
                    changed = change(case)
                    if damaged("swap numbers", case, changed):
                        tried += 1
                        if changes(original, _reworded(changed, form), rewritten=True).ok:
                            missed.append(changed)
    assert tried > 400
    assert len(missed) <= tried // 100, missed[:3]


@pytest.mark.parametrize("form", range(4))
@pytest.mark.parametrize(
    ("original", "negation"),
    [(HARBOUR, "not "), (PUMP, "not "), (PUMP, "Only "), (STOCK, "does not "), (HARBOUR, "at most ")],
)
def test_a_dropped_negation_in_other_words_is_found(original: str, negation: str, form: int) -> None:
    text = _reworded(original.replace(negation, "", 1), form)
    assert changes(original, text, rewritten=True).negations


def test_a_compressor_in_other_words_is_believed_by_its_facts() -> None:
    class Writer:
        name = "writer"

        def __init__(self, text: str) -> None:
            self.text = text

        def compress(self, jobs: object, call: object, /) -> list[Candidate]:
            return [Candidate(self.text, rewritten=True)]

    from ctxshrink import PerplexityGuardrail
    from ctxshrink.testing import FakeScorer

    guardrail = PerplexityGuardrail(FakeScorer(), threshold=1.0)
    good, bad = "Room 4: 90 euros. Room 7: 60 euros.", "Room 4: 60 euros. Room 7: 90 euros."
    for text, said in ((good, good), (bad, ROOMS)):
        shrinker = Shrinker(guardrail=guardrail, counter=WordCounter(), compressors=[Writer(text)])
        assert shrinker.shrink_text(ROOMS, keep=0.9).output == said


@PROPERTY
@given(texts(), texts())
def test_any_two_texts_can_be_compared(original: str, text: str) -> None:
    assert changes(original, text, rewritten=True) == changes(original, text, rewritten=True)
    assert changes(original, original, rewritten=True).ok


@pytest.mark.parametrize(
    "piece", ["a", "1", "中", "a ", "1 ", "[… ", "n't ", "not ", "1,", "only 5 ", "x-1:", "no 1; ", "\ud800", "\u2028"]
)
def test_a_long_run_of_anything_ends(piece: str) -> None:
    found = changes(piece * 2000, piece * 1000 + "b", "what is it?", rewritten=True)
    assert found == changes(piece * 2000, piece * 1000 + "b", "what is it?", rewritten=True)


@PROPERTY
@given(st.lists(st.sampled_from(["not", "only", "5", "7", "cats", "dogs", "Ann", ";", ".", ":", "until"]), max_size=40))
def test_any_words_can_be_compared(words: list[str]) -> None:
    changes(PUMP, " ".join(words), rewritten=True)
    changes(" ".join(words), PUMP, rewritten=True)
