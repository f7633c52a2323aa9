"""A call of one text, for judging outside a `Shrinker`."""

from __future__ import annotations

from ctxshrink.text import content_type
from ctxshrink.tokens import EmbeddedCounter
from ctxshrink.types import Call, Goal, Segment


def single_call(original: str, query: str | None, anchor: str | None) -> Call:
    """The call that `judge` makes of its arguments."""
    counter = EmbeddedCounter()
    [tokens] = counter.count([original])
    segment = Segment("0", original, content_type=content_type(original))
    return Call((segment,), {"0": tokens}, counter, Goal(), query, anchor or query)
