"""A call of one text, for judging outside a `Shrinker`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ctxshrink.types import Call, Goal, Segment


@dataclass(frozen=True, slots=True)
class _NoCounter:
    """Stands in where `judge` is called outside a `Shrinker`: guardrails do not count tokens."""

    name: str = "none"
    exact: bool = False

    def count(self, texts: Sequence[str], /) -> list[int]:
        return [0] * len(texts)


def single_call(original: str, query: str | None, anchor: str | None) -> Call:
    """The call that `judge` makes of its arguments."""
    return Call((Segment("0", original),), {"0": 0}, _NoCounter(), Goal(), query, anchor or query)
