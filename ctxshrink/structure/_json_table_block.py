"""A table in a compact rendering."""

from __future__ import annotations

from dataclasses import dataclass, field

from ctxshrink.structure._blocks import Block, Leaf, Sheet, kept_items
from ctxshrink.structure._json_words import CONSTANT, MARK
from ctxshrink.types import Span


@dataclass(slots=True)
class Pairs:
    """An object of many opaque names and single values: a line for each pair, a blank between them."""

    head: str
    items: list[Leaf]
    deeper: int
    units: Span = (0, 0)

    def write(self, sheet: Sheet, indent: int, /) -> None:
        """Writes the number of pairs and those that are kept."""
        first = sheet.here
        sheet.write(f"{self.head}{len(self.items)} pairs:")
        indent += self.deeper
        for omitted, item in kept_items(sheet, self.items):
            if omitted:
                sheet.line(indent)
                sheet.marker(omitted, "pair")
            if item is not None:
                sheet.line(indent)
                item.write(sheet, indent)
        if sheet.kept is None:
            self.units = (first, sheet.here)


@dataclass(slots=True)
class Column:
    """A column: how it stands in the header, whether its cells are text whatever they look like or name the records."""

    heading: str
    text: bool
    key: bool = False


@dataclass(slots=True)
class Table:
    """Records that share their names: a header, what is the same in all, and a row for each; see the form's page.

    Attributes:
        head: The member's name.
        how: What stands between the number of rows and the header.
        columns: The columns.
        rows: For each record and column its cell, None where the record has no such member.
        constants: (place among all columns from 1, cell that holds name and value).
    """

    head: str
    how: str
    columns: list[Column]
    rows: list[list[Block | None]]
    constants: list[tuple[int, Block]]
    deeper: int
    units: Span = (0, 0)
    _row_units: list[Span] = field(default_factory=list[Span])

    def write(self, sheet: Sheet, indent: int, /) -> None:
        """Writes the header and the kept cells."""
        first = sheet.here
        sheet.write(f"{self.head}{len(self.rows)} rows{self.how}: ")
        everything = sheet.kept is None
        rows = [everything or sheet.holds(span) for span in self._row_units] or [True] * len(self.rows)
        columns = list(range(len(self.columns))) if everything else self._columns(sheet, rows)
        sheet.write("|".join(self.columns[c].heading for c in columns))
        indent += self.deeper
        constants = [pair for pair in self.constants if everything or sheet.holds(pair[1].units)]
        lost = len(self.columns) - len(columns) + len(self.constants) - len(constants)
        if lost:
            sheet.write(f"{'|' if columns else ''}{MARK}{lost}")
        if constants:
            sheet.line(indent)
            sheet.write(CONSTANT)
            place = 0
            for i, (at, cell) in enumerate(constants):
                sheet.write(("|" if i else "") + ("" if at == place + 1 else f"@{at} "))
                cell.write(sheet, indent)
                place = at
        self._rows(sheet, indent, rows, columns)
        if everything:
            self.units = (first, sheet.here)

    def _columns(self, sheet: Sheet, rows: list[bool]) -> list[int]:
        kept = {c for c, column in enumerate(self.columns) if column.key and any(rows)}
        for row, wanted in zip(self.rows, rows, strict=True):
            if wanted and len(kept) < len(self.columns):
                kept.update(c for c, cell in enumerate(row) if cell is not None and sheet.holds(cell.units))
        return sorted(kept)

    def _rows(self, sheet: Sheet, indent: int, rows: list[bool], columns: list[int]) -> None:
        everything = sheet.kept is None
        omitted = 0
        for row, wanted in zip(self.rows, rows, strict=True):
            if not wanted:
                omitted += 1
                continue
            if omitted:
                sheet.line(indent)
                sheet.marker(omitted, "row")
                omitted = 0
            sheet.line(indent)
            sheet.record()
            first = sheet.here
            shown = [
                row[c] is None or everything or self.columns[c].key or sheet.holds(row[c].units)  # type: ignore[union-attr]
                for c in columns
            ]
            end = len(shown)
            while end and not shown[end - 1]:
                end -= 1
            for i in range(end):
                if i:
                    sheet.write("|")
                cell = row[columns[i]]
                if not shown[i]:
                    sheet.write(MARK)
                elif cell is not None:
                    cell.write(sheet, indent)
            if end < len(shown):
                sheet.write(f"|{MARK}" if end else MARK)
            if everything:
                self._row_units.append((first, sheet.here))
        if omitted:
            sheet.line(indent)
            sheet.marker(omitted, "row")
        sheet.record()
