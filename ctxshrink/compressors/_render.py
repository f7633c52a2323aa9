"""The kept units of a segment as text: verbatim spans in order, omissions visible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from ctxshrink.compressors._index import LINE_TYPES
from ctxshrink.structure import Layout
from ctxshrink.types import Segment, Span

Markers: TypeAlias = Literal["auto", "always", "never"]
Style: TypeAlias = Literal["lines", "dots", "none"]
"""How a gap shows: a marker line with a count, " … ", or not at all."""

SHORT = "…"


def style(segment: Segment, markers: Markers) -> Style:
    """How this segment's gaps show. Prose documents show none with "auto": their decision's spans are the record."""
    if markers == "never":
        return "none"
    if segment.content_type in LINE_TYPES or segment.kind == "tool_result":
        return "lines"
    return "none" if segment.kind == "document" and markers == "auto" else "dots"


def marker(layout: Layout, omitted: int) -> str:
    """The marker line for a gap, in the source's own unit: ``[… 12 lines omitted]``."""
    return f"[… {omitted} {layout.unit}{'' if omitted == 1 else 's'} omitted]"


def render(
    segment: Segment, layout: Layout, kept: Sequence[int], how: Style, short: bool = False
) -> tuple[str, tuple[Span, ...]]:
    """Joins the kept units.

    Args:
        segment: The original.
        layout: All its units.
        kept: Indices of the kept ones, ascending.
        how: How gaps show, where the layout has no renderer of its own.
        short: Use "…" in place of marker lines.

    Returns:
        The text, and its ranges in the layout's text. Without a renderer, neighbouring units are one range with the
        white space between them.
    """
    if not kept:
        return segment.empty, ()
    text, spans = layout.text, layout.spans
    if layout.renderer is not None:
        return layout.renderer(kept, short), tuple(spans[i] for i in kept)
    runs: list[tuple[int, int]] = []
    for i in kept:
        if runs and runs[-1][1] == i - 1:
            runs[-1] = (runs[-1][0], i)
        else:
            runs.append((i, i))
    ranges = tuple((spans[a][0], spans[b][1]) for a, b in runs)
    parts: list[str] = []
    previous = -1
    for (a, b), (s, e) in zip(runs, ranges, strict=True):
        if a > previous + 1:
            parts.append(_gap(segment, layout, previous, a, how, short))
        parts.append(text[s:e])
        previous = b
    if previous + 1 < len(spans):
        parts.append(_gap(segment, layout, previous, len(spans), how, short))
    return "".join(parts), ranges


def _gap(segment: Segment, layout: Layout, left: int, right: int, how: Style, short: bool) -> str:
    """What stands for the units between `left` and `right` (exclusive); either may be the segment's edge."""
    text, spans = layout.text, layout.spans
    first, last = left < 0, right >= len(spans)
    before = text[spans[left][1] : spans[left + 1][0]] if not first else ""
    after = text[spans[right - 1][1] : spans[right][0]] if not last else ""
    newline = "\n" in before or "\n" in after
    if how == "none":
        return "" if first or last else "\n" if newline else " " if before or after else ""
    if how == "dots":
        word = SHORT
        space = "\n" if newline else " "
    else:
        word = SHORT if short else marker(layout, right - left - 1)
        space = "\n" if newline or segment.content_type not in ("json", "prose") else " "
    return ("" if first else space) + word + ("" if last else space)
