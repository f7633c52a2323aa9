"""Lines that the model has already seen: said once, and referred to from then on.

The same file is opened again, the same search is run again, the same chunk is retrieved again. Runs of lines that stand
verbatim in an earlier text give way to one line that says where they stand::

    [… lines 12-80 are the same as in tool result 3]
    [… lines 12-80 are the same as lines 10-78 of tool result 3]
    [… lines 12-80 are the same as lines 10-78 of tool result 3, line numbers 2 higher]

The last form serves numbered views of a file after an edit: the text behind the numbers is the same, the numbers have
moved. Everything else stays verbatim, and `RepeatIndex.unfold` gives the text back exactly.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ctxshrink.errors import ConfigError
from ctxshrink.structure._runs import NUMBERED, Run, bodies, difference, read_reference, renumber
from ctxshrink.types import Span

MIN_LINES = 4
"""Shortest run that is referred to; a text that is the same as a whole may be shorter."""
WORTH = 2
"""A run must be estimated at more than this many times the tokens of its reference."""
CANDIDATES = 4
"""Places of equal lines that are compared for the longest run: the first ones and the newest one."""

_PIECE = re.compile(r"\w{1,5}|[^\w\s]")
_LITERAL = "[… the next line stands as written]"
_BASE = 1_000_003
_MOD = (1 << 61) - 1


@dataclass(frozen=True, slots=True)
class Folded:
    """A text in which runs of lines refer to earlier texts.

    Attributes:
        text: The text to use. A line that could be taken for a reference has a line before it that says that it is
            none; but for that it is the text that went in where nothing was folded.
        runs: What was folded, in order; () for nothing.
        spans: Ranges of the text that went in that stand verbatim in `text`, in order.
    """

    text: str
    runs: tuple[Run, ...] = ()
    spans: tuple[Span, ...] = ()

    @property
    def lines(self) -> int:
        """How many lines were folded."""
        return sum(run.last - run.first + 1 for run in self.runs)


class RepeatIndex:
    """Texts that the model has seen, indexed by their runs of lines.

    Time and memory are linear in what is added; folding is linear in the text that is folded.

    Args:
        min_lines: Shortest run to fold, in lines, >= 1.

    Raises:
        ConfigError: `min_lines` is below 1.
    """

    def __init__(self, *, min_lines: int = MIN_LINES) -> None:
        if min_lines < 1:
            raise ConfigError(f"min_lines must be at least 1, not {min_lines}")
        self._width = min_lines
        self._drop = pow(_BASE, min_lines, _MOD)
        self._ids: dict[str, int] = {}
        self._labels: list[str] = []
        self._sources: dict[str, list[str]] = {}
        self._keys: list[list[int]] = []
        self._whole: dict[str, int] = {}
        self._windows: dict[int, list[tuple[int, int]]] = {}

    def add(self, label: str, text: str) -> None:
        """Adds a text as the model has it in its context.

        Raises:
            ConfigError: The label is in use, is empty, holds a line break or reads like a part of a reference.
        """
        if not label or "\n" in label or "\r" in label:
            raise ConfigError(f"a label is one line of text that names the earlier text, not {label!r}")
        marker = Run(1, 1, label, 1)
        if read_reference(marker.marker, 1, {label: [""]}) != marker:
            raise ConfigError(f"the label {label!r} reads like a part of a reference; use a plainer one")
        if label in self._sources:
            raise ConfigError(f"the label {label!r} is used for two texts; give each text its own")
        lines = text.split("\n")
        keys = [self._ids.setdefault(body, len(self._ids)) for body in bodies(lines)]
        number = len(self._labels)
        self._labels.append(label)
        self._sources[label] = lines
        self._keys.append(keys)
        self._whole.setdefault(text, number)
        for at, window in enumerate(self._rolling(keys)):
            places = self._windows.setdefault(window, [])
            if len(places) < CANDIDATES:
                places.append((number, at))
            else:
                places[-1] = (number, at)

    def fold(self, text: str) -> Folded:
        """The text with its runs of known lines replaced by references. The text itself is not added."""
        lines = text.split("\n")
        runs: list[Run] = []
        same = self._whole.get(text)
        if same is not None:
            runs = self._worth([Run(1, len(lines), self._labels[same], 1)], lines)
        elif self._labels and len(lines) >= self._width:
            runs = self._runs(lines)
        return _write(text, lines, runs, self._sources)

    def unfold(self, folded_text: str) -> str:
        """The text that `fold` was given, from what it returned."""
        out: list[str] = []
        literal = False
        for line in folded_text.split("\n"):
            run = None if literal else read_reference(line, len(out) + 1, self._sources)
            if run is not None:
                there = self._sources[run.label][run.source - 1 : run.source + run.last - run.first]
                out += [renumber(old, run.shift) for old in there]
            elif literal or line != _LITERAL:
                out.append(line)
            literal = not literal and line == _LITERAL
        return "\n".join(out)

    def _rolling(self, keys: Sequence[int]) -> list[int]:
        """Polynomial hash of each run of `min_lines` lines (Karp, Rabin 1987)."""
        out: list[int] = []
        value = 0
        for i, key in enumerate(keys):
            value = (value * _BASE + key + 1) % _MOD
            if i >= self._width:
                value = (value - (keys[i - self._width] + 1) * self._drop) % _MOD
            if i >= self._width - 1:
                out.append(value)
        return out

    def _runs(self, lines: list[str]) -> list[Run]:
        fresh = len(self._ids)  # a line that stands in no earlier text
        keys = [self._ids.get(body, fresh + i) for i, body in enumerate(bodies(lines))]
        windows = self._rolling(keys)
        found: list[Run] = []
        at = 0
        while at < len(windows):
            best: Run | None = None
            for number, start in self._windows.get(windows[at], ()):
                run = self._extend(lines, keys, at, number, start)
                if run is not None and (best is None or run.last > best.last):
                    best = run
            if best is None:
                at += 1
            elif self._worth([best], lines):
                found.append(best)
                at = best.last
            else:  # only a run that goes on beyond this one can be worth more
                at = max(at + 1, best.last - self._width + 1)
        return found

    def _extend(self, lines: list[str], keys: list[int], at: int, number: int, start: int) -> Run | None:
        theirs, label = self._keys[number], self._labels[number]
        source = self._sources[label]
        shift: int | None = None
        n = 0
        while at + n < len(lines) and start + n < len(theirs) and keys[at + n] == theirs[start + n]:
            here, there = lines[at + n], source[start + n]
            if here == there:
                # Blank and unnumbered lines go with any shift; a number that did not move does not.
                if shift is not None and shift != 0 and NUMBERED.match(here):
                    break
                if shift is None and NUMBERED.match(here):
                    shift = 0
            else:
                moved = difference(here, there)
                if moved is None or (shift is not None and moved != shift) or renumber(there, moved) != here:
                    break
                shift = moved
            n += 1
        if n < self._width:
            return None
        return Run(at + 1, at + n, label, start + 1, shift or 0)

    def _worth(self, runs: list[Run], lines: list[str]) -> list[Run]:
        return [run for run in runs if _is_worth(run, lines)]


def _is_worth(run: Run, lines: list[str]) -> bool:
    need = WORTH * len(_PIECE.findall(run.marker))
    have = 0
    for line in lines[run.first - 1 : run.last]:
        have += sum(1 for _ in _PIECE.finditer(line))
        if have > need:
            return True
    return False


def _write(text: str, lines: list[str], runs: list[Run], sources: dict[str, list[str]]) -> Folded:
    out: list[str] = []
    spans: list[Span] = []
    place = at = 0  # line and character
    for run in [*runs, None]:
        stop = run.first - 1 if run else len(lines)
        start = at
        for number in range(place, stop):
            line = lines[number]
            if line == _LITERAL or read_reference(line, number + 1, sources) is not None:
                out.append(_LITERAL)
            out.append(line)
            at += len(line) + 1
        if stop > place:
            spans.append((start, min(at, len(text))))
        if run:
            out.append(run.marker)
            at += sum(len(line) + 1 for line in lines[run.first - 1 : run.last])
            place = run.last
    folded = "\n".join(out)
    return Folded(folded, tuple(runs), tuple(spans))
