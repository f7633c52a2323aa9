"""The readable text of an HTML page as a list of blocks."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace

from ctxshrink.structure._areas import area, unseen
from ctxshrink.structure._markup import Tag, tokens
from ctxshrink.structure._page_table import Block, Cell, Row, Table, span

HEADING, TITLE, LINKS = 1.4, 1.5, 0.4
"""Factors for headings, for the page's title and description, for blocks that are mostly links."""
NESTED = 20
"""Tables nested deeper than this are read as layout."""
_VOID = frozenset((
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr",
))  # fmt: skip

_BLOCKS = frozenset((
    "address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "dialog", "div",
    "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header",
    "hgroup", "hr", "html", "legend", "li", "main", "menu", "nav", "ol", "optgroup", "option", "p", "pre",
    "section", "select", "summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
))  # fmt: skip
_HEADING = re.compile(r"h[1-6]")
_SPACE = re.compile(r"[ \t\n\r\f]+")
_SIBLINGS = {"li": ("ul", "ol", "menu"), "tr": ("table",), "td": ("tr", "table"), "th": ("tr", "table"), "dt": ("dl",),
             "dd": ("dl",), "option": ("select",), "p": ()}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Page:
    """The blocks of a page, and how many elements of each kind were left out of them."""

    blocks: tuple[Block, ...]
    omitted: dict[str, int]


@dataclass(slots=True)
class _Open:
    name: str
    weight: float
    unseen: bool
    pre: bool
    number: int = 0  # items of a list so far
    mark: str = ""  # what a list item's next block begins with


def read_page(html: str) -> Page:
    """Reads an HTML text, well-formed or not. Time is linear in its length."""
    reader = _Reader()
    for token in tokens(html):
        if isinstance(token, str):
            reader.text(token)
        elif token.closing:
            reader.end(token.name)
        else:
            reader.start(token)
    return reader.finish()


class _Reader:
    def __init__(self) -> None:
        self._stack = [_Open("", 1.0, False, False)]
        self._open: Counter[str] = Counter()
        self._sink: list[Block] = []
        self._rows: list[Row] = []
        self._tables: list[Table] = []
        self._groups = 0
        self._inline: list[str] = []
        self._linked = self._shown = 0  # characters of the block at hand
        self._href = ""
        self._anchor = -1  # where the open link's text begins in the block
        self._omitted: Counter[str] = Counter()

    def text(self, text: str) -> None:
        top = self._stack[-1]
        if top.unseen:
            return
        if top.name == "title":
            self._emit(Block(_squeeze(text), "meta", TITLE))
            return
        if top.pre:
            first, *rest = text.replace("\r\n", "\n").split("\n")
            self._inline.append(first)
            for line in rest:
                self._flush()
                self._inline.append(line)
            return
        piece = _SPACE.sub(" ", text)
        self._inline.append(piece)
        self._shown += len(piece)
        if self._anchor >= 0:
            self._linked += len(piece)

    def start(self, tag: Tag) -> None:
        name, has = tag.name, tag.attributes
        if name in _BLOCKS:
            self._flush()
        if name in _SIBLINGS:
            self._close_sibling(name)
        top = self._stack[-1]
        if name == "br":
            self._flush()
        elif name == "img" and not top.unseen:
            if has.get("alt", "").strip():
                self._inline.append(f"[image: {_squeeze(has['alt'])}]")
            else:
                self._omitted["image"] += 1
        elif name == "input" and not top.unseen:
            if has.get("type", "").lower() not in ("hidden", "password") and has.get("value", "").strip():
                self._inline.append(f" [{_squeeze(has['value'])}] ")
        elif name == "meta" and has.get("name", "").lower() == "description" and has.get("content", "").strip():
            self._emit(Block(_squeeze(has["content"]), "meta", TITLE))
        if name in _VOID:
            return
        gone = top.unseen or unseen(name, has)
        if gone and not top.unseen:
            self._omitted[name if name in ("script", "style") else "hidden element"] += 1
        entry = _Open(name, area(name, has, top.weight), gone, top.pre or name == "pre")
        if name == "li":
            top = self._stack[-1]
            top.number += 1
            entry.mark = f"{top.number}. " if top.name == "ol" else "- "
        elif name == "ol" and has.get("start", "").isdecimal():
            entry.number = int(has["start"][:9]) - 1
        self._stack.append(entry)
        self._open[name] += 1
        if gone:
            return
        if name == "a":
            self._link(has.get("href", ""))
        elif name in ("td", "th"):
            self._inline.append(" ")
            if self._rows:
                cell = Cell(span(has.get("colspan", "")), span(has.get("rowspan", "")))
                self._rows[-1].cells.append(cell)
                self._sink = cell.blocks
        elif name == "tr" and self._tables and len(self._rows) < NESTED:
            self._rows.append(Row(self._sink))
        elif name == "table":
            self._tables.append(Table(self._groups))
            self._groups += 1
        elif name == "pre":
            self._groups += 1

    def end(self, name: str) -> None:
        if name in _BLOCKS:
            self._flush()
        if name == "a":
            self._unlink()
        if not self._open[name]:
            return
        while self._stack[-1].name != name:
            self._pop()
        self._pop()

    def finish(self) -> Page:
        self._flush()
        while len(self._stack) > 1:
            self._pop()
        return Page(tuple(self._sink), dict(self._omitted))

    def _pop(self) -> None:
        top = self._stack.pop()
        self._open[top.name] -= 1
        if top.unseen:
            return
        if top.name == "table" and self._tables:
            self._tables.pop()
        elif top.name == "tr" and self._rows and self._tables:
            row = self._rows.pop()
            self._sink = row.sink
            self._sink += self._tables[-1].add(row)

    def _close_sibling(self, name: str) -> None:
        """Ends the element that a start tag ends by standing where it cannot be inside (HTML standard, 13.1.2.4)."""
        stops = _SIBLINGS[name]
        twins = ("td", "th") if name in ("td", "th") else ("dt", "dd") if name in ("dt", "dd") else (name,)
        for depth, entry in enumerate(reversed(self._stack[-12:])):
            if entry.name in stops or (name == "p" and depth > 0):
                return
            if entry.name in twins:
                for _ in range(depth + 1):
                    self._pop()
                return

    def _link(self, href: str) -> None:
        self._unlink()
        href = href.strip()
        self._anchor = len(self._inline)
        plain = not href or href.startswith("#") or href[:11].lower() == "javascript:" or href[:5].lower() == "data:"
        self._href = "" if plain else href

    def _unlink(self) -> None:
        if self._anchor < 0:
            return
        words = "".join(self._inline[self._anchor :])
        if self._href and words.strip():
            lead = words[: len(words) - len(words.lstrip())]
            tail = words[len(words.rstrip()) :]
            self._inline[self._anchor :] = [f"{lead}[{words.strip()}]({self._href}){tail}"]
            self._href = ""
        self._anchor = -1

    def _flush(self) -> None:
        """Ends the block at hand."""
        if not self._inline:
            return
        goes_on, href = self._anchor >= 0, self._href
        self._unlink()
        if goes_on:
            self._anchor, self._href = 0, href if not "".join(self._inline).strip() else ""
        top = self._stack[-1]
        raw = "".join(self._inline)
        text = raw.rstrip() if top.pre else _squeeze(raw)
        links = self._shown and self._linked > 0.6 * self._shown
        self._inline.clear()
        self._linked = self._shown = 0
        if not text.strip():
            return
        block = Block(text, "text", top.weight * (LINKS if links else 1.0))
        owner = next((e for e in reversed(self._stack[-6:]) if e.mark or _HEADING.fullmatch(e.name)), top)
        if top.pre:
            block = replace(block, kind="pre", group=self._groups)
        elif owner.mark:
            depth = min(self._open["ul"] + self._open["ol"], 6)
            block = replace(block, text="  " * (depth - 1) + owner.mark + text, kind="item")
            owner.mark = "  "
        elif owner.name == "option":
            block = replace(block, text="- " + text, kind="item")
        elif owner is not top or _HEADING.fullmatch(top.name):
            level = int(owner.name[1])
            block = Block("#" * level + " " + text, "heading", top.weight * HEADING, level)
        self._emit(block)

    def _emit(self, block: Block) -> None:
        if block.text.strip():
            self._sink.append(block)


def _squeeze(text: str) -> str:
    return _SPACE.sub(" ", text).strip(" ")
