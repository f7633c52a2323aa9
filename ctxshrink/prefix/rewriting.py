"""What is known of a conversation, and the steps that rewrite what was sent of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

from ctxshrink.messages import locks
from ctxshrink.messages.builder import ELLIPSIS
from ctxshrink.policies import recent_turns
from ctxshrink.prefix import birth as births
from ctxshrink.prefix.birth import Birth
from ctxshrink.prefix.epochs import Epochs
from ctxshrink.prefix.history import History
from ctxshrink.prefix.memo import Guarded
from ctxshrink.prefix.seen import Seen
from ctxshrink.shrinker import Shrinker
from ctxshrink.types import Decision, Policy, Segment

FROZEN: Final = "decided in an earlier turn"
WAITING: Final = "sent whole in an earlier turn; rewriting it does not pay yet"
LOST: Final = "the provider's prompt cache is lost from message {} on"
_PASSING: Final = frozenset({locks.NEWEST_USER, locks.CACHED, locks.PINNED})
"""Locks that depend on the conversation; the others stay for good."""


Born: TypeAlias = Callable[[Segment, Any], str | None]
"""What a new text came out as where it was decided before it came here, given it and its message; None: nowhere."""


@dataclass(frozen=True, slots=True)
class Request:
    """The arguments of one call, checked.

    Attributes:
        query: What the next answer is about, if the caller said so.
        keep: Share of tokens to keep; None for no such goal.
        limit: Most tokens of the whole output; None for no such goal.
        idle: Seconds since the last request; None where that is unknown.
        first: Nothing was sent before, as far as is known.
        born: Says what new texts came out as elsewhere.
    """

    query: str | None
    keep: float | None
    limit: int | None
    idle: float | None
    first: bool
    born: Born | None = None


class Rewriting:
    """The state of a conversation, and what changes text that was sent; each step returns what it decided, by position.

    Args:
        shrinker: Holds the settings.
        policy: That shrinker's policy.
        birth: What is done to new texts; None for nothing.
        plan: When to rewrite.
        headroom: See `Conversation`.
        prefix_tokens: See `Conversation`.
        memo: Decisions of earlier processes.
    """

    def __init__(
        self,
        shrinker: Shrinker,
        policy: Policy,
        *,
        birth: Birth | None,
        plan: Epochs,
        headroom: float,
        prefix_tokens: int,
        memo: Guarded,
    ) -> None:
        self._shrinker, self._policy, self._birth, self._plan = shrinker, policy, birth, plan
        self._headroom, self._prefix, self._memo = headroom, prefix_tokens, memo
        self.window = recent_turns(policy)
        # Addresses differ between processes; a plug-in whose repr holds one is told apart by the rest of it.
        # Without a store nothing is referred to.
        shown = f"{shrinker!r} {birth!r} {shrinker.store is not None}"
        settings = re.sub(r" at 0x[0-9a-fA-F]+", "", shown).encode("utf-8", "surrogatepass")
        self.settings = hashlib.blake2b(settings, digest_size=16).hexdigest()
        self.history = History(shrinker.counter, self.settings)
        self.requests = 0
        self.epochs = 0
        self.warnings: list[str] = []
        self._pinned: frozenset[int] = frozenset()
        self._waiting: list[int] = []  # Whole, no longer recent, and free to be compressed later.
        self._waiting_tokens = 0
        self._ahead: tuple[int, int] = (-1, 0)  # (first waiting text, tokens that come out before it)
        self._seen = Seen()
        self._asked = ""  # The newest user turn.
        self._calls: tuple[int, str] = (-1, "")  # Message and arguments of the newest tool calls.

    def cut(self, length: int) -> None:
        """Takes messages from a position on away."""
        self.history.cut(length)
        left, builder = len(self.history.entries), self.history.builder if length else None
        self._waiting = [p for p in self._waiting if p < left and builder and self._age_of(p) >= self.window]
        self._recount()
        self._pinned = frozenset(i for i in self._pinned if i < length)
        self._asked, self._calls = "", (-1, "")
        self._look_again()
        for segment in map(builder.segment, reversed(range(left))) if builder else ():
            if segment.kind == "user":
                self._asked = segment.text[: births.QUERY_CHARS]
                break

    def age(self, turns: int) -> None:
        """Notes the texts that left the recent turns since there were ``turns`` of them."""
        builder = self.history.builder
        for turn in range(max(0, turns - self.window + 1), builder.turns - self.window + 1):
            for p in builder.of_turn(turn):
                entry = self.history.entries[p]
                free = not entry.settled and permanent(builder.segment(p)) is None
                if free and self._message(p) not in self._pinned:
                    self._waiting.append(p)
                    self._waiting_tokens += entry.after

    def rewrite(self, request: Request) -> dict[int, Decision]:
        """Compresses old turns that a provider has cached, when that pays."""
        history, builder, touched = self.history, self.history.builder, dict[int, Decision]()
        rules = self._plan.rules
        self._plan.request(self._prefix + history.before, self._prefix + history.after)
        # A caller's marks tell nothing new of what this object sent: its plan knows what that costs to rewrite.
        marked = builder.cached if request.first or rules is None else 0
        waiting = [p for p in self._waiting if p >= marked] if marked else self._waiting
        if request.keep is None or not waiting:
            return touched
        tokens = self._waiting_tokens if waiting is self._waiting else sum(history.entries[p].after for p in waiting)
        after = history.after - self._tokens_before(min(waiting)) - tokens
        turn = max(self.requests, builder.turns // 2)
        cold = rules is not None and request.idle is not None and request.idle > rules.lifetime
        why = self._plan.check(tokens, after, request.keep, turn, total=self._prefix + history.after, cold=cold)
        if why is None:
            return touched
        recent = [p for t in range(builder.turns - self.window + 1, builder.turns + 1) for p in builder.of_turn(t)]
        places = sorted({*waiting, *recent})
        result = self._shrinker.shrink_segments(
            [self._sent_segment(p, request) for p in places], query=request.query, keep=request.keep
        )
        done = {p: d for p, d in zip(places, result.decisions, strict=True) if d.action != "locked" and p in waiting}
        sent = [p for p, d in done.items() if p < history.sent and d.text != history.entries[p].text]
        left = sum(d.tokens_after for d in done.values()) / max(1, sum(d.tokens_before for d in done.values()))
        if rules is not None and not self._plan.confirm(tokens, after, left, turn, cold=cold):
            return touched  # Less could be left out than was asked for: it does not pay after all.
        self._apply(done)
        self._plan.rewritten()
        if sent and why:
            self._announce(f"old turns were rewritten: {why}", sent)
        return done

    def fit(self, request: Request) -> dict[int, Decision]:
        """Where the output is over its budget: decides everything at once, down to a lower mark."""
        history, limit = self.history, request.limit
        if limit is None or history.after <= limit:
            return {}
        segments: list[Segment] = []
        for p, entry in enumerate(history.entries):
            segment = self._sent_segment(p, request)
            if entry.settled and segment.age < self.window and p not in self._seen.referring:
                segment = replace(segment, text=entry.text, lock_reason=segment.lock_reason or FROZEN)
            segments.append(segment)
        fixed = [s.locked or (s.age < self.window and s.kind != "document") for s in segments]
        locked = sum(e.after if e.settled else e.before for e, f in zip(history.entries, fixed, strict=True) if f)
        target = max(locked, limit - round(self._headroom * (limit - locked))) if locked < limit else limit
        result = self._shrinker.shrink_segments(segments, query=request.query, max_tokens=target)
        self.warnings += [w for w in result.warnings if not w.startswith("nothing was compressed")]
        decisions = {p: d for p, d in enumerate(result.decisions) if d.action != "locked"}
        sent = [p for p, d in decisions.items() if p < history.sent and d.text != history.entries[p].text]
        decisions |= self._spelled(p for p in self._seen.referring if p not in decisions)
        sent += [p for p in self._seen.referring if p < history.sent and p not in sent]
        changed = {p: d for p, d in decisions.items() if p >= history.sent or p in set(sent)}
        self._apply(decisions)
        self._look_again()
        self._plan.rewritten()
        if sent:
            self._announce(f"old turns were rewritten to meet max_tokens={limit}", sent)
        return changed

    def _segment(self, p: int) -> Segment:
        segment = self.history.builder.segment(p)
        if segment.lock_reason is None and self.history.builder.place(p).index in self._pinned:
            return replace(segment, lock_reason=locks.PINNED)
        return segment

    def _sent_segment(self, p: int, request: Request) -> Segment:
        """A segment without the lock that a caller's mark gives it, where this object sent what stands before that."""
        segment = self._segment(p)
        free = segment.lock_reason == locks.CACHED and not request.first
        return replace(segment, lock_reason=None, empty=ELLIPSIS) if free else segment

    def _see(self, p: int) -> None:
        """Lets later tool results refer to one that will not change any more."""
        segment, entry = self.history.builder.segment(p), self.history.entries[p]
        if segment.kind == "tool_result" and self._birth is not None and self._birth.repeats:
            self._seen.add(p, entry.text, final=entry.settled or permanent(segment) is not None)

    def _look_again(self) -> None:
        self._seen = Seen()
        for p in range(len(self.history.entries)):
            self._see(p)

    def _spelled(self, places: Iterable[int]) -> dict[int, Decision]:
        why = "what it referred to has changed"
        entries, builder = self.history.entries, self.history.builder
        return {p: whole(builder.segment(p), entries[p].before, "kept", why) for p in places}

    def _apply(self, decisions: Mapping[int, Decision]) -> None:
        for p, decision in decisions.items():
            self.history.settle(p, decision)
        self._waiting = [p for p in self._waiting if not self.history.entries[p].settled]
        self._recount()

    def _recount(self) -> None:
        self._waiting_tokens = sum(self.history.entries[p].after for p in self._waiting)
        self._ahead = (-1, 0)

    def _tokens_before(self, p: int) -> int:
        if self._ahead[0] != p:
            self._ahead = p, sum(e.after for e in self.history.entries[:p])
        return self._ahead[1]

    def _announce(self, what: str, sent: Iterable[int]) -> None:
        self.epochs += 1
        self.warnings.append(f"{what}: {LOST.format(self._message(min(sent)))}")

    def _message(self, p: int) -> int:
        return self.history.builder.place(p).index

    def _age_of(self, p: int) -> int:
        return self.history.builder.segment(p).age


def permanent(segment: Segment) -> str | None:
    """Why a text can never change; None where that may pass."""
    return None if segment.lock_reason in _PASSING else segment.lock_reason


def whole(segment: Segment, tokens: int, action: Literal["locked", "kept"], reason: str) -> Decision:
    """The decision to leave a text as it is."""
    spans = ((0, len(segment.text)),)
    return Decision(segment, action, reason, segment.text, tokens, tokens, spans=spans)
