"""All units of a call with their term statistics and token counts: computed once, shared by every compressor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ctxshrink.compressors._terms import Vocabulary
from ctxshrink.text import json_parents, units
from ctxshrink.types import Call, Segment, Span

_KEY = "ctxshrink.compressors.units"
LINE_TYPES = frozenset(("json", "log", "code", "diff", "table", "html"))
"""Content types whose units are lines or members, not sentences."""


@dataclass(frozen=True, slots=True)
class Index:
    """The units of every segment of a call, in input order.

    Attributes:
        segments: The call's segments.
        position: Place of each segment in `segments`, by id.
        offset: First unit of each segment and, last, the number of units, shape (segments + 1,).
        segment: Segment of each unit, shape (units,).
        spans: Range of each unit in its segment's text.
        tokens: Tokens of each unit together with the white space before it, shape (units,).
        parent: Unit without which this one is not understood (table header, enclosing JSON member), or -1.
        vocabulary: The terms.
        row: Unit of each (unit, term) pair, ascending, shape (pairs,).
        term: Term of each pair, shape (pairs,).
        tf: Occurrences of each pair, shape (pairs,).
        length: Terms in each unit, shape (units,).
        df: Units that hold each term, shape (terms,).
    """

    segments: tuple[Segment, ...]
    position: dict[str, int]
    offset: NDArray[np.int64]
    segment: NDArray[np.int64]
    spans: list[Span]
    tokens: NDArray[np.int64]
    parent: list[int]
    vocabulary: Vocabulary
    row: NDArray[np.int64]
    term: NDArray[np.int64]
    tf: NDArray[np.float64]
    length: NDArray[np.float64]
    df: NDArray[np.float64]

    def text(self, unit: int) -> str:
        """The text of a unit."""
        s, e = self.spans[unit]
        return self.segments[int(self.segment[unit])].text[s:e]

    @property
    def size(self) -> int:
        """Number of units."""
        return len(self.spans)

    def idf(self) -> NDArray[np.float64]:
        """ln(1 + (N − df + ½) / (df + ½)), BM25's inverse document frequency over units (Robertson, Zaragoza 2009)."""
        return np.log1p((self.size - self.df + 0.5) / (self.df + 0.5))


def index(call: Call) -> Index:
    """The call's index, built on first use and kept in the call's cache."""
    found = call.cache.get(_KEY)
    if isinstance(found, Index):
        return found
    built = _build(call)
    call.cache[_KEY] = built
    return built


def _build(call: Call) -> Index:
    spans: list[Span] = []
    parent: list[int] = []
    segment: list[int] = []
    offset = [0]
    pieces: list[str] = []
    encoded: list[list[int]] = []
    vocabulary = Vocabulary()
    for i, seg in enumerate(call.segments):
        found = units(seg.text, seg.content_type)
        base = len(spans)
        parent += _parents(seg, found, base)
        end = 0
        for s, e in found:
            pieces.append(seg.text[end:e])
            encoded.append(vocabulary.encode(seg.text[s:e]))
            end = e
        spans += found
        segment += [i] * len(found)
        offset.append(len(spans))
    length = np.array([len(t) for t in encoded], dtype=np.int64)
    flat = np.fromiter((t for terms in encoded for t in terms), dtype=np.int64, count=int(length.sum()))
    width = max(1, len(vocabulary))
    pair, tf = np.unique(np.repeat(np.arange(len(spans)), length) * width + flat, return_counts=True)
    term = pair % width
    return Index(
        segments=call.segments,
        position={seg.id: i for i, seg in enumerate(call.segments)},
        offset=np.array(offset, dtype=np.int64),
        segment=np.array(segment, dtype=np.int64),
        spans=spans,
        tokens=np.array(call.counter.count(pieces) if pieces else [], dtype=np.int64),
        parent=parent,
        vocabulary=vocabulary,
        row=pair // width,
        term=term,
        tf=tf.astype(np.float64),
        length=length.astype(np.float64),
        df=np.bincount(term, minlength=width).astype(np.float64),
    )


def _parents(seg: Segment, spans: list[Span], base: int) -> list[int]:
    if seg.content_type == "json":
        return [p + base if p >= 0 else -1 for p in json_parents(seg.text, spans)]
    if seg.content_type == "table":
        return [-1] + [base] * (len(spans) - 1) if spans else []
    # Markdown tables in prose: rows hang on the first row of their run.
    out: list[int] = []
    head = -1
    previous_end = 0
    for i, (s, e) in enumerate(spans):
        if seg.text.startswith("|", s) and seg.content_type == "prose":
            run_on = head >= 0 and seg.text.count("\n", previous_end, s) <= 1
            out.append(head if run_on else -1)
            head = head if run_on else base + i
        else:
            head = -1
            out.append(-1)
        previous_end = e
    return out
