"""How every scorer fits a (context, target) pair into its model's window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

STEP = 128
"""A context is cut by multiples of this, so that a few targets of different length after one context still share it."""


@dataclass(frozen=True, slots=True)
class Window:
    """One run of the model.

    Attributes:
        pair: Index of the pair it belongs to.
        offset: Index of its first scored token in the pair's target.
        tokens: Ids, the start-of-text id first.
        scored: How many of the last tokens are scored; the others are context.
    """

    pair: int
    offset: int
    tokens: tuple[int, ...]
    scored: int


def split_windows(pair: int, context: Sequence[int], target: Sequence[int], size: int, bos: int) -> Iterator[Window]:
    """Windows that score every token of the target once.

    What fits is one window. Otherwise the target is scored in pieces of at most half the window, each after as much of
    what stands before it, context and target, as fits; the cut is at the left.

    Args:
        pair: Index of the pair.
        context: Token ids of the context.
        target: Token ids of the target.
        size: Tokens that the model can read. The last token of a window is predicted and not read, so the
            start-of-text token costs nothing.
        bos: Start-of-text id.
    """
    if len(context) + len(target) <= size:
        if target:
            yield Window(pair, 0, (bos, *context, *target), len(target))
        return
    everything = (*context, *target)
    piece = max(1, size // 2)
    step = min(STEP, max(1, size // 8))
    for offset in range(0, len(target), piece):
        end = len(context) + min(len(target), offset + piece)
        scored = end - len(context) - offset
        excess = max(0, end - size)
        # The cut is rounded up, and never reaches the scored tokens: piece + step <= size.
        start = min(-(-excess // step) * step, end - scored)
        yield Window(pair, offset, (bos, *everything[start:end]), scored)


def tail(text: str, size: int) -> str:
    """The end of a context that can matter to a window of ``size`` tokens, so that a huge one costs no more."""
    return text[-64 * size :]


def group_windows(windows: Sequence[Window], size: int) -> Iterator[list[Window]]:
    """Runs of windows of at most ``size`` tokens together, one window at least."""
    group: list[Window] = []
    tokens = 0
    for window in windows:
        if group and tokens + len(window.tokens) > size:
            yield group
            group, tokens = [], 0
        group.append(window)
        tokens += len(window.tokens)
    if group:
        yield group
