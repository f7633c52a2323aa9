"""Frozen segments: what was decided once is replayed byte for byte, so that provider prompt caches stay warm.

`Shrinker.shrink_messages` has no memory: the same messages give the same bytes, but one more message changes every age
and with it what older turns come out as. A `Conversation` remembers.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

from .errors import ConfigError
from .messages import detect
from .result import ShrinkResult
from .shrinker import Shrinker
from .types import Decision, Segment

_FROZEN = "decided in an earlier turn"


class Conversation:
    """One conversation, shrunk turn by turn.

    With ``keep``: a message is decided once, when it leaves the policy's recent turns, and never changes again.

    With ``max_tokens``: nothing changes until the conversation is too long; then all of it is decided at once, down to
    a lower mark, and stays as it is until it is too long again. Each such step rewrites what a provider has cached, so
    they are large and rare; the result's warnings say when one happened.

    Where an earlier message was edited, everything from there on is decided anew. Safe to share between threads. The
    memory is bounded by the conversation itself.

    Args:
        shrinker: Holds the settings.
        headroom: Share of the unlocked budget that a step under ``max_tokens`` leaves free for later turns, in [0, 1).

    Raises:
        ConfigError: ``headroom`` is out of range.
    """

    def __init__(self, shrinker: Shrinker, *, headroom: float = 0.3) -> None:
        if not 0 <= headroom < 1:
            raise ConfigError(f"headroom must be a share in [0, 1); got {headroom!r}")
        self._shrinker = shrinker
        self._headroom = headroom
        self._frozen: dict[bytes, str] = {}
        self._lock = threading.Lock()

    def shrink(
        self,
        messages: Sequence[Any],
        query: str | None = None,
        *,
        keep: float | None = None,
        max_tokens: int | None = None,
        pin: Collection[int] | Callable[[Any], bool] | None = None,
    ) -> ShrinkResult[list[Any]]:
        """Shrink the conversation so far; arguments and result as in `Shrinker.shrink_messages`.

        Every call takes the whole conversation in its original form: what was frozen is recognised by its content and
        everything before it.
        """
        parsed = detect(messages).parse(messages, pin=pin)
        keys = _chain(parsed.segments)
        with self._lock:
            result = self._shrink(parsed.segments, keys, query, keep, max_tokens)
            observe = self._shrinker.mode == "observe"
            return result.with_output(list(messages) if observe else parsed.rebuild(result.output))

    def _shrink(
        self, segments: Sequence[Segment], keys: list[bytes], query: str | None, keep: float | None, limit: int | None
    ) -> ShrinkResult[dict[str, str]]:
        key_of = {s.id: k for s, k in zip(segments, keys, strict=True)}
        frozen = {s.id: self._frozen[key_of[s.id]] for s in segments if key_of[s.id] in self._frozen and not s.locked}
        replayed = [_freeze(s, frozen) for s in segments]
        if limit is None:
            result = self._shrinker.shrink_segments(replayed, query=query, keep=keep)
        elif sum(self._shrinker.counter.count([s.text for s in replayed])) <= limit:
            result = self._shrinker.shrink_segments(replayed, query=query, max_tokens=limit)
            return self._report(result, segments, frozen)
        else:
            result = self._step(segments, query, limit, rewritten=bool(frozen))
            frozen = {}
        decided = [d for d in result.decisions if d.action != "locked" or d.segment.id in frozen]
        self._frozen = {key_of[d.segment.id]: d.text for d in decided}
        return self._report(result, segments, frozen)

    def _step(
        self, segments: Sequence[Segment], query: str | None, limit: int, *, rewritten: bool
    ) -> ShrinkResult[dict[str, str]]:
        """Decide everything at once, down to the lower mark."""
        trial = self._shrinker.shrink_segments(segments, query=query, max_tokens=limit)
        locked = sum(d.tokens_before for d in trial.decisions if d.action == "locked")
        target = max(locked, limit - round(self._headroom * (limit - locked))) if locked < limit else limit
        result = self._shrinker.shrink_segments(segments, query=query, max_tokens=target) if target < limit else trial
        note = "earlier turns were rewritten to meet max_tokens: the provider's prompt cache is lost from there on"
        return replace(result, warnings=(*result.warnings, *((note,) if rewritten else ())))

    def _report(
        self, result: ShrinkResult[dict[str, str]], segments: Sequence[Segment], frozen: dict[str, str]
    ) -> ShrinkResult[dict[str, str]]:
        """Show frozen segments as what they were, not as what was replayed."""
        if not frozen:
            return result
        originals = {s.id: s for s in segments if s.id in frozen}
        sizes = dict(zip(originals, self._shrinker.counter.count([s.text for s in originals.values()]), strict=True))

        def shown(decision: Decision) -> Decision:
            original = originals.get(decision.segment.id)
            if original is None:
                return decision
            before = sizes[original.id]
            return replace(
                decision, segment=original, action="frozen", reason=_FROZEN, tokens_before=before, spans=None
            )

        decisions = tuple(shown(d) for d in result.decisions)
        return replace(result, decisions=decisions, tokens_before=sum(d.tokens_before for d in decisions))


def _freeze(segment: Segment, frozen: dict[str, str]) -> Segment:
    if segment.id not in frozen:
        return segment
    return replace(segment, text=frozen[segment.id], lock_reason=_FROZEN)


def _chain(segments: Sequence[Segment]) -> list[bytes]:
    """A key for each segment that stands for its text and for all text before it."""
    state, keys = hashlib.blake2b(digest_size=16), list[bytes]()
    for segment in segments:
        text = segment.text.encode("utf-8", "surrogatepass")
        state.update(f"{segment.id}\0{segment.kind}\0{len(text)}\0".encode())
        state.update(text)
        keys.append(state.copy().digest())
    return keys
