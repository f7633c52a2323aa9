"""What is shown of an original: a part of it, or the lines around a search's hits, within a bound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ctxshrink.expand._ranges import Lines, Range

CONTEXT: Final = 2
"""Lines shown before and after a hit."""

LONG: Final = 1000
"""A line with more characters is not shown whole around a hit."""

WINDOW: Final = 300
"""Characters shown before and after a hit in such a line."""


def part(lines: Lines, wanted: Range, limit: int) -> str:
    """A range verbatim. Where it is longer than ``limit`` characters, its head and a line that says how to go on."""
    text = lines.text
    if wanted.end - wanted.start <= limit:
        return text[wanted.start : wanted.end]
    # The first line that does not fit is left for later; only a line that never fits is cut.
    first = lines.number(wanted.start)
    number = lines.number(wanted.start + limit + 1)
    if lines.start(number) <= wanted.start:
        cut = wanted.start + limit
        note = f'cut after character {cut} of {len(text)}; for more: lines="{wanted.from_character(cut)}"'
    else:
        cut = lines.end(number - 1)
        shown = f"lines {first}-{number - 1}" if first < number - 1 else f"line {first}"
        note = f'{shown} of {len(lines)}; for more: lines="{wanted.from_line(number, lines)}"'
    return f"{text[wanted.start : cut]}\n[{note}]"


@dataclass(frozen=True, slots=True)
class _Piece:
    """Characters of one line: all of it, or a window in a long one.

    Attributes:
        line: Its number.
        start: First character in the text.
        end: After the last one.
        hit: Where the first hit in it starts; None in lines around hits.
    """

    line: int
    start: int
    end: int
    hit: int | None = None


def search(lines: Lines, wanted: Range, query: str, limit: int) -> str:
    """The lines of a range that hold a text, with their numbers and the lines around them.

    Hits read ``12: text`` and lines around them ``11- text``; of a long line only a part, ``12 c5001-5600: text``.
    Lines that do not follow each other have ``--`` between them.

    Args:
        lines: Of the original.
        wanted: Where to search.
        query: What to search for, in any case; may run over several lines.
        limit: Most characters, the closing line not counted.
    """
    haystack, needle = _fold(lines.text[wanted.start : wanted.end]), _fold(query)
    total = haystack.count(needle)
    if not total:
        where = f"lines {lines.number(wanted.start)}-{lines.number(max(wanted.start, wanted.end - 1))}"
        return f"{query[:40]!r} is not in {where} of {len(lines)}. Search for a shorter part of it, or read lines."
    out: list[str] = []
    left, previous, any_hit = limit, 0, False
    for piece in _pieces(lines, wanted, _hits(lines, wanted, haystack, needle, limit)):
        joint = "--\n" if out and piece.line > previous + 1 else ""
        shown = joint + _render(lines, piece)
        if len(shown) + 1 > left:
            if piece.hit is None:
                continue
            if any_hit:
                seen = haystack.count(needle, 0, piece.hit - wanted.start)
                note = f'[{seen} of {total} hits; for more: the same search with lines="{_rest(lines, wanted, piece)}"]'
                return "\n".join([*out, note])
            # Not even one hit fits: as much of its line as does.
            end = min(piece.end, piece.hit + max(1, limit - 40))
            shown = _render(lines, _Piece(piece.line, piece.hit, end, piece.hit))
            note = f'1 of {total} hits, cut; the line goes on: lines="c{end + 1}-{max(end + 1, lines.end(piece.line))}"'
            rest = wanted.from_character(max(end, piece.hit + len(needle)))
            more = f'; for more: the same search with lines="{rest}"' if total > 1 else ""
            return f"{shown}\n[{note}{more}]"
        out.append(shown)
        left -= len(shown) + 1
        previous, any_hit = piece.line, any_hit or piece.hit is not None
    return "\n".join(out)


def _fold(text: str) -> str:
    """Lower case of the same length, so that positions stay: "İ" alone would grow, and "ς" depends on its place."""
    return text.replace("İ", "i").lower().replace("ς", "σ")


def _hits(
    lines: Lines, wanted: Range, haystack: str, needle: str, most: int
) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """For each line with a hit its number and the ranges of its first ``most`` hits, found as they are asked for."""
    number, spans = 0, list[tuple[int, int]]()
    position = haystack.find(needle)
    while position >= 0:
        start, end = wanted.start + position, wanted.start + position + len(needle)
        for line in range(lines.number(start), lines.number(end - 1) + 1):
            if line > number and spans:
                yield number, spans
                spans = []
            number = line
            spans.append((max(start, lines.start(line)), min(end, lines.end(line))))
        if len(spans) > most:
            end = max(end, lines.end(number))
        position = haystack.find(needle, end - wanted.start)
    if spans:
        yield number, spans


def _pieces(lines: Lines, wanted: Range, hits: Iterable[tuple[int, list[tuple[int, int]]]]) -> Iterator[_Piece]:
    """What to show, in order."""
    first, last = lines.number(wanted.start), lines.number(max(wanted.start, wanted.end - 1))
    previous = first - 1 - CONTEXT
    for number, spans in hits:
        behind = range(max(previous + 1, first), min(previous + CONTEXT, number - 1) + 1)
        yield from _context(lines, wanted, behind)
        yield from _context(lines, wanted, range(max(previous + CONTEXT + 1, number - CONTEXT, first), number))
        start, end = max(lines.start(number), wanted.start), min(lines.end(number), wanted.end)
        if end - start <= LONG:
            yield _Piece(number, start, end, spans[0][0])
        else:
            yield from _windows(number, start, end, spans)
        previous = number
    yield from _context(lines, wanted, range(previous + 1, min(previous + CONTEXT, last) + 1))


def _context(lines: Lines, wanted: Range, numbers: Iterable[int]) -> Iterator[_Piece]:
    for number in numbers:
        start, end = lines.start(number), lines.end(number)
        if wanted.start <= start and end <= wanted.end and end - start <= LONG:
            yield _Piece(number, start, end)


def _windows(number: int, start: int, end: int, spans: Sequence[tuple[int, int]]) -> Iterator[_Piece]:
    """The parts of a long line around its hits, those that touch as one."""
    opened: _Piece | None = None
    for hit, stop in spans:
        window = _Piece(number, max(start, hit - WINDOW), min(end, stop + WINDOW), hit)
        if opened is None:
            opened = window
        elif window.start <= opened.end and window.end - opened.start <= LONG:
            opened = replace(opened, end=window.end)
        else:
            yield opened
            opened = replace(window, start=max(window.start, opened.end))
    if opened is not None:
        yield opened


def _render(lines: Lines, piece: _Piece) -> str:
    whole = piece.start == lines.start(piece.line) and piece.end == lines.end(piece.line)
    place = f"{piece.line}" if whole else f"{piece.line} c{piece.start + 1}-{piece.end}"
    return f"{place}{'-' if piece.hit is None else ':'} {lines.text[piece.start : piece.end]}"


def _rest(lines: Lines, wanted: Range, piece: _Piece) -> str:
    """The range in which the search goes on."""
    start = max(lines.start(piece.line), wanted.start)
    if piece.hit is None or piece.start == start:
        return wanted.from_line(piece.line, lines)
    return wanted.from_character(piece.hit)
