"""What the encoder gives for a row, and the cache of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ctxshrink._lru import LruCache

__all__ = ["CACHE", "CACHE_BYTES", "Encoded"]

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


CACHE: LruCache[Encoded] = LruCache(CACHE_BYTES)
