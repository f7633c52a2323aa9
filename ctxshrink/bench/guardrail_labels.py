"""Labelled compressions: each record shrunk by good and by bad methods, and what that lost.

Nothing is judged here. A compression of one segment counts as a loss when a string that the record's questions need
stood in the segment and stands nowhere in the output; a whole output, when it lost any such string.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from ctxshrink import Shrinker
from ctxshrink.compressors import get_compressor
from ctxshrink.engine import Engine
from ctxshrink.policies import Adaptive
from ctxshrink.tokens import resolve_counter
from ctxshrink.types import Call, Compressor, Goal, Guardrail, Policy, Segment, TokenCounter, Trial

from .data import Record
from .methods import pooled_policy
from .run import at_risk
from .scoring import Haystack
from .tasks import Task

METHODS: Final = ("pruner", "extractive", "bm25", "lead", "random", "truncate")
KEEPS: Final = (0.9, 0.75, 0.5, 0.25, 0.1, 0.05)
PAIRS: Final = 8
"""Pairs of a method and a keep that each record is compressed by, drawn anew for each record."""


class _Remembering:
    """A counter that counts each text once until it forgets."""

    def __init__(self, inner: TokenCounter) -> None:
        self.name, self.exact = inner.name, inner.exact
        self._inner = inner
        self._known = dict[str, int]()

    def count(self, texts: Sequence[str], /) -> list[int]:
        new = [t for t in dict.fromkeys(texts) if t not in self._known]
        self._known.update(zip(new, self._inner.count(new), strict=True))
        return [self._known[t] for t in texts]

    def forget(self) -> None:
        self._known.clear()


class Sharing:
    """Scratch space that the calls of several shrinkers use together as long as their text and question are the same.

    What plug-ins keep in it depends on the text and the question and not on the goal, so that a record that is
    compressed by several methods at several keeps is cut into units and read by the encoder once.

    Token counts are remembered too.

    Attributes:
        call: The newest call.
        counter: Counts for all of them.
    """

    def __init__(self) -> None:
        self.call: Call | None = None
        self.counter = _Remembering(resolve_counter("embedded"))

    def shared(self, call: Call) -> Call:
        """The call with the scratch space of the one before, where that had the same text; with its own elsewhere."""
        last = self.call
        if last is not None and (last.query, last.segments) == (call.query, call.segments):
            call = replace(call, cache=last.cache)
        else:
            self.counter.forget()
        self.call = call
        return call


@dataclass(frozen=True)
class _Engine(Engine):
    sharing: Sharing = field(default_factory=Sharing)

    def _call(self, segments: Sequence[Segment], query: str | None, goal: Goal) -> Call:
        return self.sharing.shared(super()._call(segments, query, goal))


class SharingShrinker(Shrinker):
    """A `Shrinker` whose calls share what they compute of one record. Not for threads, and not for measuring time.

    Args:
        sharing: With whom.
        policy: As in `Shrinker`.
        compressors: As in `Shrinker`.
        guardrail: As in `Shrinker`.
    """

    def __init__(
        self,
        sharing: Sharing,
        *,
        policy: Policy | None = None,
        compressors: Sequence[Compressor | str] = ("pruner", "extractive"),
        guardrail: Guardrail | None = None,
    ) -> None:
        super().__init__(policy=policy, compressors=compressors, guardrail=guardrail, counter=sharing.counter)
        made = {f.name: getattr(self._engine, f.name) for f in fields(self._engine)}
        self._engine = _Engine(**made, sharing=sharing)


@dataclass(frozen=True, slots=True)
class Compression:
    """One record under one method at one keep.

    Attributes:
        method: The method.
        keep: Asked share.
        call: The call; its scratch space is shared by all compressions of the record.
        trials: The segments that came out changed.
        lost: For each trial whether it lost a needed string.
        tokens: For each trial its tokens before and after.
        at_risk: Needed strings that could be lost.
        strings_lost: Those that were.
    """

    method: str
    keep: float
    call: Call
    trials: tuple[Trial, ...]
    lost: tuple[bool, ...]
    tokens: tuple[tuple[int, int], ...]
    at_risk: int
    strings_lost: int


class Compressions:
    """Compresses records by `METHODS` at `KEEPS`.

    Args:
        task: What the records are.
        methods: Names of compressors; the baselines among them run without the floors of `Adaptive`.
        keeps: Shares to keep.
        pairs: Most pairs of these for each record.
        seed: Of the draw.
    """

    def __init__(
        self,
        task: Task[Any],
        *,
        methods: Sequence[str] = METHODS,
        keeps: Sequence[float] = KEEPS,
        pairs: int = PAIRS,
        seed: int = 0,
    ) -> None:
        self._task, self._keeps, self._pairs, self._seed = task, tuple(keeps), pairs, seed
        self._sharing = Sharing()
        self._shrinkers: Mapping[str, Shrinker] = {m: self._shrinker(m) for m in methods}

    def of(self, record: Record) -> Iterator[Compression]:
        """The compressions of one record: none where nothing that is needed of it can be lost."""
        task, segments_risk, risked = self._task, dict[str, list[bool]](), list[bool]()
        for method, keep in self._draw(record):
            shrunk = task.shrink(self._shrinkers[method], record, keep)
            call = self._sharing.call
            if call is None:  # Every shrink of a sharing shrinker leaves its call.
                return
            risked = risked or at_risk(task, record, call.segments)
            if not any(risked):
                return
            changed = [(d, trial) for d in shrunk.result.decisions if (trial := d.trial) is not None]
            if not changed:
                continue
            still = task.needed(record, shrunk.haystack)
            gone = [r and not s for r, s in zip(risked, still, strict=True)]
            for d, _ in changed if any(gone) else []:
                if d.segment.id not in segments_risk:
                    segments_risk[d.segment.id] = task.needed(record, Haystack(d.segment.text))
            yield Compression(
                method,
                keep,
                call,
                tuple(trial for _, trial in changed),
                tuple(
                    any(g and had for g, had in zip(gone, segments_risk.get(d.segment.id, []), strict=False))
                    for d, _ in changed
                ),
                tuple((d.tokens_before, d.tokens_after) for d, _ in changed),
                sum(risked),
                sum(gone),
            )

    def _draw(self, record: Record) -> list[tuple[str, float]]:
        every = [(m, k) for m in self._shrinkers for k in self._keeps]
        if len(every) <= self._pairs:
            return every
        # In the order of the methods: the pruner's units come first, whatever was drawn.
        drawn = random.Random(f"{self._seed}:{record.id}").sample(range(len(every)), self._pairs)
        return [every[i] for i in sorted(drawn)]

    def _shrinker(self, method: str) -> Shrinker:
        own = getattr(get_compressor(method), "structure", False)
        return SharingShrinker(self._sharing, policy=Adaptive() if own else pooled_policy(), compressors=[method])
