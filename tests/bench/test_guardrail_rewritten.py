"""The bench of texts in other words: what it makes of a text, and what it counts."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from ctxshrink.bench._rewording import DAMAGES, reword
from ctxshrink.bench.data import RagRecord
from ctxshrink.bench.guardrail_rewritten import (
    COMPLETE,
    EXTRACTS,
    FACTS,
    TEXTS,
    WITHOUT,
    Retelling,
    retell_all,
    summarize,
)
from ctxshrink.guardrails.fidelity import changes
from ctxshrink.testing import ScriptedGuardrail
from ctxshrink.types import Call, Trial, Verdict

HALL = [
    "The hall of Bramley was built in 1931 because the old barn had burnt down.",
    "Mara Lindqvist, who led the works, bought three bells for 480 euros in Ostrava.",
    "The largest bell weighs 1,240 kg and is not rung on March 3, 1940 or later.",
    "Tomas Hale (born in Corvella) painted the northern wall; his brother Bob Kern built the stairs.",
]
GARDEN = "The garden behind the school has two ponds. Frogs live in both of them all summer. Nobody feeds the fish."


@pytest.mark.parametrize("seed", range(60))
def test_rewording_changes_words_and_no_value(seed: int) -> None:
    made = "\n".join(reword(HALL, seed))
    assert made != "\n".join(HALL)
    for value in ("1931", "480", "1,240", "1940", "Mara Lindqvist", "Tomas Hale", "Bob Kern", "not rung"):
        assert value in made
    assert made == "\n".join(reword(HALL, seed))


def test_rewordings_are_faithful_and_damages_are_not() -> None:
    text = " ".join(HALL)
    assert changes(text, "\n".join(reword(HALL, 1)), rewritten=True).ok
    for name, damage in DAMAGES.items():
        changed = [damage(fact, random.Random(3)) for fact in HALL]
        at = next(i for i, fact in enumerate(HALL) if changed[i] != fact)
        lie = [*HALL[:at], changed[at], *HALL[at + 1 :]]
        assert not changes(text, "\n".join(reword(lie, 1)), rewritten=True).ok, name


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damage_without_a_place_is_none(name: str) -> None:
    assert DAMAGES[name]("no words here", random.Random(1)) in ("no words here", "words here")
    assert DAMAGES[name]("", random.Random(1)) == ""


def record(answer: str = "Mara Lindqvist") -> RagRecord:
    docs = tuple({"text": text, "title": ""} for text in (" ".join(HALL), GARDEN, "Short."))
    return RagRecord("1", "1", "en", "Who led the works?", docs, (answer,), (), (), False)


class Seeing(ScriptedGuardrail):
    """Accepts everything and notes the whole outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: list[Sequence[Trial]] = []

    def check_output(self, trials: Sequence[Trial], call: Call, /) -> Verdict:
        self.outputs.append(trials)
        return Verdict(True, 0.0, "fine")


def test_each_record_is_judged_whole_and_without_what_it_needs() -> None:
    guardrail = Seeing()
    counted: list[int] = []
    found = retell_all("rag/halls", [record()], guardrail, lambda: counted.append(1))
    assert counted == [1]
    whole, told, cut = guardrail.outputs
    assert [len(whole), len(told), len(cut)] == [2, 1, 1]
    assert all(t.rewritten for t in (*whole, *told))
    assert "Mara Lindqvist" in whole[0].text
    assert "Mara Lindqvist" not in told[0].text
    assert "Tomas Hale" in told[0].text
    assert cut[0].text == "\n".join([HALL[0], *HALL[2:]])
    assert {r.what for r in found} == {COMPLETE, TEXTS, FACTS, WITHOUT, EXTRACTS, *DAMAGES}
    assert [r.rejected for r in found if r.what in (WITHOUT, EXTRACTS)] == [False, False]


def test_what_is_needed_nowhere_is_not_left_out() -> None:
    found = retell_all("rag/halls", [record("forty-two")], Seeing())
    assert {r.what for r in found}.isdisjoint({WITHOUT, EXTRACTS})


def test_rows_count_what_was_judged_rightly() -> None:
    found = [Retelling(TEXTS, False, "s", i == 0, "") for i in range(4)]
    found += [Retelling(WITHOUT, True, "s", True, "")] * 3
    accepted, rejected = summarize(found)
    assert (accepted.what, accepted.cases, accepted.right, accepted.share) == (TEXTS, 4, 3, 0.75)
    assert (rejected.what, rejected.cases, rejected.right) == (WITHOUT, 3, 3)
    assert rejected.interval[1] == 1.0
    assert summarize([]) == []
