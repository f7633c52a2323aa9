"""An account of shadow traffic: what compression would save, and what later turns would have missed.

With ``Shrinker(mode="observe")`` nothing changes for the model, so that what it goes on to use shows what a shorter
prompt must still have held. An `Observer` keeps numbers and keyed hashes only: no text, and nothing that another
process could compare with a text.
"""

from __future__ import annotations

import hashlib
import logging
import random
import secrets
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from ._shadow import Reused, ShadowReport, ratio_interval
from .errors import ConfigError
from .reuse import SHOWING, Key, Used, User, occurrences, plain_words, strings_in, strings_used, with_parts
from .telemetry import CallHook, outermost
from .types import Decision, Segment

if TYPE_CHECKING:
    from .economics import Prices
    from .engine import Engine
    from .result import ShrinkResult

__all__ = ["Observer", "Reused", "ShadowReport"]

_log = logging.getLogger("ctxshrink")

R = TypeVar("R", bound="ShrinkResult[Any]")
_MILLION: Final = 1_000_000
_USERS: Final = ("tool_call", "assistant")
_CHANGED: Final = ("compressed", "emptied", "forced", "frozen")


@dataclass(slots=True)
class _State:
    """What is kept of a conversation's last call.

    Attributes:
        unit: Which conversation it is.
        facts: By hash, what users, tools and documents had shown: True where the output no longer holds it.
    """

    unit: int
    facts: dict[int, bool]


@dataclass(slots=True)
class _Totals:
    calls: int = 0
    applied: int = 0
    before: int = 0
    after: int = 0
    seconds: float = 0.0
    risk: float = 0.0
    judged: int = 0
    actions: Counter[str] = field(default_factory=Counter[str])
    needed: Counter[User] = field(default_factory=Counter[User])
    missed: Counter[User] = field(default_factory=Counter[User])
    forgotten: int = 0


class Observer:
    """Collects the results of calls with ``mode="observe"``. Safe to share between threads.

    Give it to the shrinker (``Shrinker(mode="observe", telemetry=observer)``) and every call of every seat is counted;
    or give it each result with `watch`. A call whose input starts with the whole input of an earlier one goes on with
    that conversation: what the model said and called in between is compared with what the earlier call would have left
    out. Of a `ctxshrink.Conversation` only the results of ``shrink`` are whole; those of ``extend`` show savings alone.

    Args:
        prices: Of the model that reads the prompts, for the report's money.
        telemetry: Runs the calls besides, such as `ctxshrink.telemetry.Telemetry`.
        max_conversations: Conversations whose last call is remembered; the one that went on longest ago is forgotten
            first.
        max_facts: Facts that are remembered of each; the oldest are forgotten first. About 100 bytes each.
        max_units: Conversations whose sums are kept for the confidence interval, drawn at random where there are more.

    Raises:
        ConfigError: A bound is not positive.
    """

    def __init__(
        self,
        prices: Prices | None = None,
        *,
        telemetry: CallHook | None = None,
        max_conversations: int = 256,
        max_facts: int = 5000,
        max_units: int = 10_000,
    ) -> None:
        for name, bound in (
            ("max_conversations", max_conversations),
            ("max_facts", max_facts),
            ("max_units", max_units),
        ):
            if bound < 1:
                raise ConfigError(f"{name} must be 1 or more; got {bound!r}")
        self._prices, self._telemetry = prices, telemetry
        self._most_states, self._most_facts, self._most_units = max_conversations, max_facts, max_units
        self._key = secrets.token_bytes(16)
        self._lock = threading.Lock()
        self._states: OrderedDict[bytes, _State] = OrderedDict()
        self._totals = _Totals()
        self._units = 0
        self._slots: dict[int, int] = {}
        self._sums: list[tuple[int, int]] = []  # tokens before, tokens saved, of the conversation of each slot
        self._random = random.Random(0)

    def call(self, work: Callable[[], R], engine: Engine | None = None, /) -> R:
        """Run a call and count it; see `ctxshrink.telemetry.CallHook`. A failure in here never reaches the caller."""
        with outermost(self) as outer:
            result = work() if self._telemetry is None else self._telemetry.call(work, engine)
        try:
            if outer:
                self.watch(result)
        except Exception as error:  # noqa: BLE001  fail open: the caller's prompt matters more than the account
            _log.warning("the observer failed: %s; this call is not counted", type(error).__name__)
        return result

    def watch(self, result: ShrinkResult[Any]) -> None:
        """Count a result, and look in its newest turns for what the call before it would have left out.

        Args:
            result: Of any seat, with decisions on the whole input. Results with mode ``apply`` are counted apart, and
                nothing more: their model did not see what was left out.
        """
        if result.mode != "observe":
            with self._lock:
                self._totals.applied += 1
            return
        segments = [d.segment for d in result.decisions]
        chain = list(self._chain(segments))
        with self._lock:
            start, earlier = self._earlier(chain)
        found = [] if earlier is None else self._resolved(earlier, segments[start:])
        facts, forgotten = self._facts(result.decisions)
        with self._lock:
            self._add(found)
            self._totals.forgotten += forgotten
            unit = self._unit() if earlier is None else earlier.unit
            if chain:
                self._remember(chain[-1], _State(unit, facts))
            self._count(result, unit)

    def answered(self, result: ShrinkResult[Any], answer: str) -> None:
        """Look in the answer to a prompt for what that call would have left out.

        For answers that no later call shows: those to retrieved chunks, and the last of a conversation.

        Args:
            result: The call's result, given to `watch` (or counted by `call`) before.
            answer: What the model said; not kept.
        """
        chain = list(self._chain([d.segment for d in result.decisions]))
        with self._lock:
            state = self._states.get(chain[-1]) if chain else None
        if state is not None:
            found = self._resolved(state, [Segment("answer", answer, kind="assistant")])
            with self._lock:
                self._add(found)

    def report(self) -> ShadowReport:
        """What was seen so far. Intervals are drawn from the same random numbers each time."""
        with self._lock:
            t, prices = self._totals, self._prices
            saved = t.before - t.after
            sums = np.array([(before, less) for before, less in self._sums], dtype=np.float64).reshape(-1, 2)
            report = ShadowReport(
                calls=t.calls,
                conversations=self._units,
                applied=t.applied,
                tokens_before=t.before,
                tokens_after=t.after,
                share_interval=None,
                seconds=t.seconds,
                actions=dict(sorted(t.actions.items())),
                judged=t.judged,
                expected_losses=t.risk,
                tool_calls=Reused(t.needed["tool_call"], t.missed["tool_call"]),
                answers=Reused(t.needed["assistant"], t.missed["assistant"]),
                forgotten=t.forgotten,
                money=None if prices is None else saved * prices.input / _MILLION,
                money_cached=None if prices is None else saved * prices.cache_read / _MILLION,
            )
        return replace(report, share_interval=ratio_interval(sums[:, 1], sums[:, 0]))

    def _chain(self, segments: Sequence[Segment]) -> Iterator[bytes]:
        """A keyed hash of the input up to and including each segment."""
        running = hashlib.blake2b(key=self._key, digest_size=16)
        for segment in segments:
            data = segment.text.encode("utf-8", "surrogatepass")
            running.update(f"{segment.kind} {len(data)} ".encode() + data)
            yield running.copy().digest()

    def _hash(self, key: Key) -> int:
        data = "\0".join(key).encode("utf-8", "surrogatepass")
        return int.from_bytes(hashlib.blake2b(data, key=self._key, digest_size=8).digest(), "little")

    def _earlier(self, chain: Sequence[bytes]) -> tuple[int, _State | None]:
        """The call that this one goes on from: how many segments it had, and what is kept of it."""
        for at in range(len(chain), 0, -1):
            if (state := self._states.get(chain[at - 1])) is not None:
                # It has had its answer: kept for retries and branches while there is room.
                self._states.move_to_end(chain[at - 1], last=False)
                return at, state
        return 0, None

    def _remember(self, key: bytes, state: _State) -> None:
        self._states[key] = state
        self._states.move_to_end(key)
        while len(self._states) > self._most_states:
            self._states.popitem(last=False)

    def _unit(self) -> int:
        """A new conversation, with sums of its own where it is among those drawn (Vitter's algorithm R, 1985)."""
        unit, self._units = self._units, self._units + 1
        if unit < self._most_units:
            self._slots[unit] = len(self._sums)
            self._sums.append((0, 0))
        elif (slot := self._random.randrange(self._units)) < self._most_units:
            self._slots = {u: s for u, s in self._slots.items() if s != slot} | {unit: slot}
            self._sums[slot] = (0, 0)
        return unit

    def _count(self, result: ShrinkResult[Any], unit: int) -> None:
        t = self._totals
        t.calls += 1
        t.before += result.tokens_before
        t.after += result.tokens_after
        t.seconds += result.seconds
        t.actions.update(d.action for d in result.decisions)
        scores = [d.verdict.score for d in result.decisions if d.verdict is not None and d.action in _CHANGED]
        t.judged += len(scores)
        t.risk += sum(scores)
        if (slot := self._slots.get(unit)) is not None:
            before, saved = self._sums[slot]
            self._sums[slot] = (before + result.tokens_before, saved + result.saved)

    def _add(self, found: Iterable[tuple[User, bool]]) -> None:
        for by, missed in found:
            self._totals.needed[by] += 1
            self._totals.missed[by] += missed

    def _facts(self, decisions: Sequence[Decision]) -> tuple[dict[int, bool], int]:
        """What the input shows, by hash: True where the output holds it no longer; and how many facts are too many."""
        shown: dict[Key, Used] = {}
        for decision in reversed(decisions):  # the newest facts stay
            if decision.segment.kind in SHOWING:
                for used in (u for s in strings_in(decision.segment.text) for u in with_parts(s)):
                    for key in used.spellings:
                        shown.setdefault(key, used)
        plain = plain_words((d.segment.text for d in decisions), (u for u in shown.values() if u.name))
        kept = {k: u for k, u in shown.items() if not (u.name and plain.issuperset(k))}
        forgotten = max(0, len(kept) - self._most_facts)
        kept = dict(list(kept.items())[: self._most_facts])
        if all(d.text == d.segment.text for d in decisions):
            return dict.fromkeys(map(self._hash, kept), False), forgotten
        lengths = sorted({len(k) for k in kept})
        held = {key for d in decisions for key, _, _ in occurrences(d.text, kept, lengths)}
        return {self._hash(k): held.isdisjoint(u.spellings) for k, u in kept.items()}, forgotten

    def _resolved(self, state: _State, segments: Sequence[Segment]) -> list[tuple[User, bool]]:
        """For each string of an earlier prompt that these segments use, who does, and whether it would be missing."""
        used = [(s.kind, list(strings_used(s)) if s.kind in _USERS else []) for s in segments]
        keys = {key for _, items in used for item in items for u in with_parts(item) for key in u.spellings}
        lengths = sorted({len(key) for key in keys})
        again: set[int] = set()
        found: dict[int, tuple[User, bool]] = {}
        for segment, (kind, items) in zip(segments, used, strict=True):
            if kind in SHOWING:
                again.update(self._hash(key) for key, _, _ in occurrences(segment.text, keys, lengths))
            pending = list(reversed(items))
            while pending and (kind == "tool_call" or kind == "assistant"):
                item = pending.pop()
                hits = [h for h in map(self._hash, item.spellings) if h in state.facts]
                if not hits:
                    pending.extend(reversed(item.parts))
                elif again.isdisjoint(hits):
                    found.setdefault(hits[0], (kind, all(state.facts[h] for h in hits)))
        return list(found.values())
