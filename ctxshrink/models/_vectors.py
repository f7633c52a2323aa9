"""What the encoder gives for a row, and the cache of it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["CACHE", "CACHE_BYTES", "Encoded", "VectorCache"]

CACHE_BYTES = 64_000_000
"""Most bytes of the vectors and logits that the process keeps: about 83,000 tokens of width 384."""


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """A row of tokens as the encoder sees it. The arrays are shared and cannot be written to.

    Attributes:
        vectors: (tokens, width) float16, the contextual vectors.
        logits: (tokens, heads) float32, the token head.
    """

    vectors: NDArray[np.float16]
    logits: NDArray[np.float32]

    def __post_init__(self) -> None:
        self.vectors.flags.writeable = False
        self.logits.flags.writeable = False

    @property
    def nbytes(self) -> int:
        """Bytes of both arrays."""
        return self.vectors.nbytes + self.logits.nbytes


class VectorCache:
    """The most recently used rows within a bound of bytes. Safe to use from several threads.

    Args:
        most: Bytes of arrays that it holds at most.
    """

    def __init__(self, most: int = CACHE_BYTES) -> None:
        self._most, self._bytes = most, 0
        self._rows: OrderedDict[bytes, Encoded] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays that are held."""
        return self._bytes

    def get(self, key: bytes) -> Encoded | None:
        """The row of a key, if it is held."""
        with self._lock:
            found = self._rows.get(key)
            if found is not None:
                self._rows.move_to_end(key)
            return found

    def put(self, key: bytes, row: Encoded) -> None:
        """Holds a row and lets go of those unused the longest until all fit; one that cannot fit is not held."""
        if row.nbytes > self._most:
            return
        with self._lock:
            old = self._rows.pop(key, None)
            self._bytes += row.nbytes - (old.nbytes if old is not None else 0)
            self._rows[key] = row
            while self._bytes > self._most:
                _, dropped = self._rows.popitem(last=False)
                self._bytes -= dropped.nbytes

    def clear(self) -> None:
        """Lets go of everything."""
        with self._lock:
            self._rows.clear()
            self._bytes = 0


CACHE = VectorCache()
"""The one of the process."""
