"""Reads the rows of tables in the compact form."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ctxshrink.structure._json_scan import Omitted, path, value, wrong
from ctxshrink.structure._json_words import CONSTANT, MARK

_PLACE = re.compile(r"@([0-9]+) ")
_LOST = re.compile(r"…([0-9]+)\Z")
_MOST_GROUPED = 10**7
_MISSING = object()
_OMITTED = object()


@dataclass(slots=True)
class _Head:
    path: tuple[str, ...]
    text: bool
    key: bool
    shown: bool
    constant: Any = _MISSING


class Heads:
    """The columns of a table.

    Args:
        header: The header line's columns.
        by: The column that names the records; () for one that is no member of theirs, None for none.
        all_text: All values are strings.
    """

    def __init__(self, header: str, by: tuple[str, ...] | None, *, all_text: bool) -> None:
        self.lost = 0
        self.keyed = by is not None
        self.all: list[_Head] = []
        at = 0
        while at < len(header):
            names: tuple[str, ...] = ()
            lost = _LOST.match(header, at)
            if lost:
                self.lost, at = int(lost.group(1)), lost.end()
            elif by == () and not self.all and header.startswith("*", at):
                at += 1
            else:
                names, at = path(header, at)
            marked = header[at - 1] == '"' and not header.startswith("~", at)
            at += header.startswith("~", at)
            if not lost:
                self.all.append(_Head(names, marked or names == by or all_text, names == by, shown=True))
            if at < len(header) and header[at] != "|":
                raise wrong("no |", header, at)
            at += 1
        self.shown = list(self.all)

    def constants(self, line: str, folds: Mapping[str, str]) -> bool:
        """Takes in the line that says what is the same in all rows; False where it is another."""
        if not line.startswith(CONSTANT):
            return False
        at = len(CONSTANT)
        place = 0
        while at < len(line):
            found = _PLACE.match(line, at)
            place = int(found.group(1)) if found else place + 1
            names, at = path(line, found.end() if found else at)
            if not line.startswith("=", at):
                raise wrong("no =", line, at)
            constant, at = value(line, at + 1, _cell_end(line, at + 1), folds)
            self.all.insert(place - 1, _Head(names, False, False, False, constant))
            if at < len(line) and line[at] != "|":
                raise wrong("no |", line, at)
            at += 1
        return True

    def row(self, line: str, folds: Mapping[str, str]) -> tuple[str | None, dict[Any, Any]]:
        """(the record's key if the table has keys, its members)."""
        cells: list[Any] = []
        at = 0
        while len(cells) < len(self.shown):
            end = _cell_end(line, at)
            if line[at:end] == MARK:
                cells.append(_OMITTED)
                at = end
            elif at == end:
                cells.append(_MISSING)
            else:
                cell, at = value(line, at, end, folds, text=self.shown[len(cells)].text)
                cells.append(cell)
            if at >= len(line):
                break
            if line[at] != "|":
                raise wrong("no |", line, at)
            at += 1
        if len(cells) < len(self.shown) and cells and cells[-1] is _OMITTED:
            cells += [_OMITTED] * (len(self.shown) - len(cells))
        if len(cells) != len(self.shown) or at < len(line):
            raise wrong(f"{len(cells)} cells in place of {len(self.shown)}", line)
        return self._record(cells)

    def _record(self, cells: Sequence[Any]) -> tuple[str | None, dict[Any, Any]]:
        key: str | None = None
        out: dict[Any, Any] = {}
        given = iter(cells)
        for head in self.all:
            cell = next(given) if head.shown else head.constant
            if head.key:
                key = str(cell)
                if not head.path:
                    continue
            if cell is _MISSING:
                continue
            inside = out
            for part in head.path[:-1]:
                inside = inside.setdefault(part, {})
            inside[head.path[-1]] = Omitted(1) if cell is _OMITTED else cell
        if self.lost:
            out[...] = Omitted(self.lost)
        return key, out


def rebuild(heads: Heads, rows: Sequence[Any], sizes: Sequence[int] | None, count: int) -> Any:
    """The array or object that the rows make; `Omitted` rows stand in it."""
    if heads.keyed:
        keyed: dict[Any, Any] = {}
        lost = 0
        for row in rows:
            if isinstance(row, Omitted):
                lost += row.count
            else:
                keyed[row[0]] = row[1]
        if lost:
            keyed[...] = Omitted(lost)
        return keyed
    records = [row if isinstance(row, Omitted) else row[1] for row in rows]
    if sizes is None:
        return records
    if count > _MOST_GROUPED:
        raise wrong("too many rows", str(count))
    single = [one for r in records for one in ([Omitted(1)] * r.count if isinstance(r, Omitted) else [r])]
    if len(sizes) == 1:
        sizes = [sizes[0]] * (count // max(1, sizes[0]))
    if sum(sizes) != count:
        raise wrong("groups that do not add up", str(list(sizes)[:9]))
    out: list[Any] = []
    at = 0
    for size in sizes:
        out.append(_merged(single[at : at + size]))
        at += size
    return out


def _merged(records: Sequence[Any]) -> list[Any]:
    out: list[Any] = []
    for record in records:
        if isinstance(record, Omitted) and out and isinstance(out[-1], Omitted):
            out[-1] = Omitted(out[-1].count + record.count)
        else:
            out.append(record)
    return out


def _cell_end(line: str, at: int) -> int:
    end = line.find("|", at)
    return len(line) if end < 0 else end
