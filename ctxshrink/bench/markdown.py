"""The tables that commands print, caught on their way to the screen, as plain values and as Markdown."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console, ConsoleRenderable, RenderHook
from rich.table import Table
from rich.text import Text

_SPECIAL: Final = re.compile(r"([\\`*_\[\]~|#])")
_LIST: Final = re.compile(r"^(\d*)([-+=.)])(?=[\s\-=]|$)")
_TURNING: Final = re.compile("[\u202a-\u202e\u2066-\u2069\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table without its looks.

    Attributes:
        title: Above it.
        caption: Below it, or "".
        columns: Heads.
        right: Which columns are aligned right.
        rows: Cells, one per column.
        bold: Row and column of the cells that stand out.
    """

    title: str
    caption: str
    columns: tuple[str, ...]
    right: tuple[bool, ...]
    rows: tuple[tuple[str, ...], ...]
    bold: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, shown: Table) -> Sheet:
        """What a printed table holds."""
        columns = [[_text(cell) for cell in column.cells] for column in shown.columns]
        rows = tuple(zip(*columns, strict=True)) if columns else ()
        bold = tuple((r, c) for r, row in enumerate(rows) for c, cell in enumerate(row) if _stands_out(cell))
        return cls(
            _text(shown.title).plain,
            _text(shown.caption).plain,
            tuple(_text(column.header).plain for column in shown.columns),
            tuple(column.justify == "right" for column in shown.columns),
            tuple(tuple(cell.plain for cell in row) for row in rows),
            bold,
        )

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Sheet:
        """The sheet that `to_dict` wrote."""
        return cls(
            value["title"],
            value["caption"],
            tuple(value["columns"]),
            tuple(value["right"]),
            tuple(map(tuple, value["rows"])),
            tuple((r, c) for r, c in value["bold"]),
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {name: getattr(self, name) for name in self.__slots__}

    def to_markdown(self) -> str:
        """The table under its title, in the form that GitHub, Python-Markdown and others read."""
        bold = set(self.bold)
        lines = [_row(map(escaped, self.columns)), _row("--:" if right else ":--" for right in self.right)]
        lines += [
            _row(f"**{escaped(cell)}**" if (r, c) in bold else escaped(cell) for c, cell in enumerate(row))
            for r, row in enumerate(self.rows)
        ]
        head = [f"**{escaped(self.title)}**", ""] if self.title else []
        return "\n".join([*head, *lines, *(["", f"_{escaped(self.caption)}_"] if self.caption else [])]) + "\n"


class Sheets(RenderHook):
    """Catches what is printed on a console: tables as `Sheet`, other lines as text."""

    def __init__(self) -> None:
        self.items: list[Sheet | str] = []

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Remember what is about to be printed, and let it through."""
        for shown in renderables:
            if isinstance(shown, Table):
                self.items.append(Sheet.of(shown))
            elif isinstance(shown, Text) and shown.plain.strip():
                self.items.append(shown.plain.strip())
        return renderables

    def to_list(self) -> list[Any]:
        """JSON-ready."""
        return [item if isinstance(item, str) else item.to_dict() for item in self.items]


def catching(console: Console | None = None) -> tuple[Console, Sheets]:
    """A console whose tables are caught.

    Args:
        console: Where they go on to; None: nowhere.
    """
    made = console or Console(file=io.StringIO(), width=1000, color_system=None, highlight=False)
    hook = Sheets()
    made.push_render_hook(hook)
    return made, hook


def read_items(values: Sequence[Any]) -> list[Sheet | str]:
    """What `Sheets.to_list` wrote."""
    return [value if isinstance(value, str) else Sheet.from_dict(value) for value in values]


def to_markdown(items: Sequence[Sheet | str]) -> str:
    """Tables and lines below each other."""
    return "\n".join(_paragraph(item) if isinstance(item, str) else item.to_markdown() for item in items)


def escaped(text: str) -> str:
    """Text that Markdown shows as it is: nothing in it is a link, an element, a column or an emphasis."""
    plain = " ".join(_TURNING.sub("\ufffd", text).split())
    plain = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", plain)


def _paragraph(text: str) -> str:
    """A line that is no item of a list, whatever it begins with."""
    return _LIST.sub(r"\1\\\2", escaped(text)) + "\n"


def _row(cells: Any) -> str:
    return "| " + " | ".join(cells) + " |"


def _stands_out(cell: Text) -> bool:
    return bool(cell.plain.strip()) and any("bold" in str(span.style) for span in cell.spans)


def _text(value: Any) -> Text:
    """A cell as styled text: strings may hold rich's markup."""
    if isinstance(value, Text):
        return value
    return Text.from_markup(str(value)) if value is not None else Text()
