"""Which arrays and objects share their names well enough to be tables, and the tables' columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias, cast

from ctxshrink.structure._json_table_block import Column
from ctxshrink.structure._json_tree import NULL, Literal, Node
from ctxshrink.structure._json_words import column_text, heading, is_literal

FILLED = 0.6
"""Least share of a table's cells that hold a value."""
MAX_COLUMNS = 60
MAX_COLUMNS_OF_TWO = 12
"""Two records with more columns than this read better as objects."""
MAX_NESTED = 200
"""Characters of nested values in a row, on average: rows that hold more read better as objects."""

Path: TypeAlias = tuple[str, ...]
Record: TypeAlias = "dict[str, Node]"


@dataclass(slots=True)
class Draft:
    """A table to be.

    Attributes:
        how: What stands between the number of rows and the header.
        columns: The columns whose values differ.
        paths: The names that lead to each column.
        rows: For each record and column its value, None where it has none.
        constants: (place among all columns from 1, names, value) of the columns whose value never changes.
    """

    how: str
    columns: list[Column]
    paths: list[Path]
    rows: list[list[Node | None]]
    constants: list[tuple[int, Path, Node]]


@dataclass(slots=True)
class _Cells:
    """The values of one column, by record."""

    path: Path
    values: dict[int, Node] = field(default_factory=dict[int, "Node"])


def draft(value: Record | list[Node]) -> Draft | None:
    """The table that an array of objects, an object of objects, or an array of arrays of objects makes, or None."""
    if isinstance(value, dict):
        children = list(value.values())
        records = _records(children)
        return None if records is None or len(records) < 2 else _draft(records, list(value), None)
    records = _records(value)
    if records is not None:
        return _draft(records, None, None) if len(records) > 1 else None
    groups = [cast("list[Node]", v) for v in value if isinstance(v, list)]
    if len(groups) < len(value):
        return None
    records = _records([child for group in groups for child in group])
    if records is None or len(records) < 2:
        return None
    return _draft(records, None, [len(group) for group in groups])


def _records(values: list[Node]) -> list[Record] | None:
    return [v for v in values if isinstance(v, dict)] if all(isinstance(v, dict) and v for v in values) else None


def _draft(records: list[Record], keys: list[str] | None, sizes: list[int] | None) -> Draft | None:
    cells = _columns(list(enumerate(records)), ())
    n = len(records)
    if cells is None or len(cells) > (MAX_COLUMNS if n > 2 else MAX_COLUMNS_OF_TWO):
        return None
    if sum(len(c.values) for c in cells) < FILLED * n * len(cells):
        return None
    if sum(_nested_size(v) for c in cells for v in c.values.values()) > MAX_NESTED * n:
        return None
    key_at = _key_column(cells, keys) if keys is not None else -1
    constant = [i != key_at and _is_constant(c, n) for i, c in enumerate(cells)]
    if all(constant) and keys is None:
        constant[0] = False
    shown = [i for i in range(len(cells)) if not constant[i]]
    texts = [i == key_at or _is_text(cells[i]) for i in shown]
    columns = [Column("", text, i == key_at) for i, text in zip(shown, texts, strict=True)]
    rows: list[list[Node | None]] = [[cells[i].values.get(r) for i in shown] for r in range(n)]
    paths = [cells[i].path for i in shown]
    first = 1
    if keys is not None and key_at < 0:
        first = 2
        columns.insert(0, Column("*", True, True))
        paths.insert(0, ())
        for key, row in zip(keys, rows, strict=True):
            row.insert(0, key)
    all_text = sum(c.text and not c.key for c in columns) > 1 and _all_text(rows)
    for column, path in zip(columns, paths, strict=True):
        if path:
            column.heading = column_text(path) if all_text or column.key else heading(path, text=column.text)
        column.text = column.text or all_text
    by = "" if keys is None else f" by {'*' if key_at < 0 else column_text(cells[key_at].path)}"
    return Draft(
        by + _how(sizes) + (" of text" if all_text else ""),
        columns,
        paths,
        rows,
        [(i + first, c.path, c.values[0]) for i, c in enumerate(cells) if constant[i]],
    )


def _how(sizes: list[int] | None) -> str:
    if sizes is None:
        return ""
    same = len(set(sizes)) == 1
    return f" in groups of {sizes[0] if same else ','.join(map(str, sizes))}"


def _columns(records: list[tuple[int, Record]], path: Path) -> list[_Cells] | None:
    """The columns of some records in an order that each record's own follows; None where there is none."""
    names: dict[str, None] = {}
    for _, record in records:
        if any(key not in names for key in record):
            names = _merge(names, record)
            if len(names) > 4 * MAX_COLUMNS:
                return None
    place = {key: i for i, key in enumerate(names)}
    for _, record in records:
        at = -1
        for key in record:
            if place[key] <= at:
                return None
            at = place[key]
    out: list[_Cells] = []
    by_name: dict[str, dict[int, Node]] = {key: {} for key in names}
    for r, record in records:
        for key, value in record.items():
            by_name[key][r] = value
    for key, values in by_name.items():
        flat = _flat(values, (*path, key))
        out += flat if flat is not None else [_Cells((*path, key), values)]
    return out


def _merge(names: dict[str, None], record: Record) -> dict[str, None]:
    """The names with a record's new ones, each behind the one it follows there."""
    order = list(names)
    at = 0
    for key in record:
        if key in names:
            at = order.index(key) + 1
        else:
            order.insert(at, key)
            at += 1
    return dict.fromkeys(order)


def _flat(values: dict[int, Node], path: Path) -> list[_Cells] | None:
    """Columns for a member that is an object in all records that have it, where they fill them."""
    if not all(isinstance(v, dict) and v for v in values.values()):
        return None
    records = [(r, v) for r, v in values.items() if isinstance(v, dict)]
    columns = _columns(records, path)
    if columns is None or len(columns) > MAX_COLUMNS:
        return None
    return columns if sum(len(c.values) for c in columns) >= FILLED * len(records) * len(columns) else None


def _key_column(cells: list[_Cells], keys: list[str]) -> int:
    """The column that says again what each record's name is, or -1."""
    for i, cell in enumerate(cells):
        if len(cell.path) == 1 and len(cell.values) == len(keys) and _equal(cell.values, keys):
            return i
    return -1


def _equal(values: dict[int, Node], keys: list[str]) -> bool:
    return all(isinstance(values[r], str) and values[r] == key for r, key in enumerate(keys))


def _is_constant(cells: _Cells, n: int) -> bool:
    if len(cells.values) < n:
        return False
    first = cells.values[0]
    if isinstance(first, dict | list):
        return not first and all(type(v) is type(first) and not v for v in cells.values.values())
    kind = type(first)
    return all(type(v) is kind and v == first for v in cells.values.values())


def _is_text(cells: _Cells) -> bool:
    """True where strings that look like numbers need no quotes: the column holds only strings and null."""
    looks = 0
    for value in cells.values.values():
        if isinstance(value, Literal):
            if value != NULL:
                return False
        elif not isinstance(value, str):
            return False
        elif is_literal(value):
            looks += value != "null"
    return looks > 1


def _all_text(rows: list[list[Node | None]]) -> bool:
    return all(
        value is None or value == NULL or (isinstance(value, str) and not isinstance(value, Literal))
        for row in rows
        for value in row
    )


def _nested_size(value: Node) -> int:
    """About how many characters a nested value takes."""
    if isinstance(value, dict):
        return sum(len(k) + 4 + _leaf_size(v) for k, v in value.items())
    if isinstance(value, list):
        return sum(2 + _leaf_size(v) for v in value)
    return 0


def _leaf_size(value: Node) -> int:
    return _nested_size(value) if isinstance(value, dict | list) else len(value)
