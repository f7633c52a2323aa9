"""The `extractive` compressor: no model, verbatim units, ranked by query or by salience."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ctxshrink.compressors._index import Index
from ctxshrink.compressors._pooled import PooledCompressor
from ctxshrink.compressors._query import query_scores
from ctxshrink.compressors._render import Markers
from ctxshrink.compressors._salience import salience
from ctxshrink.types import Call

_RANK = "ctxshrink.compressors.extractive.rank"


class ExtractiveCompressor(PooledCompressor):
    """BM25 with its surroundings where there is a query, salience where there is none.

    The signals, their weights and the dev figures behind them are in `_query` and `_salience`.

    Args:
        markers: As in `PooledCompressor`.
        structure: As in `PooledCompressor`.
    """

    name = "extractive"

    def __init__(self, *, markers: Markers = "auto", structure: bool = True) -> None:
        super().__init__(markers=markers, structure=structure)

    def key(self, idx: Index, call: Call) -> NDArray[np.float64]:
        """Query score per unit, or salience without a query."""
        return lexical_rank(idx, call)


def lexical_rank(idx: Index, call: Call) -> NDArray[np.float64]:
    """Query score per unit, or salience without a query, shape (units,); computed once per call."""
    key = _RANK, idx.structured
    found = call.cache.get(key)
    if found is None:
        found = salience(idx, call)
        if call.query is not None and call.query.strip():
            found = query_scores(idx, call.query, found)
        call.cache[key] = found
    return found


def lexical_shares(idx: Index, call: Call) -> NDArray[np.float64]:
    """`lexical_rank` of every unit of a call as a share of the highest, in [0, 1], shape (units,)."""
    rank = lexical_rank(idx, call)
    top = float(rank.max()) if idx.size else 0.0
    return rank / top if top > 0 else np.zeros(idx.size)
