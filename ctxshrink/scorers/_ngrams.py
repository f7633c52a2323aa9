"""A table of n-grams: what followed the last one to four tokens in text that nobody had time to train on.

Counting reads a corpus many times faster than a small network learns it. Held are the n-grams that save most bits, in
contexts that are found by a hash. A wrong context (1 in 2,000 for a table of half a million) is still a distribution.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ctxshrink.scorers._mixture import Floats, Ints, Steps, scored_tokens
from ctxshrink.scorers._windows import Window

FILE = "ngrams.npz"
LENGTHS = (1, 2, 3, 4)
"""Lengths of the contexts; one step of the mixture each."""

WORDS = 255
"""Most tokens that are held of a context."""

_HASH_BITS = 30
_OCTAVE = 8
"""Steps by which a share is stored, to a factor of two."""


@dataclass(frozen=True, slots=True)
class NgramTable:
    """The table.

    Attributes:
        hashes: (contexts,) uint32, ascending.
        cells: (contexts,) uint8, the weight that applies.
        starts: (contexts + 1,) where each context's tokens begin.
        words: (n-grams,) uint16, ascending within a context.
        shares: (n-grams,) float32; they sum to 1 within a context.
    """

    hashes: NDArray[np.uint32]
    cells: NDArray[np.uint8]
    starts: Ints
    words: NDArray[np.uint16]
    shares: NDArray[np.float32]

    @property
    def steps(self) -> int:
        """Steps that it adds to the mixture."""
        return len(LENGTHS)

    @classmethod
    def read(cls, data: bytes) -> NgramTable:
        """Reads the bytes of a file.

        Raises:
            ValueError: They are not such a file.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as stored:
                gaps, cells, sizes = stored["gaps"], stored["cells"], stored["sizes"]
                words, levels = stored["words"], stored["levels"]
        except Exception as error:  # zip, zlib and npy each have errors of their own for damaged bytes
            raise ValueError(f"not a table of n-grams: {error}") from error
        if not (len(gaps) == len(cells) == len(sizes) and int(sizes.sum()) == len(words) == len(levels)):
            raise ValueError("not a table of n-grams: its parts are of different lengths")
        hashes = np.cumsum(gaps, dtype=np.uint32)
        starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        return cls(hashes, cells, starts, words, _normalized(levels, starts))

    def write(self, levels: NDArray[np.uint8]) -> bytes:
        """The bytes of a file.

        Args:
            levels: The shares as `quantize` gave them.
        """
        out = io.BytesIO()
        gaps = np.diff(self.hashes, prepend=np.uint32(0))
        small = np.uint16 if int(gaps.max(initial=0)) < 65536 else np.uint32
        np.savez_compressed(
            out,
            gaps=gaps.astype(small),
            cells=self.cells,
            sizes=np.diff(self.starts).astype(np.uint8),
            words=self.words,
            levels=levels,
        )
        return out.getvalue()

    def look_up(self, windows: Sequence[Window]) -> Steps:
        """The steps of every scored token of the windows, in order."""
        tokens, owner, scored = scored_tokens(windows)
        position = scored - np.searchsorted(owner, np.arange(len(windows)))[owner[scored]]
        wanted = tokens[scored]
        cells = np.full((len(scored), len(LENGTHS)), -1, dtype=np.int64)
        shares = np.zeros((len(scored), len(LENGTHS)))
        for step, length in enumerate(LENGTHS):
            rows = np.flatnonzero(position >= length)
            found = self._find(hash_contexts([tokens[scored[rows] - length + i] for i in range(length)]))
            rows, found = rows[found >= 0], found[found >= 0]
            cells[rows, step] = self.cells[found]
            shares[rows, step] = self._share(found, wanted[rows])
        return Steps(cells, shares)

    def _find(self, hashes: NDArray[np.uint32]) -> Ints:
        if not len(self.hashes):
            return np.full(len(hashes), -1, dtype=np.int64)
        at = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        return np.where(self.hashes[at] == hashes, at, -1)

    def _share(self, contexts: Ints, wanted: Ints) -> Floats:
        """Share of a token in a context, 0 where it is not held; a binary search in all contexts at once."""
        low, high = self.starts[contexts], self.starts[contexts + 1]
        end = high
        for _ in range(WORDS.bit_length()):
            middle = np.minimum((low + high) // 2, len(self.words) - 1)
            less = (low < high) & (self.words[middle] < wanted)
            low, high = np.where(less, middle + 1, low), np.where(less, high, np.where(low < high, middle, high))
        at = np.minimum(low, len(self.words) - 1)
        return np.where((low < end) & (self.words[at] == wanted), self.shares[at], 0.0).astype(np.float64)


def hash_contexts(columns: Sequence[Ints]) -> NDArray[np.uint32]:
    """Hash of contexts given column by column, the oldest token first; shape (contexts,)."""
    h = np.full(len(columns[0]), 0x9E3779B97F4A7C15 * len(columns) % 2**64, dtype=np.uint64)
    for column in columns:
        h = (h ^ column.astype(np.uint64)) * np.uint64(0xD6E8FEB86659FD93)
        h ^= h >> np.uint64(32)
    return (h >> np.uint64(64 - _HASH_BITS)).astype(np.uint32)


def quantize(shares: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Shares in (0, 1] as bytes."""
    return np.clip(np.rint(-np.log2(shares) * _OCTAVE), 0, 255).astype(np.uint8)


def _normalized(levels: NDArray[np.uint8], starts: Ints) -> NDArray[np.float32]:
    raw = np.exp2(-np.arange(256) / _OCTAVE)[levels]
    sums = np.add.reduceat(raw, starts[:-1]) if len(raw) else np.zeros(0)
    return (raw / np.repeat(sums, np.diff(starts))).astype(np.float32)
