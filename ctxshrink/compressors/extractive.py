"""The `extractive` compressor: no model, verbatim units, ranked by query or by salience."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ctxshrink.compressors._index import Index
from ctxshrink.compressors._pooled import PooledCompressor
from ctxshrink.compressors._query import query_scores
from ctxshrink.compressors._salience import salience
from ctxshrink.types import Call


class ExtractiveCompressor(PooledCompressor):
    """BM25 with its surroundings where there is a query, salience where there is none.

    The signals, their weights and the dev figures behind them are in `_query` and `_salience`.

    Args:
        markers: As in `PooledCompressor`.
    """

    name = "extractive"

    def key(self, idx: Index, call: Call) -> NDArray[np.float64]:
        """Query score per unit, or salience without a query."""
        base = salience(idx, call)
        if call.query is None or not call.query.strip():
            return base
        return query_scores(idx, call.query, base)
