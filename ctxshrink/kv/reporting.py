"""The report of a compression: what was tried, what stands and why."""

from __future__ import annotations

import time
from typing import Any

from ctxshrink.kv.context import CompressedContext
from ctxshrink.kv.types import NOTHING, KVAttempt, KVReport

__all__ = ["Clock", "report_of"]

_ATTEMPTS = 32


class Clock:
    """Seconds of reading and of everything after it, on top of those of an earlier report."""

    def __init__(self, before: KVReport = NOTHING) -> None:
        self.before = before
        self._started = time.perf_counter()
        self._read = self._started

    def read(self) -> None:
        """The model has read."""
        self._read = time.perf_counter()

    def seconds(self) -> tuple[float, float]:
        """Of reading, and of the rest until now."""
        now = time.perf_counter()
        return (
            self.before.prefill_seconds + self._read - self._started,
            self.before.compress_seconds + now - self._read,
        )


def full_bytes(context: CompressedContext, length: int) -> int:
    """Bytes that the keys and values of everything read would have in the model's type, windows as they are.

    Args:
        context: What stands.
        length: Tokens of a row that were read; a latent context has fewer places.
    """
    total = 0
    for states in context.layers:
        if states.window is not None:
            total += states.nbytes
            continue
        keys, values = states.blocks[-1].dense()
        width = keys.shape[1] * (keys.shape[-1] * keys.element_size() + values.shape[-1] * values.element_size())
        total += context.batch * length * width
    return total


def report_of(
    context: CompressedContext,
    full: CompressedContext,
    attempts: list[KVAttempt],
    clock: Clock,
    tokens: int,
    *,
    fallback: bool,
) -> KVReport:
    """The report of what came out.

    Args:
        context: What stands.
        full: What was read, before this step left anything out.
        attempts: What was tried in this step.
        clock: When it was read.
        tokens: Tokens that were read in this step, without padding.
        fallback: Whether the full cache stands because of the guardrail.
    """
    read, rest = clock.seconds()
    states = [s for s in context.layers if s.window is None]
    kept = int(sum((block.positions[:, 0] >= 0).sum() for block in states[0].blocks)) if states else 0
    nbytes, whole = sum(s.nbytes for s in context.layers), full_bytes(context, full.length)
    last = attempts[-1].verdict if attempts else None
    if fallback and last is not None:
        reason = f"the full cache stands: {last.reason}"
    elif last is not None:
        reason = last.reason
    elif kept == clock.before.tokens + tokens and nbytes >= whole:
        reason = "nothing was left out: everything is recent, a sink, or within keep"
    else:
        reason = "compressed; no guardrail was asked"
    return KVReport(
        tokens=clock.before.tokens + tokens,
        kept=kept,
        nbytes=nbytes,
        nbytes_full=whole,
        attempts=(*clock.before.attempts, *attempts)[-_ATTEMPTS:],
        fallback=fallback,
        reason=reason,
        prefill_seconds=read,
        compress_seconds=rest,
    )


def shrank(made: CompressedContext, full: CompressedContext) -> bool:
    """Whether anything was left out or quantized."""
    return made is not full and _payload(made) < _payload(full)


def _payload(context: CompressedContext) -> int:
    blocks: list[Any] = [block for states in context.layers for block in states.blocks]
    return sum(block.keys.nbytes + block.values.nbytes for block in blocks)
