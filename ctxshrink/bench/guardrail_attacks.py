"""Whether a guardrail rejects compressors that do damage on purpose, and accepts changes that do none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ctxshrink.types import Call, OutputGuardrail, Segment, Trial

from .adversaries import DAMAGING, HARMLESS, Case, damaged
from .data import ChatRecord, RagRecord, Record, ToolRecord
from .guardrail_labels import Sharing, SharingShrinker
from .run import at_risk
from .scoring import Haystack
from .stats import clopper_pearson
from .tasks import Task

STRINGS: Final = 2
"""Most needed strings of a record whose segments are attacked."""
COPIES: Final = 4
"""Most segments that may hold such a string; all of them are changed, so that no copy is left."""


@dataclass(frozen=True, slots=True)
class Attack:
    """The segments that hold one needed string, changed; all others of the call are as they were.

    Attributes:
        change: The adversary's name.
        harmful: It is one that does damage, and did.
        source: The set.
        task: Its task.
        rejected: The guardrail rejected one of the segments or the whole output.
        reason: Of the verdict that decided.
    """

    change: str
    harmful: bool
    source: str
    task: str
    rejected: bool
    reason: str


@dataclass(frozen=True, slots=True)
class AttackRow:
    """What a guardrail makes of one adversary.

    Attributes:
        change: The adversary's name.
        harmful: It does damage; only the cases where the damage matters are counted.
        task: Its records' task; ``all`` for all of them.
        cases: Needed strings whose segments were changed.
        right: Those of them that were rejected, or for a harmless change accepted.
        share: Share of them.
        interval: Its exact 95 % interval (Clopper and Pearson).
    """

    change: str
    harmful: bool
    task: str
    cases: int
    right: int
    share: float
    interval: tuple[float, float]


def attack(
    task: Task[Any],
    source: str,
    records: Sequence[Record],
    guardrail: OutputGuardrail,
    step: Callable[[], None] = lambda: None,
) -> list[Attack]:
    """Change the segments that hold what is needed, one needed string at a time, and judge each change.

    Args:
        task: What the records are.
        source: The set's name.
        records: Its records.
        guardrail: The guardrail.
        step: Called after each record.
    """
    sharing = Sharing()
    shrinker = SharingShrinker(sharing, compressors=["lead"])
    found = list[Attack]()
    for number, record in enumerate(records):
        task.shrink(shrinker, record, 0.5)  # For its call: the segments as they are parsed and locked.
        if sharing.call is not None and any(at_risk(task, record, sharing.call.segments)):
            found += _attacks(task, source, record, sharing.call, guardrail, number)
        step()
    return found


def summarize(attacks: Sequence[Attack], pooled: str = "all") -> list[AttackRow]:
    """A row for each change and task, then for each change over all tasks where there are several."""
    tasks = list(dict.fromkeys(a.task for a in attacks))
    found = list[AttackRow]()
    for harmful, changes in ((True, DAMAGING), (False, HARMLESS)):
        for change in changes:
            of_change = [a for a in attacks if a.change == change]
            for name in [*tasks, *([pooled] if len(tasks) > 1 else [])]:
                group = [a for a in of_change if name in (a.task, pooled)]
                if group:
                    found.append(_row(change, harmful, name, group))
    return found


def _row(change: str, harmful: bool, task: str, group: Sequence[Attack]) -> AttackRow:
    right = sum(a.rejected == harmful for a in group)
    return AttackRow(change, harmful, task, len(group), right, right / len(group), clopper_pearson(right, len(group)))


def _attacks(
    task: Task[Any], source: str, record: Record, call: Call, guardrail: OutputGuardrail, seed: int
) -> Iterator[Attack]:
    for segments, cases in _places(record, call, seed):
        for harmful, changes in ((True, DAMAGING), (False, HARMLESS)):
            for name, change in changes.items():
                if name == "query" and not call.query:
                    continue
                texts = [change(case) for case in cases]
                if harmful and not all(damaged(name, c, t) for c, t in zip(cases, texts, strict=True)):
                    continue
                trials = [Trial(s, text) for s, text in zip(segments, texts, strict=True)]
                verdicts = guardrail.check(trials, call)
                bad = [v for v in verdicts if not v.ok]
                if not bad:  # One place that is rejected comes out whole: the string is still there.
                    bad = [v for v in [guardrail.check_output(trials, call)] if not v.ok]
                yield Attack(name, harmful, source, task.name, bool(bad), (bad or verdicts)[0].reason)


def _places(record: Record, call: Call, seed: int) -> Iterator[tuple[list[Segment], list[Case]]]:
    """For the first needed strings the few segments that hold them, all unlocked, and what a change gets of each."""
    searched = [(s, Haystack(s.text)) for s in call.segments if s.kind != "tool_call"]
    wanted = _wanted(record)
    done = set[str]()
    for needed in wanted:
        segments = [s for s, text in searched if text.contains(needed)]
        known = "".join(s.id for s in segments)
        if not 0 < len(segments) <= COPIES or any(s.locked for s in segments) or known in done:
            continue
        done.add(known)
        yield segments, [Case(s.text, call.query or "", (needed,), seed) for s in segments]
        if len(done) == STRINGS:
            return


def _wanted(record: Record) -> list[str]:
    """The needed strings of a record, each in its shortest spelling: where that is gone, the longer ones are too."""
    if isinstance(record, RagRecord):
        spellings = [record.answers] if record.answers else [(s,) for s in record.facts or record.support]
    elif isinstance(record, ToolRecord):
        spellings = list(record.needles)
    elif isinstance(record, ChatRecord):
        spellings = [p.answers for p in record.probes if p.answers]
    else:
        spellings = []
    return list(dict.fromkeys(min(s, key=len) for s in spellings))
