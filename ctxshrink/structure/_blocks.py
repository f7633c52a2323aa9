"""The parts of a compact rendering: each writes itself, all of it or a choice of its units, on a `Sheet`."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ctxshrink.structure._json_words import MARK
from ctxshrink.types import Span


class Sheet:
    """What is written so far.

    Args:
        kept: Numbers of the kept units, ascending; None writes everything and records the units.
        short: Bare counts in all markers; otherwise the first one says in words what it counts.
    """

    def __init__(self, kept: Sequence[int] | None = None, short: bool = False) -> None:
        self.kept = kept
        self.spans: list[Span] = []
        self.labels: list[str] = []
        self.weights: list[float] = []
        self.groups: list[int] = []
        self.parents: list[int] = []
        self._parts: list[str] = []
        self._size = 0
        self._record = 0
        self._said = short

    @property
    def text(self) -> str:
        """The text."""
        return "".join(self._parts)

    def write(self, text: str) -> None:
        """Adds text that is no unit."""
        self._parts.append(text)
        self._size += len(text)

    def line(self, indent: int) -> None:
        """Begins a line."""
        self.write("\n" + " " * indent if self._size else " " * indent)

    def unit(self, text: str, label: str, weight: float, parent: int = -1) -> None:
        """Adds a unit; ``parent`` is the number of the one without which it says nothing."""
        if self.kept is None:
            self.spans.append((self._size, self._size + len(text)))
            self.labels.append(label)
            self.weights.append(weight)
            self.groups.append(self._record)
            self.parents.append(parent)
        self.write(text)

    @property
    def here(self) -> int:
        """Number of the next unit, while everything is written."""
        return len(self.spans)

    def record(self) -> None:
        """Begins another record."""
        self._record += 1

    def holds(self, units: Span) -> bool:
        """True where one of these units is kept."""
        if self.kept is None:
            return True
        at = bisect_left(self.kept, units[0])
        return at < len(self.kept) and self.kept[at] < units[1]

    def marker(self, count: int, what: str) -> None:
        """Writes how much is left out; the first marker says it in words."""
        if self._said:
            self.write(f"[{MARK}{count}]")
        else:
            self.write(f"[{MARK} {count} {what}{'' if count == 1 else 's'} omitted]")
            self._said = True


class Block(Protocol):
    """A part of the rendering. ``units`` is its range of units, known once everything was written."""

    units: Span

    def write(self, sheet: Sheet, indent: int, /) -> None:
        """Writes it, the first line in the line already begun, further lines at ``indent``."""
        ...


def kept_items(sheet: Sheet, items: Iterable[Block]) -> Iterator[tuple[int, Block | None]]:
    """The kept items, each with how many are left out before it; last None with how many are left out at the end."""
    omitted = 0
    for item in items:
        if sheet.holds(item.units):
            yield omitted, item
            omitted = 0
        else:
            omitted += 1
    yield omitted, None


@dataclass(slots=True)
class Leaf:
    """One unit: a value, or a member with its name; ``same`` is the earlier block that it refers to."""

    text: str
    label: str
    weight: float
    units: Span = (0, 0)
    same: Block | None = None

    def write(self, sheet: Sheet, indent: int, /) -> None:
        """Writes the unit."""
        if sheet.kept is None:
            self.units = (sheet.here, sheet.here + 1)
        sheet.unit(self.text, self.label, self.weight, self.same.units[0] if self.same else -1)


@dataclass(slots=True)
class Long:
    """A long string: its sentences and lines are units.

    Attributes:
        head: The member's name, the opening quote and white space behind it.
        pieces: The sentences, as written.
        gaps: What stands between them, one less.
        tail: The closing quote and white space before it.
    """

    head: str
    pieces: list[str]
    gaps: list[str]
    tail: str
    label: str
    weights: list[float]
    units: Span = (0, 0)

    def write(self, sheet: Sheet, indent: int, /) -> None:
        """Writes the kept sentences."""
        first = sheet.here if sheet.kept is None else self.units[0]
        sheet.write(self.head)
        omitted = 0
        for i, piece in enumerate(self.pieces):
            if not sheet.holds((first + i, first + i + 1)):
                omitted += 1
                continue
            if omitted:
                sheet.write(" " if i > omitted else "")
                sheet.marker(omitted, "sentence")
                sheet.write(" ")
                omitted = 0
            elif i:
                sheet.write(self.gaps[i - 1])
            sheet.unit(piece, self.label, self.weights[i])
        if omitted:
            sheet.write(" ")
            sheet.marker(omitted, "sentence")
        sheet.write(self.tail)
        if sheet.kept is None:
            self.units = (first, sheet.here)


@dataclass(slots=True)
class Inline:
    """An object or array on one line: ``{a: 1, b: 2}``, ``[a, b]``; runs that are left out show as ``…3``."""

    head: str
    brackets: str
    items: list[Block]
    units: Span = (0, 0)

    def write(self, sheet: Sheet, indent: int, /) -> None:
        """Writes the kept items."""
        first = sheet.here
        sheet.write(self.head + self.brackets[0])
        comma = ""
        for omitted, item in kept_items(sheet, self.items):
            if omitted:
                sheet.write(f"{comma}{MARK}{omitted}")
                comma = ", "
            if item is not None:
                sheet.write(comma)
                item.write(sheet, indent)
                comma = ", "
        sheet.write(self.brackets[1])
        if sheet.kept is None:
            self.units = (first, sheet.here)


@dataclass(slots=True)
class Alike:
    """Neighbouring members with the same small value: ``a, b, c: null``. Each name is a unit."""

    items: list[Leaf]
    tail: str
    units: Span = (0, 0)

    def omitted(self, sheet: Sheet) -> int:
        """How many of the members are left out."""
        return sum(not sheet.holds(item.units) for item in self.items)

    def write(self, sheet: Sheet, indent: int, /) -> None:
        """Writes the kept names and the value."""
        first = sheet.here
        begun = False
        for item in self.items:
            if sheet.holds(item.units):
                sheet.write(", " if begun else "")
                item.write(sheet, indent)
                begun = True
        sheet.write(self.tail)
        if sheet.kept is None:
            self.units = (first, sheet.here)


@dataclass(slots=True)
class Members:
    """An object: a line for each member; how many are left out stands in the last line."""

    items: list[Block]
    units: Span = (0, 0)

    def write(self, sheet: Sheet, indent: int, /) -> None:
        """Writes the kept members."""
        first = sheet.here
        begun = False
        omitted = 0
        for item in self.items:
            if isinstance(item, Alike):
                omitted += item.omitted(sheet)
            elif not sheet.holds(item.units):
                omitted += 1
            if not sheet.holds(item.units):
                continue
            if begun:
                sheet.line(indent)
            begun = True
            item.write(sheet, indent)
        if omitted:
            if begun:
                sheet.line(indent)
            sheet.marker(omitted, "field")
        if sheet.kept is None:
            self.units = (first, sheet.here)


@dataclass(slots=True)
class Items:
    """An array: ``- `` and a line for each item; runs that are left out are counted in their place."""

    items: list[Block]
    units: Span = (0, 0)

    def write(self, sheet: Sheet, indent: int, /) -> None:
        """Writes the kept items."""
        first = sheet.here
        begun = False
        for omitted, item in kept_items(sheet, self.items):
            if omitted:
                if begun:
                    sheet.line(indent)
                sheet.marker(omitted, "item")
                begun = True
            if item is not None:
                if begun:
                    sheet.line(indent)
                begun = True
                sheet.write("- ")
                item.write(sheet, indent + 2)
        if sheet.kept is None:
            self.units = (first, sheet.here)


@dataclass(slots=True)
class Nested:
    """A member whose value takes lines of its own, one deeper."""

    head: str
    body: Members | Items
    units: Span = (0, 0)

    def write(self, sheet: Sheet, indent: int, /) -> None:
        """Writes the name and the value below it."""
        sheet.write(self.head)
        sheet.line(indent + 1)
        sheet.record()
        self.body.write(sheet, indent + 1)
        sheet.record()
        self.units = self.body.units
