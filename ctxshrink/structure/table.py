"""Layout of tables in text: CSV, TSV, semicolon tables and Markdown pipe tables.

The text stays what it is, so that nothing needs to be explained: cells stand as in the source, quotes included; only
the padding of Markdown cells, carriage returns and the dashes below a Markdown header go. Each cell is a unit with its
column's name as label and its row as group. A choice of cells is a table again: columns of which nothing is left are
gone from the header and named or counted below it, rows are counted in their place, single cells show as ``…``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ctxshrink.structure._blocks import Leaf, Sheet
from ctxshrink.structure._json_tree import Literal
from ctxshrink.structure._json_weights import column_weight
from ctxshrink.structure._json_words import MARK, is_literal
from ctxshrink.structure.layout import Layout

_SEPARATORS = (",", "\t", ";", "|")
_DASHES = re.compile(r":?-+:?")
_NAMED = 4
"""Most columns that are named where they are left out; more are counted."""
MIN_ROWS = 2


def layout(text: str) -> Layout | None:
    """The cells of a table.

    Args:
        text: A CSV, TSV, semicolon or Markdown pipe table with a header; lines of other shapes stay whole.

    Returns:
        None where most lines have not as many cells as the header has, there are fewer than `MIN_ROWS` rows or two
        columns, or another table follows: its cells would stand under the first one's names.
    """
    body = text.replace("\r\n", "\n").strip("\n")
    grid = _markdown(body) if body.lstrip(" ").startswith("|") else _separated(body)
    if grid is None or len(grid.rows) < MIN_ROWS:
        return None
    sheet = Sheet()
    grid.write(sheet)
    made = sheet.text
    if len(made) > len(text) or not sheet.spans:
        return None
    if text.startswith(made) and not text[len(made) :].strip("\n"):
        made = text
    grid.text, grid.units = made, len(sheet.spans)
    return Layout(
        text=made,
        spans=tuple(sheet.spans),
        parents=(-1,) * len(sheet.spans),
        weights=tuple(sheet.weights),
        labels=tuple(sheet.labels),
        groups=tuple(sheet.groups),
        form="" if made == text else "a table without padding",
        unit="cell",
        gap=f"{grid.separator}{MARK}",
        renderer=grid.render,
    )


@dataclass(slots=True)
class _Grid:
    """A table of cells.

    Attributes:
        separator: What stands between cells.
        edge: What stands at both ends of a line.
        header: The columns' names, as written.
        rule: The cells of the line below a Markdown header; none elsewhere.
        rows: A cell for each column, None for an empty one; a single cell for a line of another shape.
        text: All of it.
        units: Number of cells that are not empty.
    """

    separator: str
    edge: str
    header: list[str]
    rule: list[str]
    rows: list[list[Leaf | None]]
    text: str = ""
    units: int = 0

    def render(self, kept: Sequence[int], short: bool) -> str:
        """The table with a choice of its cells."""
        if len(kept) == self.units:
            return self.text
        sheet = Sheet(kept, short)
        self.write(sheet)
        return sheet.text

    def write(self, sheet: Sheet) -> None:
        """Writes the header and the rows."""
        columns = self._columns(sheet)
        self._line(sheet, [self.header[c] for c in columns])
        if self.rule:
            sheet.line(0)
            self._line(sheet, [self.rule[c] for c in columns])
        there = set(columns)
        lost = [name for c, name in enumerate(self.header) if c not in there]
        if lost:
            sheet.line(0)
            names = f": {', '.join(lost)}" if len(lost) <= _NAMED else ""
            sheet.write(f"[{MARK} {len(lost)} column{'' if len(lost) == 1 else 's'} omitted{names}]")
        omitted = 0
        for row in self.rows:
            shown = [cell is None or sheet.holds(cell.units) for cell in row]
            if sheet.kept is not None and not any(s and c is not None for s, c in zip(shown, row, strict=True)):
                omitted += bool(row)
                continue
            if omitted:
                sheet.line(0)
                sheet.marker(omitted, "row")
                omitted = 0
            sheet.line(0)
            sheet.record()
            self._row(sheet, row, shown, columns)
        if omitted:
            sheet.line(0)
            sheet.marker(omitted, "row")

    def _columns(self, sheet: Sheet) -> Sequence[int]:
        every = range(len(self.header))
        if sheet.kept is None:
            return every
        kept: set[int] = set()
        cells = 0  # of the widest line of another shape
        for row in self.rows:
            held = [c for c, cell in enumerate(row) if cell is not None and sheet.holds(cell.units)]
            if len(row) == len(self.header):
                kept.update(held)
            elif held and (line := row[0]):
                cells = max(cells, 1 + line.text.count(self.separator))
        # Below fewer names the cells of such a line would seem to stand below others.
        return every if cells > 1 or (cells and len(kept) < 2) else sorted(kept)

    def _line(self, sheet: Sheet, cells: Sequence[str]) -> None:
        sheet.write(self.edge + self.separator.join(cells) + self.edge)

    def _row(self, sheet: Sheet, row: list[Leaf | None], shown: list[bool], columns: Sequence[int]) -> None:
        whole = len(row) != len(self.header)
        if not whole:
            sheet.write(self.edge)
        for i, c in enumerate(range(len(row)) if whole else columns):
            if i:
                sheet.write(self.separator)
            cell = row[c]
            if not shown[c]:
                sheet.write(MARK)
            elif cell is not None:
                cell.write(sheet, 0)
        if not whole:
            sheet.write(self.edge)


def _grid(separator: str, edge: str, lines: list[list[str]], rule: list[str], raw: list[str]) -> _Grid | None:
    """The table of these lines of cells; ``raw`` is how the lines below the header stand in the source."""
    header, *rest = lines
    if len(header) < 2 or sum(len(cells) == len(header) for cells in rest) < max(1, len(rest) * 3 // 4):
        return None
    counts = Counter(_value(cell) for cells in rest for cell in cells)
    columns: list[list[str]] = [[] for _ in header]
    for cells in rest:
        if len(cells) == len(header):
            for column, cell in zip(columns, cells, strict=True):
                column.append(_value(cell))
    priors = [column_weight(name, values, counts) for name, values in zip(header, columns, strict=True)]
    rows: list[list[Leaf | None]] = []
    for cells, line in zip(rest, raw, strict=True):
        if len(cells) != len(header):
            rows.append([Leaf(line, "", 1.0)] if line.strip() else [])
            continue
        named = zip(header, cells, priors, strict=True)
        rows.append([Leaf(cell, name, prior) if cell else None for name, cell, prior in named])
    return _Grid(separator, edge, header, rule, rows)


def _value(cell: str) -> str:
    """What a cell says: without its quotes, numbers as literals."""
    value = cell[1:-1] if len(cell) > 1 and cell[0] == '"' == cell[-1] else cell
    return Literal(value) if is_literal(value) else value


def _markdown(text: str) -> _Grid | None:
    lines = text.split("\n")
    # A row of single dashes is data; a rule further down is that of another table.
    if [i for i, line in enumerate(lines) if (i == 1 or "--" in line) and _is_rule(line)] != [1]:
        return None
    cells = [_pipe_cells(line) for i, line in enumerate(lines) if i != 1]
    rule = [":" * c.startswith(":") + "-" + ":" * (len(c) > 1 and c.endswith(":")) for c in _pipe_cells(lines[1])]
    return _grid("|", "|", cells, rule, lines[2:]) if len(rule) == len(cells[0]) else None


def _is_rule(line: str) -> bool:
    return all(_DASHES.fullmatch(cell) for cell in _pipe_cells(line))


def _pipe_cells(line: str) -> list[str]:
    """The cells of a Markdown row without their padding, but for a blank between a backslash and a bar.

    A bar behind a backslash does not end a cell.
    """
    parts = re.split(r"(?<!\\)\|", line.strip())
    if len(parts) > 1 and not parts[0].strip():
        parts = parts[1:]
    if len(parts) > 1 and not parts[-1].strip():
        parts = parts[:-1]
    cells = [part.strip() for part in parts]
    return [cell + " " if cell.endswith("\\") else cell for cell in cells]


def _separated(text: str) -> _Grid | None:
    first = text.partition("\n")[0]
    counted = [(len(_cells(first, s)), s) for s in _SEPARATORS]
    most, separator = max(counted, key=lambda pair: pair[0])
    if most < 2 or first.startswith("\t\t"):  # indented lines
        return None
    rows = _records(text, separator)
    if _starts_again(rows):
        return None
    return _grid(separator, "", rows, [], [separator.join(cells) for cells in rows[1:]])


def _starts_again(rows: Sequence[Sequence[str]]) -> bool:
    """True where rows stand together behind a blank line: another table, perhaps with a header of its own."""
    widths = [0 if cells == [""] else len(cells) for cells in rows]
    return any(not a and b > 1 and b == c for a, b, c in zip(widths, widths[1:], widths[2:], strict=False))


def _cells(line: str, separator: str) -> list[str]:
    return _records(line, separator)[0]


def _records(text: str, separator: str) -> list[list[str]]:
    """The rows of a separated table, cells as written: a separator or newline inside quotes ends no cell (RFC 4180)."""
    rows: list[list[str]] = [[]]
    end = re.compile(f"[{re.escape(separator)}\n]")
    at = 0
    while True:
        start = at
        if text.startswith('"', at):
            at = _closing_quote(text, at)
        found = end.search(text, at)
        stop = found.start() if found else len(text)
        rows[-1].append(text[start:stop])
        if found is None:
            return rows
        if found.group() == "\n":
            rows.append([])
        at = stop + 1


def _closing_quote(text: str, at: int) -> int:
    """Behind the quote that closes the one at ``at``; ``at`` where none does before the next 10,000 characters."""
    limit = min(len(text), at + 10_000)
    i = at + 1
    while True:
        i = text.find('"', i, limit)
        if i < 0:
            return at
        if text[i + 1 : i + 2] != '"':
            return i + 1
        i += 2
