"""A choice of lines as text: kept lines verbatim and in order, one marker line for each gap."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence

from ctxshrink.structure.layout import Renderer
from ctxshrink.types import Span

SHORT = "…"

Describe = Callable[[int, int], str]
"""(first omitted unit, unit after the last omitted one) -> what the marker says behind the count, or ""."""


def line_renderer(
    text: str,
    spans: Sequence[Span],
    *,
    indent: Callable[[int], str] = lambda _: "",
    describe: Describe = lambda _a, _b: "",
) -> Renderer:
    """A renderer for units that are lines or pieces of long lines.

    A gap of lines becomes ``[… 14 lines omitted]``, counted in lines of the text with the blank ones between the first
    and the last; a gap inside a line ``[… 812 characters omitted]``.

    Args:
        text: The text.
        spans: Its units, ordered and disjoint; none holds a line break.
        indent: White space to put before the marker of a gap that begins with this unit.
        describe: What is added to the marker.
    """
    breaks = [m.start() for m in re.finditer("\n", text)]

    def line(at: int) -> int:
        return bisect_right(breaks, at)

    def marker(first: int, end: int, short: bool) -> str:
        if short:
            return SHORT
        n = line(spans[end - 1][0]) - line(spans[first][0]) + 1
        return f"[… {n} line{'' if n == 1 else 's'} omitted{describe(first, end)}]"

    def gap(first: int, end: int, short: bool) -> str:
        """What stands between the kept units around the units `first` to `end` - 1."""
        opens = first > 0 and "\n" not in text[spans[first - 1][1] : spans[first][0]]
        closes = end < len(spans) and "\n" not in text[spans[end - 1][1] : spans[end][0]]
        if (opens or closes) and line(spans[first][0]) == line(spans[end - 1][1] - 1):
            mark = SHORT if short else f"[… {spans[end - 1][1] - spans[first][0]} characters omitted]"
            left = " " if opens else "\n" if first else ""
            return left + mark + (" " if closes else "\n" if end < len(spans) else "")
        left = "\n" if first else ""
        return left + indent(first) + marker(first, end, short) + ("\n" if end < len(spans) else "")

    def render(kept: Sequence[int], short: bool) -> str:
        if len(kept) == len(spans):
            return text
        out: list[str] = []
        place = 0
        for i in [*kept, len(spans)]:
            if i > place:
                out.append(gap(place, i, short))
            if i < len(spans):
                if place == i and i:
                    out.append(text[spans[i - 1][1] : spans[i][0]])
                out.append(text[spans[i][0] : spans[i][1]])
            place = i + 1
        return "".join(out)

    return render
