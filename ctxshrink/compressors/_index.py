"""All units of a call with their term statistics and token counts: computed once, shared by every compressor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ctxshrink.compressors._terms import Vocabulary
from ctxshrink.structure import Layout, lay_out, plain
from ctxshrink.types import Call, Segment, Span

_KEY = "ctxshrink.compressors.units"
LINE_TYPES = frozenset(("json", "log", "code", "diff", "table", "html"))
"""Content types whose units are lines or members, not sentences."""


@dataclass(frozen=True, slots=True)
class Index:
    """The units of every segment of a call, in input order.

    Attributes:
        structured: Whether texts are rendered with fewer tokens where that loses nothing; else they are as they stand.
        segments: The call's segments.
        layouts: What each segment's units were cut from.
        full: Tokens of each layout's whole text, shape (segments,).
        position: Place of each segment in `segments`, by id.
        offset: First unit of each segment and, last, the number of units, shape (segments + 1,).
        segment: Segment of each unit, shape (units,).
        spans: Range of each unit in its layout's text.
        tokens: Tokens of each unit together with what stands before it, shape (units,).
        parent: Unit without which this one is not understood (table header, enclosing JSON member), or -1.
        weight: Prior importance of each unit, 1 where its layout gives none, shape (units,).
        group: Record of each unit, numbered through the call, ascending, shape (units,).
        vocabulary: The terms.
        row: Unit of each (unit, term) pair, ascending, shape (pairs,).
        term: Term of each pair, shape (pairs,).
        tf: Occurrences of each pair, shape (pairs,).
        length: Terms in each unit, shape (units,).
        df: Units that hold each term, shape (terms,).
    """

    structured: bool
    segments: tuple[Segment, ...]
    layouts: tuple[Layout, ...]
    full: NDArray[np.int64]
    position: dict[str, int]
    offset: NDArray[np.int64]
    segment: NDArray[np.int64]
    spans: list[Span]
    tokens: NDArray[np.int64]
    parent: list[int]
    weight: NDArray[np.float64]
    group: NDArray[np.int64]
    vocabulary: Vocabulary
    row: NDArray[np.int64]
    term: NDArray[np.int64]
    tf: NDArray[np.float64]
    length: NDArray[np.float64]
    df: NDArray[np.float64]

    def text(self, unit: int) -> str:
        """The text of a unit."""
        s, e = self.spans[unit]
        return self.layouts[int(self.segment[unit])].text[s:e]

    def words(self, unit: int) -> str:
        """The text of a unit behind what belongs to it and does not stand in it, its key or column."""
        place = int(self.segment[unit])
        labels = self.layouts[place].labels
        label = labels[unit - int(self.offset[place])] if labels else ""
        return f"{label} {self.text(unit)}" if label else self.text(unit)

    @property
    def size(self) -> int:
        """Number of units."""
        return len(self.spans)

    def idf(self) -> NDArray[np.float64]:
        """ln(1 + (N − df + ½) / (df + ½)), BM25's inverse document frequency over units (Robertson, Zaragoza 2009)."""
        return np.log1p((self.size - self.df + 0.5) / (self.df + 0.5))


def index(call: Call, structured: bool = True) -> Index:
    """The call's index, built on first use and kept in the call's cache.

    Args:
        call: The call.
        structured: See `Index`.
    """
    key = _KEY, structured
    found = call.cache.get(key)
    if isinstance(found, Index):
        return found
    laid = None if structured else call.cache.get((_KEY, True))
    if isinstance(laid, Index) and not any(m.form or m.weights or m.renderer for m in laid.layouts):
        return laid  # no text has a layout of its own: both are the same
    built = _build(call, structured)
    call.cache[key] = built
    return built


def _build(call: Call, structured: bool) -> Index:
    layouts, full = _layouts(call, structured)
    spans: list[Span] = []
    parent: list[int] = []
    segment: list[int] = []
    weight: list[float] = []
    group: list[int] = []
    offset = [0]
    pieces: list[str] = []
    encoded: list[list[int]] = []
    vocabulary = Vocabulary()
    for i, made in enumerate(layouts):
        base, end = len(spans), 0
        labels = made.labels or [""] * len(made.spans)
        for (s, e), label in zip(made.spans, labels, strict=True):
            pieces.append(made.text[end:e])
            encoded.append(vocabulary.encode(f"{label} {made.text[s:e]}" if label else made.text[s:e]))
            end = e
        spans += made.spans
        parent += [p + base if p >= 0 else -1 for p in made.parents]
        weight += made.weights or [1.0] * len(made.spans)
        first = group[-1] + 1 if group else 0
        group += [first + g for g in made.groups or range(len(made.spans))]
        segment += [i] * len(made.spans)
        offset.append(len(spans))
    length = np.array([len(t) for t in encoded], dtype=np.int64)
    flat = np.fromiter((t for terms in encoded for t in terms), dtype=np.int64, count=int(length.sum()))
    width = max(1, len(vocabulary))
    pair, tf = np.unique(np.repeat(np.arange(len(spans)), length) * width + flat, return_counts=True)
    term = pair % width
    return Index(
        structured=structured,
        segments=call.segments,
        layouts=layouts,
        full=full,
        position={seg.id: i for i, seg in enumerate(call.segments)},
        offset=np.array(offset, dtype=np.int64),
        segment=np.array(segment, dtype=np.int64),
        spans=spans,
        tokens=np.array(call.counter.count(pieces) if pieces else [], dtype=np.int64),
        parent=parent,
        weight=np.array(weight, dtype=np.float64),
        group=np.array(group, dtype=np.int64),
        vocabulary=vocabulary,
        row=pair // width,
        term=term,
        tf=tf.astype(np.float64),
        length=length.astype(np.float64),
        df=np.bincount(term, minlength=width).astype(np.float64),
    )


def _layouts(call: Call, structured: bool) -> tuple[tuple[Layout, ...], NDArray[np.int64]]:
    """A layout for each segment and its tokens; texts as they stand where their rendering saves nothing."""
    made = [
        lay_out(s.text, s.content_type) if structured and not s.locked else plain(s.text, s.content_type)
        for s in call.segments
    ]
    full = np.array([call.tokens[s.id] for s in call.segments], dtype=np.int64)
    rendered = [i for i, m in enumerate(made) if m.form]
    for i, tokens in zip(rendered, call.counter.count([made[i].text for i in rendered]), strict=True):
        if tokens < full[i]:
            full[i] = tokens
        else:
            made[i] = plain(call.segments[i].text, call.segments[i].content_type)
    return tuple(made), full
