from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ctxshrink.bench.adversaries import DAMAGING, HARMLESS
from ctxshrink.bench.data import ChatRecord, Probe, RagRecord, ToolRecord
from ctxshrink.bench.guardrail_attacks import AttackRow, attack, summarize
from ctxshrink.bench.tasks import Chat, Rag, Tools
from ctxshrink.types import Call, Trial, Verdict

TEXT = "The gate is not open. Pump 17 was replaced on 3 May 2023. It cost 250 euros. Nobody saw it."
RAG = RagRecord(
    "r",
    "r",
    "en",
    "When was the pump replaced?",
    ({"text": TEXT, "title": ""}, {"text": "The hall is grey. The roof is high.", "title": ""}),
    ("3 May 2023", "on 3 May 2023"),
    (),
    (),
)


class Strict:
    """Rejects whatever is not the same words, by segment or as a whole."""

    name = "strict"

    def __init__(self, *, segments: bool = True, output: bool = True) -> None:
        self.segments, self.output = segments, output
        self.batches: list[list[Trial]] = []

    def _same(self, trial: Trial) -> bool:
        return trial.text.split() == trial.basis.split()

    def check(self, trials: Sequence[Trial], call: Call, /) -> list[Verdict]:
        self.batches.append(list(trials))
        return [Verdict(not self.segments or self._same(t), 0.5, "segment") for t in trials]

    def check_output(self, trials: Sequence[Trial], call: Call, /) -> Verdict:
        return Verdict(not self.output or all(map(self._same, trials)), 0.5, "whole")


def attacked(guardrail: Any, record: Any = RAG, task: Any = None) -> dict[str, AttackRow]:
    found = attack(task or Rag(), "tiny", [record], guardrail)
    return {r.change: r for r in summarize(found)}


def test_every_adversary_is_tried_once_where_its_damage_matters() -> None:
    strict = Strict()
    rows = attacked(strict)
    assert {r.change for r in rows.values() if not r.harmful} == set(HARMLESS)
    assert set(rows) - set(HARMLESS) <= set(DAMAGING)
    # The text has numbers, a negation, and needs its second sentence.
    for name in ("drop numbers", "swap numbers", "drop negations", "first sentence", "query", "empty", "change a fact"):
        assert (rows[name].cases, rows[name].right, rows[name].share) == (1, 1, 1.0), name
        assert rows[name].interval[0] < 0.1
    assert (rows["identity"].share, rows["white space"].share, rows["lower case"].share) == (1.0, 1.0, 0.0)
    # Only the document that holds the answer is changed.
    assert {t.segment.text for batch in strict.batches for t in batch} == {TEXT}


def test_a_rejection_of_the_whole_output_counts() -> None:
    assert attacked(Strict(segments=False))["empty"].share == 1.0
    accepted = attacked(Strict(segments=False, output=False))
    assert (accepted["empty"].right, accepted["empty"].share, accepted["bullets"].share) == (0, 0.0, 1.0)


def test_all_copies_of_a_string_are_changed_and_locked_ones_spare_it() -> None:
    filler = [{"role": r, "content": f"Note {i}: the hall is grey."} for i in range(4) for r in ("user", "assistant")]
    told = [{"role": "user", "content": TEXT}, {"role": "assistant", "content": f"You said: {TEXT}"}]
    probes = (Probe(("Pump 17",), (0,), False), Probe(("hall is grey",), (3,), True))
    strict = Strict()
    rows = attacked(strict, ChatRecord("c", "c", "en", (*told, *filler), probes), Chat())
    assert {len(batch) for batch in strict.batches} == {2}
    assert rows["empty"].cases == 1  # "hall is grey" also stands in the newest turns
    assert "query" not in rows  # nobody has asked yet


def test_a_tool_output_is_attacked_and_tasks_are_pooled() -> None:
    tool = ToolRecord("t", "t", "en", "Which batch failed?", TEXT, (("Pump 17",), ("250 euros",)))
    hits = [*attack(Tools(), "logs", [tool], Strict()), *attack(Rag(), "docs", [RAG], Strict())]  # type: ignore[arg-type]
    rows = {(r.change, r.task): r.cases for r in summarize(hits)}
    # Both needles stand in one segment, which is attacked once.
    assert (rows["empty", "tools"], rows["empty", "rag"], rows["empty", "all"]) == (1, 1, 2)


def test_a_record_that_can_lose_nothing_is_left_alone() -> None:
    assert attacked(Strict(), RagRecord("r", "r", "en", "q", RAG.docs, ("Paris",), (), ())) == {}
