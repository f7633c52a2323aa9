"""Which token prefixes several windows share: a radix tree, so that a model reads each of them once.

A node is a run of tokens after those of its ancestors. Windows of one context and several targets share the node of
the context; a prefix is shared at any depth, as in a radix tree (Morrison 1968).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import Any

import numpy as np

from ctxshrink.scorers._kept import Block, Blocks
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


@dataclass(frozen=True, slots=True)
class Tree:
    """The nodes of some windows.

    Attributes:
        levels: Those that are to be read, by depth: those of one depth can run in one batch, after those above them.
        chains: For each window all of its nodes, those that were read before first.
    """

    levels: list[list[Node]]
    chains: list[tuple[Node, ...]]


def share_prefixes(
    windows: Sequence[Window], shortest: int | None, known: Sequence[tuple[Node, ...]] | None = None
) -> Tree:
    """Puts windows into a tree.

    Args:
        windows: What is to be scored; the last token of each is predicted and not read.
        shortest: Prefixes of fewer tokens are not worth a run of their own and are read by each window; None shares
            nothing.
        known: For each window the nodes that it begins with and that were read before. Nothing is wanted of them.
    """
    tree = Tree([], [() for _ in windows])
    order = sorted(range(len(windows)), key=lambda i: windows[i].tokens)
    if shortest is None:
        for i in order:
            node = _add(tree.levels, None, 0, windows[i].tokens[:-1], 0)
            _want(windows[i], [node])
            tree.chains[i] = (node,)
        return tree
    chains = tree.chains.copy() if known is None else known
    for _, alike in groupby(order, key=lambda i: [id(n) for n in chains[i][-1:]]):
        _share(tree, windows, list(alike), shortest, chains)
    return tree


def _share(
    tree: Tree, windows: Sequence[Window], places: list[int], shortest: int, known: Sequence[tuple[Node, ...]]
) -> None:
    """The nodes of windows, in order, that begin with the same known ones."""
    levels, order, before = tree.levels, [windows[i] for i in places], known[places[0]]
    begin = before[-1].end if before else 0
    arrays = [np.asarray(w.tokens[:-1], dtype=np.int64) for w in order]
    common = [0, *(_common(a, b) for a, b in pairwise(arrays))]
    # (first window, end, depth of the tree, tokens that the chain has read, its nodes)
    pending: list[tuple[int, int, int, int, tuple[Node, ...]]] = [(0, len(order), 0, begin, before)]
    while pending:
        first, end, depth, read, chain = pending.pop()
        cuts = [first, *(i for i in range(first + 1, end) if common[i] - read < shortest), end]
        for a, b in pairwise(cuts):
            if b - a == 1:
                ids = order[a].tokens[read:-1]
                leaf = (_add(levels, chain[-1] if chain else None, depth, ids, read),) if ids else ()
                tree.chains[places[a]] = (*chain, *leaf)
                _want(order[a], tree.chains[places[a]][len(before) :])
                continue
            shared = min(common[a + 1 : b])
            node = _add(levels, chain[-1] if chain else None, depth, order[a].tokens[read:shared], read)
            pending.append((a, b, depth + 1, shared, (*chain, node)))


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


def known_prefixes(windows: Sequence[Window], blocks: Blocks) -> list[tuple[Node, ...]]:
    """The nodes that were read before of each window; all of them are context.

    Args:
        windows: What is to be scored.
        blocks: What is known.
    """
    nodes: dict[bytes, Node] = {}
    chains: list[tuple[Node, ...]] = []
    for window in windows:
        chain: tuple[Node, ...] = ()
        key, context = b"", len(window.tokens) - window.scored - 1  # the last token before the target predicts it
        for start in range(0, context - blocks.size + 1, blocks.size):
            ids = window.tokens[start : start + blocks.size]
            key = blocks.key(key, ids)
            block = blocks.get(key)
            if block is None:
                break
            if key not in nodes:
                nodes[key] = Node(chain[-1] if chain else None, ids, start, shared=True, cache=block.cache)
            chain = (*chain, nodes[key])
        chains.append(chain)
    return chains


def keep_prefixes(
    windows: Sequence[Window],
    chains: Sequence[tuple[Node, ...]],
    blocks: Blocks,
    cut: Callable[[Sequence[Node], int, int], Block],
) -> None:
    """Keeps the whole blocks of windows that were read.

    Args:
        windows: What was scored.
        chains: Their nodes, with keys and values.
        blocks: Takes them.
        cut: Gives the keys and values of the tokens from a start to an end.
    """
    for window, chain in zip(windows, chains, strict=True):
        key = b""
        for start in range(0, len(window.tokens) - blocks.size, blocks.size):
            end = start + blocks.size
            key = blocks.key(key, window.tokens[start:end])
            if blocks.get(key) is None:
                blocks.put(key, cut(chain, start, end))
