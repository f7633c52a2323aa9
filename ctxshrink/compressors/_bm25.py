"""BM25 over the units of a call (Robertson and Zaragoza 2009, The Probabilistic Relevance Framework, section 3.5)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ctxshrink.compressors._index import Index

K1 = 1.2
B = 0.75


def query_weights(idx: Index, query: str) -> NDArray[np.float64]:
    """How often each term of the vocabulary stands in the query, shape (terms,)."""
    return np.bincount(idx.vocabulary.lookup(query), minlength=max(1, len(idx.vocabulary))).astype(np.float64)


def bm25(idx: Index, weights: NDArray[np.float64], k1: float = K1, b: float = B) -> NDArray[np.float64]:
    """BM25 of each unit for weighted query terms.

    Args:
        idx: The units.
        weights: Weight of each term in the query, shape (terms,).
        k1: Term frequency saturation.
        b: Length normalisation.

    Returns:
        Scores >= 0, shape (units,).
    """
    if not idx.size:
        return np.zeros(0)
    hit = weights[idx.term] > 0
    row, term, tf = idx.row[hit], idx.term[hit], idx.tf[hit]
    norm = 1 - b + b * idx.length[row] / max(1.0, float(idx.length.mean()))
    part = weights[term] * idx.idf()[term] * tf * (k1 + 1) / (tf + k1 * norm)
    return np.bincount(row, weights=part, minlength=idx.size).astype(np.float64)


def bm25_segments(idx: Index, weights: NDArray[np.float64], k1: float = K1, b: float = B) -> NDArray[np.float64]:
    """BM25 of each whole segment with its title, shape (segments,)."""
    n = len(idx.segments)
    hit = weights[idx.term] > 0
    width = max(1, len(idx.vocabulary))
    pairs = idx.segment[idx.row[hit]] * width + idx.term[hit]
    counts = idx.tf[hit]
    titles = [(i, t) for i, seg in enumerate(idx.segments) if seg.title for t in idx.vocabulary.lookup(seg.title)]
    titles = [(i, t) for i, t in titles if weights[t] > 0]
    pairs = np.concatenate([pairs, np.array([i * width + t for i, t in titles], dtype=np.int64)])
    counts = np.concatenate([counts, np.ones(len(titles))])
    pair, inverse = np.unique(pairs, return_inverse=True)
    tf = np.bincount(inverse, weights=counts, minlength=len(pair))
    doc, term = pair // width, pair % width
    df = np.bincount(term, minlength=width).astype(np.float64)
    idf = np.log1p((n - df + 0.5) / (df + 0.5))
    length = np.bincount(idx.segment, weights=idx.length, minlength=n) if idx.size else np.zeros(n)
    norm = 1 - b + b * length[doc] / max(1.0, float(length.mean()) if n else 1.0)
    part = weights[term] * idf[term] * tf * (k1 + 1) / (tf + k1 * norm)
    return np.bincount(doc, weights=part, minlength=n).astype(np.float64)
