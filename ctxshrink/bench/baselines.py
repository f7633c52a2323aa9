"""Baselines that only a benchmark needs: cosine of a sentence encoder, alone or mixed, and rarity without a question.

All pick from the same pool of units with the same budget as the package's own compressors (`PooledCompressor`); each
says what ranks first and nothing else.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ctxshrink.compressors._bm25 import bm25, query_weights
from ctxshrink.compressors._index import Index
from ctxshrink.compressors._pooled import PooledCompressor
from ctxshrink.types import Call

from .encoder import SentenceEncoder


class CosineCompressor(PooledCompressor):
    """Units by the cosine of their sentence vector with the query's. Without a query the earliest come first.

    Args:
        encoder: Gives the vectors.
    """

    name = "minilm"

    def __init__(self, encoder: SentenceEncoder) -> None:
        super().__init__()
        self._encoder = encoder

    def key(self, idx: Index, call: Call) -> NDArray[np.float64]:
        """Cosine of each unit."""
        return self._cosine(call, [idx.text(u) for u in range(idx.size)])

    def _cosine(self, call: Call, texts: list[str]) -> NDArray[np.float64]:
        return self._encoder.cosine(call.query, texts) if call.query else np.zeros(len(texts))


class HybridCompressor(CosineCompressor):
    """Units by the sum of two z-scores, each over the units of the call: BM25 and `CosineCompressor`'s cosine."""

    name = "hybrid"

    def key(self, idx: Index, call: Call) -> NDArray[np.float64]:
        """The sum for each unit."""
        words = bm25(idx, query_weights(idx, call.query or ""))
        return _standard(words) + _standard(super().key(idx, call))


class ChunkCompressor(CosineCompressor):
    """Whole chunks by cosine, the best first: what LangChain's ``EmbeddingsFilter`` keeps.

    That filter keeps whole chunks and would leave up to a chunk of the budget unspent. Here the first chunk that does
    not fit is cut at the end of a sentence, and what is still left goes to the beginning of the next ones: the budget
    is spent as by the other methods, so that the comparison never leans against this one.
    """

    name = "chunks"

    def key(self, idx: Index, call: Call) -> NDArray[np.float64]:
        """Chunks by their cosine, their units from the first to the last."""
        order = np.argsort(-self._cosine(call, [s.text for s in idx.segments]), kind="stable")
        place = np.empty(len(idx.segments), dtype=np.int64)
        place[order] = np.arange(len(order))
        # Units of a chunk follow each other, and chunks follow each other by rank.
        sizes = np.diff(idx.offset)[order]
        start = np.concatenate([[0], np.cumsum(sizes)[:-1]])[place] if len(order) else np.zeros(0)
        within = np.arange(idx.size) - idx.offset[idx.segment]
        return -(start[idx.segment] + within).astype(np.float64)


class IdfCompressor(PooledCompressor):
    """Units by the rarity of what they say, the question unseen: the sum of their distinct terms' idf.

    Of three forms the strongest on the dev halves of the chat sets (3 records each, mean of the probes answered at keep
    0.5/0.25): the sum 81.8/62.2, the mean over terms 79.2/59.4, the sum by tokens 74.3/58.0.
    """

    name = "idf"

    def key(self, idx: Index, call: Call) -> NDArray[np.float64]:
        """Summed idf of each unit's terms."""
        return np.bincount(idx.row, weights=idx.idf()[idx.term], minlength=idx.size).astype(np.float64)


def _standard(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Z-scores; zeros where all values are the same."""
    spread = float(values.std()) if values.size else 0.0
    return (values - values.mean()) / spread if spread > 0 else np.zeros_like(values)
