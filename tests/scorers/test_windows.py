"""Windows: every target token is scored once, after as much context as fits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ctxshrink.scorers._windows import split_windows, tail


@given(
    context=st.lists(st.integers(1, 9), max_size=90),
    target=st.lists(st.integers(1, 9), max_size=90),
    size=st.integers(8, 64),
)
def test_every_target_token_is_scored_once(context: list[int], target: list[int], size: int) -> None:
    scored: list[int] = []
    everything = context + target
    for w in split_windows(3, context, target, size, bos=0):
        assert w.pair == 3
        assert w.offset == len(scored)
        assert w.tokens[0] == 0
        assert len(w.tokens) - 1 <= size
        end = len(context) + w.offset + w.scored
        assert list(w.tokens[1:]) == everything[end - len(w.tokens) + 1 : end]
        scored += w.tokens[-w.scored :]
    assert scored == target


@given(context=st.integers(0, 5000), extra=st.integers(1, 60))
def test_targets_of_like_length_share_the_context(context: int, extra: int) -> None:
    ids = list(range(1, context + 1))
    windows = [next(split_windows(0, ids, [-1] * n, 1024, 0)) for n in (extra, extra + 3)]
    cuts = [context - sum(t > 0 for t in w.tokens) for w in windows]
    # Two neighbouring lengths may fall on two sides of a step, but no more than that.
    assert all(c % 128 == 0 for c in cuts)
    assert cuts[1] - cuts[0] in (0, 128)
    if context + extra + 3 <= 1024:
        assert cuts == [0, 0]


def test_half_a_window_of_context_before_every_later_piece() -> None:
    windows = list(split_windows(0, [], list(range(1, 4001)), 1024, 0))
    assert all(len(w.tokens) - 1 - w.scored >= 1024 - 512 - 128 for w in windows[1:])


def test_the_tail_holds_a_window() -> None:
    assert tail("ab" * 10, 1024) == "ab" * 10
    assert len(tail("x" * 10_000_000, 1024)) == 64 * 1024
