"""The tree of prefixes: every token of every window is read once on its chain, and wanted where it is predicted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ctxshrink.scorers._prefixes import Node, share_prefixes
from ctxshrink.scorers._windows import Window


def read_by(node: Node) -> tuple[int, ...]:
    return tuple(t for n in (*node.chain(), node) for t in n.ids)


def windows_of(texts: list[tuple[list[int], int]]) -> list[Window]:
    return [Window(i, 0, (0, *tokens), min(scored, len(tokens))) for i, (tokens, scored) in enumerate(texts)]


TEXTS = st.lists(st.tuples(st.lists(st.integers(1, 2), min_size=1, max_size=14), st.integers(1, 14)), max_size=12)


@given(texts=TEXTS, shortest=st.one_of(st.none(), st.integers(1, 6)))
def test_every_scored_token_is_wanted_once_after_what_stands_before_it(
    texts: list[tuple[list[int], int]], shortest: int | None
) -> None:
    windows = windows_of(texts)
    found: dict[tuple[int, int], tuple[tuple[int, ...], int]] = {}
    for depth, level in enumerate(share_prefixes(windows, shortest).levels):
        for node in level:
            assert node.ids
            assert len(node.chain()) == depth
            assert node.start == sum(len(n.ids) for n in node.chain())
            assert all(n.shared for n in node.chain())
            for place, token, pair, index in node.wanted:
                assert (pair, index) not in found
                found[pair, index] = read_by(node)[: node.start + place + 1], token
    expected = {
        (w.pair, i): (w.tokens[: len(w.tokens) - w.scored + i], w.tokens[len(w.tokens) - w.scored + i])
        for w in windows
        for i in range(w.scored)
    }
    assert found == expected


@given(texts=TEXTS)
def test_with_no_shortest_prefix_every_prefix_is_read_once(texts: list[tuple[list[int], int]]) -> None:
    windows = windows_of(texts)
    levels = share_prefixes(windows, 1).levels
    prefixes = {w.tokens[:n] for w in windows for n in range(1, len(w.tokens))}
    assert sum(len(n.ids) for level in levels for n in level) == len(prefixes)


def test_without_sharing_every_window_is_read() -> None:
    windows = windows_of([([1] * 40, 2)] * 3)
    [level] = share_prefixes(windows, None).levels
    assert [len(n.ids) for n in level] == [40] * 3
    assert not any(n.shared for n in level)


def test_a_long_chain_of_prefixes_needs_no_recursion() -> None:
    windows = [Window(i, 0, (0,) * (2 * i + 2), 1) for i in range(500)]
    assert len(share_prefixes(windows, 1).levels) == 500
