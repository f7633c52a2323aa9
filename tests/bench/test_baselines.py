from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ctxshrink.bench.baselines import ChunkCompressor, CosineCompressor, HybridCompressor, IdfCompressor
from ctxshrink.compressors._bm25 import bm25, query_weights
from ctxshrink.compressors._index import Index, index
from ctxshrink.tokens import resolve_counter
from ctxshrink.types import Call, Segment

DOCS = [
    "The hall was painted. A pump was replaced in May.",
    "The valve was ordered in Turin. It was late. Nobody complained.",
    "",
    "The pump runs. The pump runs again, and the pump runs on.",
]


class Known:
    """An encoder whose cosines are given."""

    def __init__(self, cosines: dict[str, float]) -> None:
        self._cosines = cosines

    def cosine(self, query: str, texts: Sequence[str]) -> NDArray[np.float64]:
        assert query == QUERY
        return np.array([self._cosines.get(t, 0.0) for t in texts])


QUERY = "When was the pump replaced?"


def call(query: str | None = QUERY, docs: Sequence[str] = DOCS) -> tuple[Index, Call]:
    counter = resolve_counter("embedded")
    segments = tuple(Segment(str(i), text) for i, text in enumerate(docs))
    made = Call(segments, dict.fromkeys((s.id for s in segments), 1), counter, query=query)
    return index(made), made


def encoder(cosines: dict[str, float]) -> Any:
    return Known(cosines)


def test_cosine_ranks_units_by_the_encoder() -> None:
    idx, made = call()
    key = CosineCompressor(encoder({"It was late.": 0.9, "The pump runs.": -0.2})).key(idx, made)
    assert [idx.text(int(u)) for u in (key.argmax(), key.argmin())] == ["It was late.", "The pump runs."]
    blind, made = call(None)
    assert not CosineCompressor(encoder({})).key(blind, made).any()


def test_hybrid_is_the_sum_of_both_z_scores() -> None:
    idx, made = call()
    cosines = {idx.text(u): 0.1 * u for u in range(idx.size)}
    words, vectors = bm25(idx, query_weights(idx, QUERY)), np.arange(idx.size) * 0.1
    expected = (words - words.mean()) / words.std() + (vectors - vectors.mean()) / vectors.std()
    np.testing.assert_allclose(HybridCompressor(encoder(cosines)).key(idx, made), expected, atol=1e-9)
    # Where all cosines are the same, BM25 alone decides.
    flat = HybridCompressor(encoder({})).key(idx, made)
    np.testing.assert_allclose(flat, (words - words.mean()) / words.std(), atol=1e-9)


def test_chunks_come_whole_the_best_first() -> None:
    idx, made = call()
    key = ChunkCompressor(encoder({DOCS[0]: 0.1, DOCS[1]: 0.8, DOCS[3]: 0.5})).key(idx, made)
    order = [(int(idx.segment[u]), int(u - idx.offset[idx.segment[u]])) for u in np.argsort(-key)]
    assert order == [(1, 0), (1, 1), (1, 2), (3, 0), (3, 1), (0, 0), (0, 1)]


def test_idf_adds_up_the_rarity_of_distinct_terms() -> None:
    idx, made = call(None)
    key = IdfCompressor().key(idx, made)
    for unit in range(idx.size):
        terms = {int(t) for t, row in zip(idx.term, idx.row, strict=True) if row == unit}
        assert key[unit] == pytest.approx(sum(idx.idf()[t] for t in terms))


@pytest.mark.parametrize("make", [CosineCompressor, HybridCompressor, ChunkCompressor])
def test_a_call_without_text(make: Any) -> None:
    idx, made = call(docs=["", ""])
    assert make(encoder({})).key(idx, made).shape == (0,)
    idx, made = call(docs=[])
    assert make(encoder({})).key(idx, made).shape == (0,)
    assert IdfCompressor().key(idx, made).shape == (0,)
