"""The tables of an HTML page: each cell below the name of its own column."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

WIDEST = 40
"""Columns of a table among which cells that reach over others are followed."""
CELL = 300
"""A row whose cells hold more characters than this on average is read as layout."""


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a page that stands on lines of its own.

    Attributes:
        text: What is read; no line breaks.
        kind: "text", "heading", "item", "row", "head" (a table's first row), "pre" or "meta".
        weight: Prior importance, from the area it stands in.
        level: Of a heading, 1 to 6.
        group: Number of the table or the preformatted text that it is part of, or -1.
    """

    text: str
    kind: str
    weight: float
    level: int = 0
    group: int = -1


@dataclass(slots=True)
class Cell:
    """A cell, how many columns and rows it reaches over, and what stands in it."""

    columns: int
    rows: int
    blocks: list[Block] = field(default_factory=list[Block])


@dataclass(slots=True)
class Row:
    """A row that is being read. ``sink`` takes its blocks when it ends."""

    sink: list[Block]
    cells: list[Cell] = field(default_factory=list[Cell])


@dataclass(slots=True)
class Table:
    """A table that is being read.

    Attributes:
        group: Its number on the page.
        begun: Whether it has a row.
        reaching: For each column the rows that a cell above still reaches into.
    """

    group: int
    begun: bool = False
    reaching: dict[int, int] = field(default_factory=dict[int, int])

    def add(self, row: Row) -> list[Block]:
        """One block for a row of data; the cells' own blocks for a row that only arranges them."""
        texts = self._columns(row)
        blocks = [b for cell in row.cells for b in cell.blocks]
        size = sum(len(b.text) for b in blocks)
        simple = all(len(c.blocks) <= 1 and all(b.kind == "text" for b in c.blocks) for c in row.cells)
        if not blocks or max(len(row.cells), len(texts)) < 2 or not simple or size > CELL * len(row.cells):
            return blocks
        kind = "row" if self.begun else "head"
        self.begun = True
        return [Block("| " + " | ".join(texts) + " |", kind, max(b.weight for b in blocks), group=self.group)]

    def _columns(self, row: Row) -> list[str]:
        """The cells' texts, each at its own column: none where a cell from above or from the left reaches."""
        out: list[str] = []
        for cell in row.cells:
            while self.reaching.get(len(out), 0):
                self.reaching[len(out)] -= 1
                out.append("")
            end = min(len(out) + cell.columns, max(WIDEST, len(out) + 1))
            self.reaching.update((column, cell.rows - 1) for column in range(len(out), min(end, WIDEST)))
            out.append(cell.blocks[0].text.replace("|", "\\|") if cell.blocks else "")
            out += [""] * (end - len(out))
        for column, rows in self.reaching.items():
            if column >= len(out) and rows:
                self.reaching[column] -= 1
        while len(out) > 1 and not out[-1]:
            out.pop()
        return out


def span(attribute: str) -> int:
    """The number that a ``colspan`` or ``rowspan`` says; 1 for anything else."""
    return min(max(1, int(attribute)), WIDEST) if re.fullmatch(r"[0-9]{1,5}", attribute) else 1
