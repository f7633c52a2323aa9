"""A conversation that never ends: whether bytes stay bounded and turns stay fast while a context is extended."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

from ctxshrink.kv.compressor import KVCompressor
from ctxshrink.kv.policy import AgePolicy

from .kv_speed import cache_bytes, read_plain, tokens_of

POLICY = AgePolicy([(0, 1.0, None), (512, 0.5, "int8"), (2048, 0.1, "int4")], max_tokens=4096)
"""What is older is compressed harder; no head of a layer holds more than 4,096 entries."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """What happened over the turns.

    Attributes:
        turns: Turns.
        tokens: Tokens of all turns.
        most_entries: Most entries that a head of a layer held after a turn.
        most_bytes: Most bytes that the context had after a turn.
        last_bytes: Bytes that it had in the end.
        full_bytes: Bytes of keys and values that the uncompressed cache would have in the end.
        first_seconds: Median time of a turn in the first tenth of those after the warm-up, seconds.
        last_seconds: The same in the last tenth.
        warm: Turns until the bound was first nearly reached; they are cheaper and not counted.
        seconds: Everything.
    """

    turns: int
    tokens: int
    most_entries: int
    most_bytes: int
    last_bytes: int
    full_bytes: int
    first_seconds: float
    last_seconds: float
    warm: int
    seconds: float

    @property
    def growth(self) -> float:
        """Time of a late turn over that of an early one."""
        return self.last_seconds / self.first_seconds


def converse(
    model: Any,
    *,
    tokens: int,
    turn: int = 1000,
    policy: AgePolicy = POLICY,
    select: str = "keydiff",
    step: Callable[[str], None] = lambda _: None,
) -> Conversation:
    """Extends a context turn by turn.

    Args:
        model: The model; its weights may be random.
        tokens: Tokens of the whole conversation.
        turn: Tokens of a turn.
        policy: Compression by age.
        select: Selector.
        step: Called after each turn.
    """
    compressor = KVCompressor(model, select=select, policy=policy)
    turns = max(2, tokens // turn)
    ids = [tokens_of(turn, seed) for seed in range(min(turns, 64))]
    began = time.perf_counter()
    context = compressor.compress(ids[0])
    full = cache_bytes(read_plain(model, ids[0])) * turns
    spent, sizes, entries = list[float](), [context.nbytes], [context.physical]
    for i in range(1, turns):
        start = time.perf_counter()
        context = compressor.extend(context, ids[i % len(ids)])
        spent.append(time.perf_counter() - start)
        sizes.append(context.nbytes)
        entries.append(context.physical)
        step(f"{(i + 1) * turn:,} tokens")
    # A context that still fills up is small and fast; flat is what the turns after that are.
    warm = min(next(i for i, size in enumerate(sizes) if size >= 0.95 * max(sizes)), len(spent) // 2)
    counted = spent[warm:]
    tenth = max(1, len(counted) // 10)
    return Conversation(
        turns, turns * turn, max(entries), max(sizes), sizes[-1], full,
        median(counted[:tenth]), median(counted[-tenth:]), warm, time.perf_counter() - began,
    )  # fmt: skip
