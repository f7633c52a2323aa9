"""The units of a text, and how a choice of them reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ctxshrink.text import json_parents, units
from ctxshrink.types import ContentType, Span

UNIT_NAMES: dict[ContentType, str] = {"table": "row", "json": "value", "html": "block", "prose": "sentence"}
"""What a unit of each content type is called in markers; "line" for the others."""

Renderer = Callable[[Sequence[int], bool], str]
"""(kept units, ascending; short markers) -> text."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A text ready for selection: all of it, with as few tokens as lose nothing, and cut into units.

    Attributes:
        text: The rendering of everything; the original where ``form`` is "". What it says is what the original says,
            with every number, id and string verbatim, and a reader who was told ``form`` can tell it back.
        spans: Range of each unit in `text`, ordered and disjoint. What stands between units (brackets, separators, a
            header, a legend) is not ranked; it comes along with the units that need it.
        parents: For each unit the unit without which it is not understood, or -1.
        weights: Prior importance of each unit, >= 0: 1 is neutral, 0 boilerplate; () is all 1.
        labels: What belongs to each unit and does not stand in it, such as its key or column; read when ranking. () is
            none.
        groups: Number of the record each unit is part of (a table's row, an object, a stack trace), ascending; () is a
            record for each.
        form: How the rendering differs from the original, in a few words ("a table of 120 records"); "" for not at all.
        exact: The original can be told back from `text`; False for renderings that leave out what no reader sees, such
            as markup.
        unit: What a unit is called in markers, singular.
        gap: What a left-out unit between kept ones usually costs in the rendering, as a sample text; used to estimate
            sizes before they are counted. "" takes a marker line.
        renderer: Renders a choice of units; None: verbatim runs of units with a marker for each gap. Given all units it
            returns `text`. Every omission shows in what it returns.
    """

    text: str
    spans: tuple[Span, ...]
    parents: tuple[int, ...]
    weights: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()
    groups: tuple[int, ...] = ()
    form: str = ""
    exact: bool = True
    unit: str = "line"
    gap: str = ""
    renderer: Renderer | None = field(default=None, compare=False, repr=False)

    @property
    def nbytes(self) -> int:
        """About how much memory it holds, in bytes."""
        return 2 * len(self.text) + 300 * len(self.spans) + sum(map(len, self.labels))


def plain(text: str, content_type: ContentType) -> Layout:
    """The text as it stands: sentences of prose, lines, JSON members, HTML blocks."""
    spans = tuple(units(text, content_type))
    return Layout(text, spans, tuple(_parents(text, content_type, spans)), unit=UNIT_NAMES.get(content_type, "line"))


def _parents(text: str, content_type: ContentType, spans: Sequence[Span]) -> list[int]:
    if content_type == "json":
        return json_parents(text, list(spans))
    out: list[int] = []
    head = -1
    if content_type == "table":
        # Behind a blank line another table may begin: its rows hang on its first row, and that on the text's.
        for i, (s, _) in enumerate(spans):
            begins = i > 0 and text.count("\n", spans[i - 1][1], s) > 1
            out.append(0 if begins else head)
            head = i if begins or i == 0 else head
        return out
    # Markdown tables in prose: rows hang on the first row of their run.
    previous_end = 0
    for i, (s, e) in enumerate(spans):
        if text.startswith("|", s) and content_type == "prose":
            run_on = head >= 0 and text.count("\n", previous_end, s) <= 1
            out.append(head if run_on else -1)
            head = head if run_on else i
        else:
            head = -1
            out.append(-1)
        previous_end = e
    return out
