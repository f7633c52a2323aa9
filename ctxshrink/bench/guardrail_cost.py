"""What a guardrail costs: seconds beside those of compression alone, and texts that its language model reads."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ctxshrink import Shrinker
from ctxshrink.types import Call, OutputGuardrail, Scorer, Trial

from .data import Record
from .tasks import Task

PER_TOKENS: Final = 2000
"""Input tokens that times are stated for."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Time and scorer calls of the guardrail on some records.

    Attributes:
        task: What the records are.
        records: How many.
        tokens: Their input tokens.
        bare: Seconds of the calls without a guardrail.
        guarded: Seconds of the same calls with it: its checks, and the attempts that they led to.
        checks: Seconds inside the guardrail.
        ratio: ``checks`` by ``bare``.
        median_ratio: Median of the records' own.
        asked: Pairs of texts that the scorer would get if every segment of a batch were judged by itself.
        scored: Pairs that it got.
        batches: Calls of the scorer.
    """

    task: str
    records: int
    tokens: int
    bare: float
    guarded: float
    checks: float
    ratio: float
    median_ratio: float
    asked: int
    scored: int
    batches: int


class Tally:
    """A scorer that counts what it is asked.

    Args:
        inner: Answers; None answers one nat per word, for counting alone.

    Attributes:
        pairs: Pairs so far.
        calls: Calls so far.
    """

    def __init__(self, inner: Scorer | None = None) -> None:
        self._inner = inner
        self.name = inner.name if inner else "tally"
        self.max_context = inner.max_context if inner else 1024
        self.pairs = self.calls = 0

    def nll(self, pairs: Sequence[tuple[str, str]], /) -> list[NDArray[np.float32]]:
        """Counts, and answers."""
        self.pairs += len(pairs)
        self.calls += bool(pairs)
        if self._inner is not None:
            return self._inner.nll(pairs)
        return [np.ones(len(target.split()), dtype=np.float32) for _, target in pairs]


@dataclass
class _Clock:
    """Times what a guardrail does, and remembers the batches of segments that it was asked about."""

    seconds: float = 0.0
    batches: list[tuple[Sequence[Trial], Call]] = field(default_factory=list[tuple[Sequence[Trial], Call]])

    def watch(self, guardrail: OutputGuardrail) -> None:
        for name in ("check", "check_output"):
            setattr(guardrail, name, self._timed(getattr(guardrail, name), name == "check"))

    def _timed(self, work: Callable[[Sequence[Trial], Call], Any], batch: bool) -> Callable[..., Any]:
        def timed(trials: Sequence[Trial], call: Call, /) -> Any:
            known = dict(call.cache)
            start = time.perf_counter()
            found = work(trials, call)
            self.seconds += time.perf_counter() - start
            if batch:
                self.batches.append((tuple(trials), replace(call, cache=known)))
            return found

        return timed


def cost(
    task: Task[Any],
    records: Sequence[Record],
    guardrail: Callable[[Scorer], OutputGuardrail],
    scorer: Scorer,
    keep: float = 0.5,
) -> Cost:
    """Time records with the guardrail and without, each call on its own; the first record is run once before.

    Args:
        task: What the records are.
        records: At least one.
        guardrail: Makes one that uses a scorer.
        scorer: The language model.
        keep: Share to keep.
    """
    tally, clock, bare = Tally(scorer), _Clock(), Shrinker(guardrail=None)
    watched = guardrail(tally)
    clock.watch(watched)
    guarded = Shrinker(guardrail=watched)
    for shrinker in (bare, guarded):  # Models load at their first use.
        task.shrink(shrinker, records[0], keep, on_reject="exceed")
    tally.pairs = tally.calls = 0
    clock.batches.clear()
    each, tokens, with_it = list[tuple[float, float]](), 0, 0.0
    for record in records:
        clock.seconds = 0.0
        plain = task.shrink(bare, record, keep, on_reject="exceed").result
        result = task.shrink(guarded, record, keep, on_reject="exceed").result
        each.append((clock.seconds, plain.seconds))
        tokens += plain.tokens_before
        with_it += result.seconds
    scored, batches = tally.pairs, tally.calls
    alone = Tally()
    judge = guardrail(alone)
    for trials, call in clock.batches:
        for trial in trials:
            judge.check([trial], replace(call, cache=dict(call.cache)))
    checks, without = (sum(e[i] for e in each) for i in (0, 1))
    return Cost(
        task.name,
        len(records),
        tokens,
        without,
        with_it,
        checks,
        checks / without if without else math.nan,
        median([c / b if b else math.nan for c, b in each]) if each else math.nan,
        alone.pairs,
        scored,
        batches,
    )
