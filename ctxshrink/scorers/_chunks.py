"""The chunks that the embedded scorer's graph reads: what several texts with one beginning share is one chunk."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ctxshrink.errors import ModelError
from ctxshrink.scorers._kept import Blocks
from ctxshrink.scorers._windows import Window

Known: TypeAlias = "dict[tuple[int, tuple[int, ...]], Chunk]"
"""Chunks by the identity of the one before (0 at the start of a text) and their tokens."""


class Chunk:
    """Tokens after a chain of parent chunks: what several texts with one beginning share.

    Attributes:
        chain: Its ancestors from the first chunk on.
        ids: Its tokens, at most a chunk.
        shared: True when another chunk follows, so that its keys and values are needed.
        wanted: (position in the chunk, token expected next, where the nats go).
        cache: Keys and values, (layers, 2, kv heads, chunk, head size), once computed.
        key: Where a session keeps a whole chunk; empty where none does.
    """

    __slots__ = ("cache", "chain", "ids", "key", "shared", "wanted")

    def __init__(self, chain: tuple[Chunk, ...], ids: tuple[int, ...]) -> None:
        self.chain, self.ids = chain, ids
        self.shared = False
        self.wanted: list[tuple[int, int, tuple[int, int]]] = []
        self.cache: NDArray[np.float32] | None = None
        self.key = b""

    def read(self) -> NDArray[np.float32]:
        """Its keys and values.

        Raises:
            ModelError: It was not computed; levels are run in order, so this cannot happen.
        """
        if self.cache is None:
            raise ModelError("a chunk was read before the one that it follows")
        return self.cache


def place(window: Window, size: int, levels: list[list[Chunk]], known: Known, blocks: Blocks | None) -> None:
    """Puts a window's chunks into the tree and notes which tokens are wanted of each.

    Args:
        window: What is scored.
        size: Tokens of a chunk.
        levels: All chunks by their place in their texts; takes the new ones.
        known: All chunks; takes the new ones.
        blocks: What a session knows.
    """
    read = window.tokens[:-1]
    chain: tuple[Chunk, ...] = ()
    for depth, start in enumerate(range(0, len(read), size)):
        ids = read[start : start + size]
        key = (id(chain[-1]) if chain else 0, ids)
        node = known.get(key)
        if node is None:
            node = known[key] = Chunk(chain, ids)
            if blocks is not None and len(ids) == size:
                _look_back(node, blocks)
            if depth == len(levels):
                levels.append([])
            levels[depth].append(node)
        if chain:
            chain[-1].shared = True
        chain = (*chain, node)
    begin = len(window.tokens) - window.scored
    for i, token in enumerate(window.tokens[begin:]):
        position = begin + i - 1
        chain[position // size].wanted.append((position % size, token, (window.pair, window.offset + i)))


def _look_back(node: Chunk, blocks: Blocks) -> None:
    """What a session knows of a whole chunk."""
    node.key = blocks.key(node.chain[-1].key if node.chain else b"", node.ids)
    block = blocks.get(node.key)
    if block is not None:
        node.cache = block.cache
