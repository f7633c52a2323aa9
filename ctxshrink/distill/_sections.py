"""Long texts in sections that a language model can take one at a time."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ctxshrink.text import units
from ctxshrink.types import ContentType, TokenCounter

_HEADING = re.compile(r"#{1,6}[ \t]|\d{1,3}(?:\.\d{1,3}){0,4}\.?[ \t]+[^\W\d_][^.!?]{0,80}$")
_BACK = 0.3
"""Share of a section that may be given up for a cut at a heading or a paragraph."""


@dataclass(frozen=True, slots=True)
class Section:
    """A piece of a text.

    Attributes:
        lead: Where the overlap with the section before begins.
        start: Where the section begins; sections touch each other.
        end: Where it ends.
        tokens: About how many tokens it has.
    """

    lead: int
    start: int
    end: int
    tokens: int


def sections(text: str, kind: ContentType, counter: TokenCounter, size: int, overlap: int) -> list[Section]:
    """The sections of a text, in order; together they hold all of it.

    They are cut where a sentence, a line or a member ends, at a heading or a paragraph where there is one near. Only
    a run without any boundary makes one that is larger than asked for.

    Args:
        text: The text.
        kind: What it looks like.
        counter: Counts tokens.
        size: Most tokens of a section.
        overlap: Tokens of the section before that are read again, about.
    """
    spans = units(text, kind)
    if not spans:
        return []
    tokens = counter.count([text[s:e] for s, e in spans])
    out: list[Section] = []
    first = 0
    while first < len(spans):
        last = _last(text, spans, tokens, first, size)
        lead, room = first, overlap
        while out and lead > 0 and tokens[lead - 1] <= room:
            lead -= 1
            room -= tokens[lead]
        start = spans[first][0] if out else 0
        end = spans[last][0] if last < len(spans) else len(text)
        out.append(Section(min(start, spans[lead][0]), start, end, sum(tokens[first:last])))
        first = last
    return out


def _last(text: str, spans: list[tuple[int, int]], tokens: list[int], first: int, size: int) -> int:
    """The unit behind the last one of a section that begins with unit ``first``."""
    total, last = tokens[first], first + 1
    while last < len(spans) and total + tokens[last] <= size:
        total += tokens[last]
        last += 1
    if last == len(spans):
        return last
    paragraph, given_up = last, 0
    for cut in range(last, first + 1, -1):
        start = spans[cut][0]
        if _HEADING.match(text[start : min(spans[cut][1], start + 100)]):
            return cut
        if paragraph == last and "\n\n" in text[spans[cut - 1][1] : start]:
            paragraph = cut
        given_up += tokens[cut - 1]
        if given_up > _BACK * size:
            break
    return paragraph
