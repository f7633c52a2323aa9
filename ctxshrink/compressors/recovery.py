"""Subsequence recovery: an answer's words back in the wording of the original.

A model that reads a compressed prompt answers in its words: "director Ann Lindt" where the original says "its first
director was Ann Maria Lindt". LongLLMLingua (arXiv 2310.06839, section 4.4, algorithm 1) looks for the longest runs of
the answer that stand in the compressed prompt, and puts the shortest stretch of the original in their place that holds
the run's words in order.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from ctxshrink.text import CJK
from ctxshrink.types import Span

__all__ = ["recover"]

GAP = 10
"""Most words that may have been left out between two neighbouring words of a run (10 tokens in the package)."""
RUN = 200
"""Most words of a run."""
PLACES = 64
"""Most places of a run's first two words that are looked at; bounds the time for texts that repeat themselves."""

# A word with the marks inside it, or a single Chinese or Japanese character.
_WORD = re.compile(rf"[{CJK}]|[^\W{CJK}]++(?:[-'’.,:/@][^\W{CJK}]++)*+")


@dataclass(frozen=True, slots=True)
class _Text:
    """The words of a text, folded, and where they stand."""

    words: list[str]
    spans: list[Span]

    @classmethod
    def of(cls, text: str) -> _Text:
        found = list(_WORD.finditer(text))
        return cls([m.group().casefold() for m in found], [m.span() for m in found])

    def places(self) -> dict[str, list[int]]:
        """Where each word stands, ascending."""
        out: dict[str, list[int]] = {}
        for i, word in enumerate(self.words):
            out.setdefault(word, []).append(i)
        return out

    def pairs(self) -> dict[tuple[str, str], list[int]]:
        """Where two words follow each other."""
        out: dict[tuple[str, str], list[int]] = {}
        for i in range(len(self.words) - 1):
            out.setdefault((self.words[i], self.words[i + 1]), []).append(i)
        return out


def recover(original: str, compressed: str, response: str) -> str:
    """The response with its quotations of the compressed text in the words of the original.

    A quotation is a run of two words or more that stands in the compressed text, the longest one first from the left;
    words are compared without case and punctuation. In its place comes the shortest stretch of the original that begins
    with its first word, ends with its last, and holds all of them in order with at most `GAP` others between two.
    What is no quotation, or stands in the original as it is, stays as it was.

    The result is made of pieces of the response and of the original and of nothing else. The time is linear in the
    length of the three texts.

    Args:
        original: The text before compression. Of several segments: joined, as they stood in the prompt.
        compressed: The text that the model read.
        response: What the model answered.
    """
    answer, short, full = _Text.of(response), _Text.of(compressed), _Text.of(original)
    starts, places, pairs = short.pairs(), full.places(), full.pairs()
    out: list[str] = []
    at = copied = 0
    while at + 1 < len(answer.words):
        length = _run(answer.words, at, short.words, starts)
        if length < 2:
            at += 1
            continue
        run = answer.words[at : at + length]
        found = None if _stands(run, full.words, pairs) else _stretch(run, places)
        if found is not None:
            first, last = answer.spans[at][0], answer.spans[at + length - 1][1]
            out += (response[copied:first], original[full.spans[found[0]][0] : full.spans[found[1]][1]])
            copied = last
        at += length
    return "".join([*out, response[copied:]])


def _run(words: Sequence[str], at: int, within: Sequence[str], starts: dict[tuple[str, str], list[int]]) -> int:
    """Words of the longest run from a place on that stands in a text; 0 where not even two do."""
    best = 0
    for start in starts.get((words[at], words[at + 1]), ())[:PLACES]:
        length = 2
        most = min(len(words) - at, len(within) - start, RUN)
        while length < most and words[at + length] == within[start + length]:
            length += 1
        best = max(best, length)
    return best


def _stands(run: Sequence[str], words: Sequence[str], pairs: dict[tuple[str, str], list[int]]) -> bool:
    """Whether a run stands in the original word for word."""
    found = pairs.get((run[0], run[1]), ())[:PLACES]
    return any(words[start : start + len(run)] == run for start in found)


def _stretch(run: Sequence[str], places: dict[str, list[int]]) -> tuple[int, int] | None:
    """First and last word of the shortest stretch of the original that holds a run."""
    rows = [places.get(word) for word in run]
    if any(row is None for row in rows):
        return None
    best: tuple[int, int] | None = None
    for start in (rows[0] or [])[:PLACES]:
        end = start
        for row in rows[1:]:
            where = bisect_left(row or [], end + 1)
            if row is None or where == len(row) or row[where] - end - 1 > GAP:
                break
            end = row[where]
        else:
            if best is None or end - start < best[1] - best[0]:
                best = start, end
    return best
