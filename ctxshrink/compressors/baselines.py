"""Plain baselines with the same protocol, to measure against: `bm25`, `lead`, `random`, `truncate`."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from ctxshrink.compressors._bm25 import bm25, query_weights
from ctxshrink.compressors._index import Index
from ctxshrink.compressors._pooled import PooledCompressor
from ctxshrink.compressors._render import Markers
from ctxshrink.types import Call


class BM25Compressor(PooledCompressor):
    """Textbook BM25 over the call's units, pooled; nothing else. Without a query the earliest units come first."""

    name = "bm25"

    def key(self, idx: Index, call: Call) -> NDArray[np.float64]:
        """BM25 of each unit."""
        return bm25(idx, query_weights(idx, call.query or ""))


class LeadCompressor(PooledCompressor):
    """The first units of every segment."""

    name = "lead"

    def key(self, idx: Index, call: Call) -> NDArray[np.float64]:
        """Minus the place in the segment."""
        return (idx.offset[idx.segment] - np.arange(idx.size)).astype(np.float64)


class TruncateCompressor(PooledCompressor):
    """The newest text of the call: fills from the end, what a sliding window does."""

    name = "truncate"

    def key(self, idx: Index, call: Call) -> NDArray[np.float64]:
        """Place in the call."""
        return np.arange(idx.size, dtype=np.float64)


class RandomCompressor(PooledCompressor):
    """Units drawn by a hash of the seed, the segment and the place, the same in every process.

    Args:
        seed: Another seed draws other units.
        markers: As in `PooledCompressor`.
    """

    name = "random"

    def __init__(self, *, seed: int = 0, markers: Markers = "auto") -> None:
        super().__init__(markers=markers)
        self.seed = seed

    def key(self, idx: Index, call: Call) -> NDArray[np.float64]:
        """Uniform numbers."""
        out = np.zeros(idx.size)
        for i, seg in enumerate(idx.segments):
            first, end = int(idx.offset[i]), int(idx.offset[i + 1])
            material = f"{self.seed}\x00{seg.id}".encode("utf-8", "surrogatepass")
            state = int.from_bytes(hashlib.sha256(material).digest()[:8], "little")
            out[first:end] = np.random.default_rng(state).random(end - first)
        return out
