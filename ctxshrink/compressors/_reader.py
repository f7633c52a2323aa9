"""What the embedded encoder sees in a call: one pass over each window of text and over the query, matched late.

Windows and query go through the encoder apart, so a window is read once for all queries and its vectors can be kept.
The query's tokens meet the window's tokens afterwards (late interaction; Khattab and Zaharia 2020, ColBERT, section 3).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ctxshrink.compressors._index import Index
from ctxshrink.models.encoder import Encoder

TITLE = 24
"""Most tokens of a title, as in training."""
QUERY = 64
"""Most tokens of a query that are matched."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Reading:
    """What the encoder found in each unit.

    Attributes:
        read: Which units were read, shape (units,).
        asked: Log-odds that people ask about the unit, 0 for units that were not read, shape (units,).
        mean: Cosine of the unit's mean vector and the query's, -1 for units that were not read, shape (units,).
        late: Mean over the query's tokens of the best cosine among the unit's tokens, -1 again, shape (units,).
        window: Cosine of the unit's window and the query, -1 again, shape (units,).
    """

    read: NDArray[np.bool_]
    asked: Floats
    mean: Floats
    late: Floats
    window: Floats


@dataclass(frozen=True, slots=True)
class _Window:
    """Token ids with the units in them: ``units[i]``, or a piece of it, begins at ``starts[i]``."""

    ids: list[int]
    units: list[int]
    starts: list[int]


def read(idx: Index, query: str, encoder: Encoder, segments: Sequence[int]) -> Reading:
    """Read the units of some segments and match them with a query.

    Args:
        idx: The units of the call.
        query: The question; its first `QUERY` tokens are used.
        encoder: The model.
        segments: Places of the segments that are read.

    Raises:
        ModelError: The model cannot be loaded or gives no numbers.
    """
    question = _question(query, encoder)
    n = idx.size
    found = np.zeros(n, dtype=bool)
    total, count, asked = np.zeros((n, encoder.width), dtype=np.float32), np.zeros(n), np.zeros(n)
    window = np.full(n, -1.0, dtype=np.float32)
    match = np.full((len(question.tokens), n), -1.0, dtype=np.float32)
    windows = [w for s in segments for w in _windows(idx, s, encoder)]
    for w, seen in zip(windows, encoder.stream(w.ids for w in windows), strict=True):
        found[w.units] = True
        np.add.at(asked, w.units, np.add.reduceat(seen.logits[:-1, 0], w.starts))
        np.add.at(count, w.units, np.diff([*w.starts, len(w.ids) - 1]))
        vectors = seen.vectors.astype(np.float32)
        window[w.units] = np.maximum(window[w.units], _unit(vectors.mean(axis=0)) @ question.mean)
        np.add.at(total, w.units, np.add.reduceat(vectors[:-1], w.starts, axis=0))
        best = np.maximum.reduceat(question.tokens @ _unit(vectors[:-1]).T, w.starts, axis=1)
        match[:, w.units] = np.maximum(match[:, w.units], best)
    asked = (asked / np.maximum(1, count)).astype(np.float32)
    mean = np.where(found, _unit(total) @ question.mean, -1.0).astype(np.float32)
    return Reading(found, asked, mean, match.mean(axis=0), window)


@dataclass(frozen=True, slots=True)
class _Question:
    mean: Floats
    tokens: Floats


def _question(query: str, encoder: Encoder) -> _Question:
    [ids] = encoder.tokenize([query])
    [seen] = encoder.encode([[encoder.cls, *ids[:QUERY], encoder.sep]])
    vectors = seen.vectors.astype(np.float32)
    return _Question(_unit(vectors.mean(axis=0)), _unit(vectors[1:-1] if ids else vectors))


def _windows(idx: Index, place: int, encoder: Encoder) -> Iterator[_Window]:
    """Runs of whole units of one segment behind its title; a unit longer than a window is read in pieces."""
    segment, first, end = idx.segments[place], int(idx.offset[place]), int(idx.offset[place + 1])
    if first == end:
        return
    title, *units = encoder.tokenize([segment.title, *(idx.words(u) for u in range(first, end))])
    head = [encoder.cls, *title[:TITLE], encoder.sep] if title else [encoder.cls]
    room = encoder.window - len(head) - 1
    ids, held, starts = list(head), list[int](), list[int]()
    for unit, tokens in zip(range(first, end), units, strict=True):
        for at in range(0, max(1, len(tokens)), room):
            piece = tokens[at : at + room] or [encoder.unk]
            if held and len(ids) + len(piece) >= encoder.window:
                yield _Window([*ids, encoder.sep], held, starts)
                ids, held, starts = list(head), [], []
            starts.append(len(ids))
            held.append(unit)
            ids += piece
    yield _Window([*ids, encoder.sep], held, starts)


def _unit(x: Floats) -> Floats:
    """Rows of length 1."""
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-6)
