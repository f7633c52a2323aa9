"""The setting at which what a peer returns fits the budget."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from .peer_process import PeerFailure

A = TypeVar("A")

ENOUGH = 0.95
"""Share of the budget from which on a larger setting is not tried."""
_NARROW = 1e-3


class Fitted(NamedTuple, Generic[A]):
    """What the search found.

    Attributes:
        answer: The largest output that fits; the smallest where none does.
        calls: How often the peer was asked.
    """

    answer: A
    calls: int


def fit(
    ask: Callable[[float], A],
    size: Callable[[A], int],
    budget: int,
    *,
    start: float,
    steps: int,
    least: float = 0.0,
) -> Fitted[A]:
    """Ask a peer at different levels until its output fits under a budget and is not much smaller.

    A level is a share in [0, 1]: a higher one should give a longer output. The next level is the last one scaled by
    what was missed, where that is well inside of what is still open, else the middle of that: peers that keep less
    than they are asked for, or more, are met in a few calls. With ``steps=1`` the peer is asked once, as it is.

    Args:
        ask: Asks at a level; may raise `PeerFailure`.
        size: Tokens of an output.
        budget: Most tokens.
        start: The first level.
        steps: Most calls, not counting a last one at ``least``.
        least: The hardest level, tried where two others did not fit: where it does not fit either, the search is over.

    Raises:
        PeerFailure: The first call failed.
    """
    low, high, level = least, 1.0, start
    best: tuple[int, A] | None = None
    smallest: tuple[int, A] | None = None
    calls, hardest = 0, steps > 1
    while calls < steps or (best is None and hardest):
        # Two that did not fit: whether any can is worth knowing before more are tried; at the end it has to be.
        if best is None and hardest and calls in (2, steps):
            level, hardest = least, False
        calls += 1
        try:
            answer = ask(level)
        except PeerFailure:
            if smallest is None:
                raise
            if best is not None or level > least:
                break
            level = (low + high) / 2  # Its hardest setting is too hard for it.
            continue
        tokens = size(answer)
        if smallest is None or tokens < smallest[0]:
            smallest = (tokens, answer)
        if tokens <= budget:
            low = level
            if best is None or tokens > best[0]:
                best = (tokens, answer)
            if tokens >= ENOUGH * budget or level >= 1:
                break
        else:
            high = level
        if high - low < _NARROW:
            break
        guess = level * budget / tokens if tokens else 1.0
        margin = 0.1 * (high - low)
        level = guess if low + margin < guess < high - margin else (low + high) / 2
    found = best or smallest
    if found is None:  # steps < 1
        raise PeerFailure("it was not asked")
    return Fitted(found[1], calls)
