"""References to runs of lines: how they are written and read, and lines whose numbers have moved."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

NUMBERED = re.compile(r"( {0,12})(\d{1,7})([:|\t→]| \|)")
_MARKER = re.compile(
    r"\[… lines? (\d{1,9})(?:-(\d{1,9}))? (?:is|are) the same as "
    r"(?:in|lines? (\d{1,9})(?:-(\d{1,9}))? of) ([^\n]+?)(?:, line numbers (\d{1,8}) (higher|lower))?\]"
)


@dataclass(frozen=True, slots=True)
class Run:
    """A run of lines that stands in an earlier text. Lines count from 1.

    Attributes:
        first: First line of the run in the text that was folded.
        last: Its last line.
        label: The earlier text.
        source: The line of the earlier text that `first` is the same as.
        shift: What is added to the line numbers that stand before the lines of the earlier text.
    """

    first: int
    last: int
    label: str
    source: int
    shift: int = 0

    @property
    def marker(self) -> str:
        """The line that stands for the run."""
        here, there = _lines(self.first, self.last), _lines(self.source, self.source + self.last - self.first)
        verb = "is" if self.first == self.last else "are"
        where = "in" if self.first == self.source else f"{there} of"
        moved = f", line numbers {abs(self.shift)} {'higher' if self.shift > 0 else 'lower'}" if self.shift else ""
        return f"[… {here} {verb} the same as {where} {self.label}{moved}]"


def bodies(lines: Sequence[str]) -> list[str]:
    """The lines without line numbers, where consecutive lines carry consecutive ones."""
    found = [NUMBERED.match(line) for line in lines]
    numbers = [int(m.group(2)) if m else -5 for m in found]
    out: list[str] = []
    for i, (line, m) in enumerate(zip(lines, found, strict=True)):
        before = numbers[i - 1] if i else -5
        after = numbers[i + 1] if i + 1 < len(numbers) else -5
        in_order = m is not None and (before == numbers[i] - 1 or after == numbers[i] + 1)
        # NUL keeps a numbered line apart from one that reads the same without a number.
        out.append(f"\0{m.group(3)}{line[m.end() :]}" if m is not None and in_order else line)
    return out


def difference(here: str, there: str) -> int | None:
    a, b = NUMBERED.match(here), NUMBERED.match(there)
    return int(a.group(2)) - int(b.group(2)) if a and b else None


def renumber(line: str, shift: int) -> str:
    """The line with its number moved; padding gives way to digits as right-aligned numbers do."""
    m = NUMBERED.match(line)
    if not m or not shift:
        return line
    pad, number = m.group(1), m.group(2)
    width = len(pad) + len(number) if pad else 0
    return f"{int(number) + shift:>{width}}{line[m.start(3) :]}"


def read_reference(line: str, number: int, sources: Mapping[str, Sequence[str]]) -> Run | None:
    """The run that a line stands for when it is a marker that could have been written as this line."""
    m = _MARKER.fullmatch(line) if line.startswith("[…") else None
    if not m:
        return None
    first, last = int(m.group(1)), int(m.group(2) or m.group(1))
    source = int(m.group(3) or first)
    shift = int(m.group(6) or 0) * (-1 if m.group(7) == "lower" else 1)
    run = Run(first, last, m.group(5), source, shift)
    known = sources.get(run.label)
    fits = known is not None and first <= last and source >= 1 and source + last - first <= len(known)
    return run if fits and first == number and run.marker == line else None


def _lines(first: int, last: int) -> str:
    return f"line {first}" if first == last else f"lines {first}-{last}"
