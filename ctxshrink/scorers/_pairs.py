"""What every scorer does with the pairs of one call: each different pair is computed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ctxshrink.scorers._windows import tail

Pair = tuple[str, str]
Nats = NDArray[np.float32]


def score_distinct(pairs: Sequence[Pair], size: int, compute: Callable[[Sequence[Pair]], list[Nats]]) -> list[Nats]:
    """Scores the different ones of the pairs and gives each pair its own copy.

    Contexts are cut to what can matter to a window of ``size`` tokens first, so that pairs which differ only before
    that are the same.

    Args:
        pairs: (context, target) texts.
        size: Tokens of the scorer's window.
        compute: Scores pairs that all differ, in order.
    """
    cut = [(tail(context, size), target) for context, target in pairs]
    distinct = list(dict.fromkeys(cut))
    found = dict(zip(distinct, compute(distinct), strict=True)) if distinct else {}
    if len(distinct) == len(cut):
        return [found[p] for p in cut]
    return [found[p].copy() for p in cut]
