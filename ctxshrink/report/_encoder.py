"""Calls as lines of a trace: each distinct text and decision once, each call by what is new in it."""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final, NamedTuple, cast

from ctxshrink.economics import Economics
from ctxshrink.messages import locks
from ctxshrink.prefix.rewriting import FROZEN, WAITING
from ctxshrink.report import _records as records
from ctxshrink.report._records import Record
from ctxshrink.result import ShrinkResult
from ctxshrink.types import Decision

_MOST: Final = 256
"""Conversations whose last call is remembered; of one that was forgotten the next call is written whole."""
_PASSING: Final = frozenset((locks.NEWEST_USER, locks.CACHED, locks.PINNED))
_RECENT: Final = re.compile(r"among the ([0-9]{1,6}) newest turns")
_STARTERS: Final = frozenset(("user", "assistant", "tool_call", "document"))


class Line(NamedTuple):
    """A line of a trace, and the hash of the text or decision that it holds; "" for a call."""

    key: str
    text: str


class Entry(NamedTuple):
    """A segment in a call: its decision, and the turn that it belongs to (the call's turns less its age)."""

    key: str
    turn: int
    record: Record


@dataclass(slots=True)
class _Thread:
    """What is remembered of a conversation: its last call.

    Attributes:
        number: That call's number; 0 where it is of an earlier run.
        turns: Turns that had started by then.
        entries: Its segments.
        chain: Hash of all originals.
        places: Where each segment stands, by id.
        totals: Tokens before and after.
        output: The messages that came out: the next call of a `Conversation` gives out the same objects.
    """

    number: int
    turns: int
    entries: list[Entry]
    chain: bytes
    places: dict[str, int]
    totals: tuple[int, int]
    output: tuple[object, ...] = ()


class Encoder:
    """Turns the results of one recorder, in order, into lines.

    A result of `Conversation.extend` has decisions on what is new alone. It is completed with what the conversation
    was before, which is recognised by the number of its tokens, and by its messages where that leaves a choice. Where
    it is not, the call is marked as incomplete.

    Args:
        run: Names the recorder.
    """

    def __init__(self, run: str) -> None:
        self.run = run
        self._calls = 0
        self._next = 0
        self._threads: OrderedDict[int, _Thread] = OrderedDict()
        self._chains: dict[bytes, int] = {}
        self._given: set[bytes] = set()

    def restart(self, run: str) -> None:
        """Begin a run whose calls go on from none before, and which gives out every line anew."""
        self.run, self._calls = run, 0
        self._given.clear()
        for thread in self._threads.values():
            thread.number = 0

    def header(self) -> str:
        """The line that comes before the first call."""
        return records.line_of({"trace": records.NAME, "version": records.VERSION, "run": self.run})

    def encode(
        self, result: ShrinkResult[Any], economics: Economics | None = None, window: int | None = None
    ) -> list[Line]:
        """The lines of a call; those with a key need be in a trace only once, and are given once.

        Args:
            result: The call's result.
            economics: What tokens cost in it, if known.
            window: The newest turns that stay exact, if known.
        """
        lines: list[Line] = []

        def keep(text: str) -> str:
            key = records.key_of(text)
            if self._new(key):
                lines.append(Line(key, records.line_of({"text": key, "value": text})))
            return key

        found = [records.decision_record(d, keep) for d in result.decisions]
        turns = max((d.segment.age for d in result.decisions), default=0)
        whole = sum(r["before"] for r in found) == result.tokens_before
        base: _Thread | None = None
        if whole:
            made = [self._entry(r, turns - d.segment.age, lines) for r, d in zip(found, result.decisions, strict=True)]
            number, base, chain = self._known(made)
        else:
            number, base = self._earlier(result, found)
            made, turns = self._completed(base, result.decisions, found, window, lines)
            chain = b"" if base is None else _chained(made)[-1]
        query = None if result.query is None else keep(result.query)
        self._calls += 1
        before = list[Entry]()
        if base is not None and base.number:
            before = base.entries
        elif base is not None:
            made = [self._entry(e.record, e.turn, lines) for e in made]
        changed = [
            [i, e.key, e.turn] for i, e in enumerate(made) if i >= len(before) or (e.key, e.turn) != before[i][:2]
        ]
        call = {
            "run": self.run,
            "number": self._calls,
            "thread": number,
            "after_call": (base.number or None) if base is not None else None,
            "query": query,
            "goal": {
                "keep": result.goal.keep,
                "max_tokens": result.goal.max_tokens,
                "lossless": result.goal.lossless,
            },
            "counter": result.counter,
            "exact": result.exact,
            "mode": result.mode,
            "seconds": result.seconds,
            "before": int(result.tokens_before),
            "after": int(result.tokens_after),
            "risk": float(result.risk),
            "warnings": list(result.warnings),
            "economics": records.economics_record(economics),
            "turns": turns,
            "length": len(made),
            "set": changed,
            "whole": _totals(made) == (result.tokens_before, result.tokens_after),
        }
        lines.append(Line("", records.line_of({"call": call})))
        if number is not None:
            output = _messages(result.output)
            places = {e.record["id"]: i for i, e in enumerate(made)}
            self._remember(number, _Thread(self._calls, turns, made, chain, places, _totals(made), output))
        return lines

    def _entry(self, record: Record, turn: int, lines: list[Line]) -> Entry:
        key = records.key_of(records.line_of(record))
        if self._new(key):
            lines.append(Line(key, records.line_of({"decision": key, **record})))
        return Entry(key, turn, record)

    def _new(self, key: str) -> bool:
        """Whether a text or decision is given out for the first time."""
        packed = bytes.fromhex(key)
        if packed in self._given:
            return False
        self._given.add(packed)
        return True

    def _known(self, made: Sequence[Entry]) -> tuple[int | None, _Thread | None, bytes]:
        """The conversation that a whole input goes on with, or a new one; documents belong to none."""
        if all(e.record["kind"] == "document" for e in made):
            return None, None, b""
        chain = _chained(made)
        number = next((self._chains[c] for c in reversed(chain) if c in self._chains), None)
        if number is not None:
            return number, self._threads[number], chain[-1]
        self._next += 1
        return self._next, None, chain[-1]

    def _earlier(self, result: ShrinkResult[Any], found: Sequence[Record]) -> tuple[int | None, _Thread | None]:
        """The conversation that a result on new texts alone goes on with."""
        matches: list[tuple[int, _Thread]] = []
        for number, thread in reversed(self._threads.items()):
            before, after = thread.totals
            for record in found:
                place = thread.places.get(record["id"])
                old = {"before": 0, "after": 0} if place is None else thread.entries[place].record
                before, after = before + record["before"] - old["before"], after + record["after"] - old["after"]
            if (before, after) == (result.tokens_before, result.tokens_after):
                matches.append((number, thread))
        if len(matches) > 1:
            output = _messages(result.output)
            given = {id(m) for m in output}
            ours = [any(id(m) in given for m in t.output) for _, t in matches]
            if not any(ours):  # Where calls are only observed, the output is a new copy of the input.
                ours = [output[: len(t.output)] == t.output for _, t in matches]
            matches = [match for match, own in zip(matches, ours, strict=True) if own]
        return matches[0] if len(matches) == 1 else (None, None)

    def _completed(
        self,
        base: _Thread | None,
        decisions: Sequence[Decision],
        found: Sequence[Record],
        window: int | None,
        lines: list[Line],
    ) -> tuple[list[Entry], int]:
        """All segments of a call that names those that are new or changed, and the turns so far."""
        places = {} if base is None else base.places
        turns = _turns(base, decisions, places)
        entries = [] if base is None else list(base.entries)
        touched: set[int] = set()
        for record, decision in zip(found, decisions, strict=True):
            entry = self._entry(record, turns - decision.segment.age, lines)
            place = places.get(record["id"])
            if place is None:
                entries.append(entry)
            else:
                entries[place] = entry
                touched.add(place)
        asked = any(r["kind"] == "user" and r["id"] not in places for r in found)
        for i in sorted(set(places.values()) - touched):
            old = entries[i]
            record = _carried(old.record, turns - old.turn, window, asked)
            entries[i] = old if record is old.record else self._entry(record, old.turn, lines)
        return entries, turns

    def _remember(self, number: int, thread: _Thread) -> None:
        old = self._threads.pop(number, None)
        if old is not None:
            self._chains.pop(old.chain, None)
        self._threads[number] = thread
        self._chains[thread.chain] = number
        while len(self._threads) > _MOST:
            _, gone = self._threads.popitem(last=False)
            self._chains.pop(gone.chain, None)


def _turns(base: _Thread | None, decisions: Sequence[Decision], places: Mapping[str, int]) -> int:
    """Turns that have started by now, told from the ages of what is named.

    A text that is known says it itself. Otherwise the oldest of the new texts of a user or of the model is the first
    of a new turn.
    """
    if base is None:
        return max((d.segment.age for d in decisions), default=0)
    for decision in decisions:
        if (place := places.get(decision.segment.id)) is not None:
            return base.entries[place].turn + decision.segment.age
    return base.turns + max((d.segment.age + 1 for d in decisions if d.segment.kind in _STARTERS), default=0)


def _carried(record: Record, age: int, window: int | None, asked: bool) -> Record:
    """What becomes of a segment that a call sends again as it was; see `Conversation`."""
    lock, action = record["lock"], record["action"]
    if action == "frozen":
        return record
    recent = _RECENT.fullmatch(record["reason"])
    if action == "locked" and lock is not None and lock not in _PASSING and recent is None:
        return record
    if action == "locked":
        if lock == locks.NEWEST_USER and not asked:
            return record
        exact = int(recent[1]) if recent else (window or 0)
        if age < exact and record["kind"] != "document":
            return {**record, "lock": None, "reason": f"among the {exact} newest turns"}
        return {**record, "action": "frozen", "lock": None, "reason": WAITING}
    return {**record, "action": "frozen", "reason": FROZEN}


def _chained(entries: Sequence[Entry]) -> list[bytes]:
    """A hash of all originals up to and including each segment."""

    def link(before: bytes, entry: Entry) -> bytes:
        return hashlib.blake2b(before + entry.record["in"].encode("ascii"), digest_size=16).digest()

    return list(accumulate(entries, link, initial=b""))


def _totals(entries: Sequence[Entry]) -> tuple[int, int]:
    return sum(e.record["before"] for e in entries), sum(e.record["after"] for e in entries)


def _messages(output: object) -> tuple[object, ...]:
    return tuple(cast("list[object]", output)) if isinstance(output, list) else ()
