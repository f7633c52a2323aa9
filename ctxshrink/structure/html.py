"""Layout of HTML: the text that a reader of the page would see.

Markup, scripts, styles and hidden elements are left out, and the first line says so with their numbers: the rendering
says all that the page shows, and does not give the markup back. Links keep their address, tables their rows, headings
and lists their marks. Templates, views with line numbers and other sources are laid out as code, text as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ctxshrink.structure import code
from ctxshrink.structure._page import Page, read_page
from ctxshrink.structure._page_table import Block
from ctxshrink.structure._source import NUMBER
from ctxshrink.structure.layout import Layout, Renderer
from ctxshrink.text import sentences
from ctxshrink.types import Span

LONG = 400
"""Longer blocks of text are cut into sentences, in characters."""
ALONE = 0.45
"""What weighs less (navigation, footers) is no part of the section before it."""
UNIT = "passage"

_SOURCE = re.compile(r"\{%|\{\{|<\?php|<%|\bclassName=|\bv-(?:if|for)=|\bng-\w{1,20}=|<>|=\{")
_PAGE = re.compile(r"<(?:html|head|body|div|p|table|ul|ol|h[1-6]|article|section|main|span|a|tr|td|li|br)\b", re.I)


def layout(text: str) -> Layout | None:
    """The readable text of a page, cut into blocks and sentences; None where no page is found in it."""
    lines = text[:8000].split("\n")
    numbered = sum(1 for line in lines if NUMBER.match(line))
    if numbered > 0.5 * len(lines) or _SOURCE.search(text[:20_000]):
        return code.layout(text)
    if text.lstrip()[:5].lower() == "<?xml" and "<html" not in text[:2000].lower():
        return None
    if not _PAGE.search(text):
        return None
    page = read_page(text)
    if not page.blocks:
        return None
    made = _made(page)
    return made if len(made.text) < len(text) else None


def _made(page: Page) -> Layout:
    counts = [f"{n} {name}{'' if n == 1 else 's'}" for name, n in sorted(page.omitted.items())]
    head = f"[… readable text of an HTML page; left out: {', '.join(['markup', *counts])}]"
    pieces = [head]
    place = len(head)
    spans: list[Span] = []
    groups: list[int] = []
    parents: list[int] = []
    labels: list[str] = []
    weights: list[float] = []
    headings: list[tuple[int, int, str]] = []  # level, unit, text
    table: tuple[int, int] = (-1, -1)  # group and unit of the head row
    for number, block in enumerate(page.blocks):
        place += 1
        pieces.append(block.text)
        if block.kind == "heading":
            while headings and headings[-1][0] >= block.level:
                headings.pop()
        outer = headings[-1][1] if headings else -1
        label = " ".join(name for _, _, name in headings[-3:])
        if block.kind == "heading":
            headings.append((block.level, len(spans), block.text.lstrip("# ")[:200]))
        elif block.kind == "head":
            table = block.group, len(spans)
        elif block.kind == "row" and block.group == table[0]:
            outer = table[1]
        if block.weight < ALONE and block.kind not in ("row", "heading"):
            outer, label = -1, ""
        for s, e in _cut(block):
            spans.append((place + s, place + e))
            groups.append(number)
            parents.append(outer)
            labels.append(label)
            weights.append(round(block.weight, 3))
        place += len(block.text)
    text = "\n".join(pieces)
    return Layout(
        text,
        tuple(spans),
        tuple(parents),
        weights=tuple(weights),
        labels=tuple(labels),
        groups=tuple(groups),
        form="the readable text of an HTML page, without its markup",
        exact=False,
        unit=UNIT,
        renderer=_renderer(text, spans, head),
    )


def _cut(block: Block) -> list[Span]:
    if block.kind not in ("text", "item") or len(block.text) <= LONG:
        return (
            [(len(block.text) - len(block.text.lstrip()), len(block.text))]
            if block.kind != "pre"
            else [(0, len(block.text))]
        )
    return sentences(block.text) or [(0, len(block.text))]


def _renderer(text: str, spans: Sequence[Span], head: str) -> Renderer:
    def render(kept: Sequence[int], short: bool) -> str:
        if len(kept) == len(spans):
            return text
        out = [head]
        end, place = len(head), 0  # character behind, and unit after, what was kept last
        for i in [*kept, len(spans)]:
            start = spans[i][0] if i < len(spans) else len(text)
            if i > place:
                n = i - place
                mark = "…" if short else f"[… {n} {UNIT}{'' if n == 1 else 's'} omitted]"
                before = "\n" in text[end : spans[place][0]]
                after = i < len(spans) and "\n" in text[spans[i - 1][1] : start]
                line = text[text.rfind("\n", 0, start) + 1 : start] if after else ""
                out += ["\n" if before else " ", mark]
                out += ["\n", line if not line.strip() else ""] if after else ["" if i == len(spans) else " "]
            else:
                out.append(text[end:start])
            if i < len(spans):
                out.append(text[start : spans[i][1]])
                end = spans[i][1]
            place = i + 1
        return "".join(out)

    return render
