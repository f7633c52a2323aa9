"""Each different pair of a call is computed once, by every scorer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink.scorers._pairs import Nats, Pair, score_distinct

SIZE = 8
TEXTS = st.text("ab", max_size=3)


class Counting:
    """Scores a pair by its lengths, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Pair] = []

    def __call__(self, pairs: Sequence[Pair]) -> list[Nats]:
        self.asked += pairs
        return [np.full(len(t), len(c), dtype=np.float32) for c, t in pairs]


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=12))
def test_every_pair_is_answered_and_different_ones_are_computed_once(pairs: list[Pair]) -> None:
    compute = Counting()
    found = score_distinct(pairs, SIZE, compute)
    assert sorted(compute.asked) == sorted(set(pairs))
    assert [n.tolist() for n in found] == [[len(c)] * len(t) for c, t in pairs]
    for nats in found:
        nats += 1
    assert [n.tolist() for n in found] == [[len(c) + 1] * len(t) for c, t in pairs]


def test_what_stands_before_the_window_makes_no_difference() -> None:
    compute = Counting()
    end = "x" * 64 * SIZE
    score_distinct([("one" + end, "t"), ("other" + end, "t")], SIZE, compute)
    assert compute.asked == [(end, "t")]
