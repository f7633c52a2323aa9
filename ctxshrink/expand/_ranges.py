"""Lines and characters of a text: where they are, and what a range such as "10-40" or "c100-900" means."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

_RANGE: Final = re.compile(r"(c?)([0-9]{0,12})(-?)([0-9]{0,12})")
_FILLER: Final = re.compile(r"\s+|lines?|l(?=[0-9])")
_DASHES: Final = str.maketrans(dict.fromkeys("‐‑‒–—−:", "-"))


class RangeError(Exception):
    """The range cannot be shown. The message is a sentence for the one who asked."""


class Lines:
    """The lines of a text, split at each line feed; one at the very end opens no further line.

    Args:
        text: Any text; an empty one has one line.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts = [0, *(m.end() for m in re.finditer("\n", text))]
        if len(self._starts) > 1 and self._starts[-1] == len(text):
            self._starts.pop()

    def __len__(self) -> int:
        return len(self._starts)

    def start(self, number: int) -> int:
        """Where a line starts; the first has number 1."""
        return self._starts[number - 1]

    def end(self, number: int) -> int:
        """Where a line ends, before its line feed."""
        if number < len(self):
            return self._starts[number] - 1
        return len(self.text) - (self.text.endswith("\n"))

    def number(self, position: int) -> int:
        """The line that a character stands in."""
        return bisect_right(self._starts, position)


@dataclass(frozen=True, slots=True)
class Range:
    """A part of a text.

    Attributes:
        start: First character, from 0.
        end: After the last character.
        stop: The last line, where the range was given in lines and had one.
        bounded: True where the range had an end of its own.
    """

    start: int
    end: int
    stop: int | None = None
    bounded: bool = False

    def from_line(self, number: int, lines: Lines) -> str:
        """The rest of the range from the start of a line, in the notation of `parse`."""
        if self.bounded and self.stop is None:
            return self.from_character(lines.start(number))
        return f"{number}-{self.stop or ''}"

    def from_character(self, position: int) -> str:
        """The rest of the range from a character, in the notation of `parse`."""
        return f"c{position + 1}-{self.end if self.bounded else ''}"


def parse(given: str | None, lines: Lines) -> Range:
    """Read a range.

    Args:
        given: "10-40", "10-", "-40" or "7": lines, the first being 1, both ends included. With a "c" before it,
            characters. None or "": everything.
        lines: Of the text.

    Returns:
        The range, cut to what the text has.

    Raises:
        RangeError: It is no range, or lies outside the text.
    """
    size = len(lines.text)
    if given is None or not given.strip():
        return Range(0, size)
    match = _RANGE.fullmatch(_FILLER.sub("", given[:80].lower()).translate(_DASHES))
    if match is None or not (match[2] or match[4]):
        raise RangeError(f'{given[:40]!r} is no range: write lines as "10-40", "10-", "-40" or "7".')
    total, unit = (size, "characters") if match[1] else (len(lines), "lines")
    first = int(match[2] or 1)
    last = int(match[4]) if match[4] else (total if match[3] else first)
    if not 1 <= first <= last or first > total:
        raise RangeError(
            f"There is no such part: the original has {total} {unit}. Ask for a range from 1 to {total} with the "
            f'smaller number first, such as lines="{match[1]}1-{min(total, 1000 if match[1] else 40)}".'
        )
    last, bounded = min(last, total), bool(match[4]) or not match[3]
    if match[1]:
        return Range(first - 1, last, None, bounded)
    return Range(lines.start(first), lines.end(last), last if bounded else None, bounded)
