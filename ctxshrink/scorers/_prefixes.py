"""Which token prefixes several windows share: a radix tree, so that a model reads each of them once.

A node is a run of tokens after those of its ancestors. Windows of one context and several targets share the node of
the context; a prefix is shared at any depth, as in a radix tree (Morrison 1968).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from ctxshrink.scorers._windows import Window


@dataclass(slots=True, eq=False)
class Node:
    """Tokens that are read together.

    Attributes:
        parent: What stands before them, None at the start of a text.
        ids: The tokens, at least one.
        start: Position of the first one, which is the number of tokens of the ancestors.
        shared: True when another node follows, so that its keys and values are needed.
        wanted: (index in ``ids``, token expected next, pair, index in the pair's target).
        cache: Keys and values of ``ids``, in a form that is the model's affair, once computed.
    """

    parent: Node | None
    ids: tuple[int, ...]
    start: int
    shared: bool = False
    wanted: list[tuple[int, int, int, int]] = field(default_factory=lambda: [])
    cache: Any = None

    @property
    def end(self) -> int:
        """Position after the last token."""
        return self.start + len(self.ids)

    def chain(self) -> list[Node]:
        """Its ancestors, the first one first."""
        found: list[Node] = []
        node = self.parent
        while node is not None:
            found.append(node)
            node = node.parent
        return found[::-1]


def share_prefixes(windows: Sequence[Window], shortest: int | None) -> list[list[Node]]:
    """The nodes of all windows by depth: those of one depth can run in one batch, after those above them.

    Args:
        windows: What is to be scored; the last token of each is predicted and not read.
        shortest: Prefixes of fewer tokens are not worth a run of their own and are read by each window; None shares
            nothing.
    """
    levels: list[list[Node]] = []
    order = sorted(windows, key=lambda w: w.tokens)
    if shortest is None:
        for window in order:
            read = window.tokens[:-1]
            _want(window, [_add(levels, None, 0, read, 0)])
        return levels
    arrays = [np.asarray(w.tokens[:-1], dtype=np.int64) for w in order]
    common = [0, *(_common(a, b) for a, b in pairwise(arrays))]
    # (first window, end, depth of the tree, tokens that the chain has read, its nodes)
    pending: list[tuple[int, int, int, int, tuple[Node, ...]]] = [(0, len(order), 0, 0, ())] if order else []
    while pending:
        first, end, depth, read, chain = pending.pop()
        cuts = [first, *(i for i in range(first + 1, end) if common[i] - read < shortest), end]
        for a, b in pairwise(cuts):
            if b - a == 1:
                ids = order[a].tokens[read:-1]
                leaf = (_add(levels, chain[-1] if chain else None, depth, ids, read),) if ids else ()
                _want(order[a], [*chain, *leaf])
                continue
            shared = min(common[a + 1 : b])
            node = _add(levels, chain[-1] if chain else None, depth, order[a].tokens[read:shared], read)
            pending.append((a, b, depth + 1, shared, (*chain, node)))
    return levels


def _add(levels: list[list[Node]], parent: Node | None, depth: int, ids: tuple[int, ...], start: int) -> Node:
    node = Node(parent, ids, start)
    if parent is not None:
        parent.shared = True
    while len(levels) <= depth:
        levels.append([])
    levels[depth].append(node)
    return node


def _want(window: Window, chain: Sequence[Node]) -> None:
    """Notes at which nodes of its chain a window's scored tokens are predicted."""
    begin = len(window.tokens) - window.scored
    for node in chain:
        for position in range(max(begin - 1, node.start), min(len(window.tokens) - 1, node.end)):
            where = position - node.start, window.tokens[position + 1]
            node.wanted.append((*where, window.pair, window.offset + position + 1 - begin))


def _common(a: Any, b: Any) -> int:
    """Tokens that two texts begin with alike."""
    size = min(len(a), len(b))
    different = a[:size] != b[:size]
    return int(different.argmax()) if different.any() else size
