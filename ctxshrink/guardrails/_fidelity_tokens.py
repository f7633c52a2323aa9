"""Texts as tokens in normal form, each with its kind and the unit (sentence, line, member) that it stands in."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass, field
from enum import IntEnum

from ctxshrink.text import CJK, units
from ctxshrink.text.wordlists import CONTRACTIONS, FUNCTION, GERMAN, LIMITS, NEGATIONS, OTHERS
from ctxshrink.types import ContentType


class Kind(IntEnum):
    """What a token is good for."""

    FUNCTION = 0
    CONTENT = 1
    NAME = 2
    NUMBER = 3
    LIMIT = 4
    NEGATION = 5


SIGNS = frozenset("$€£¥%‰°")
"""Signs of currencies and units, which are tokens of their own."""
_GAP = "\ue000"
# The markers of this library: […], [… 12 lines omitted], [original: expand("…")], and a bare ellipsis.
_MARKER = re.compile(r"\[… ?[^\]\n]{0,200}\]|\[original[^\]\n]{0,120}\]|…\d{0,9}")
_LIST_MARK = re.compile(r"(?m)^[ \t>]{0,40}(?:[-*+•‣◦▪●○–][ \t]{1,8})?(?:\(?\d{1,3}[.)][ \t])?")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_CJK_WORDS = "|".join(
    sorted(
        (w for w in NEGATIONS | LIMITS if len(w) > 1 and not w[0].isascii() and ord(w[0]) > 0x3000),
        key=len,
        reverse=True,
    )
)
_TOKEN = re.compile(
    rf"(?P<gap>{_GAP})|(?P<cjk>{_CJK_WORDS}|[{CJK}])|(?P<unit>[$€£¥%‰°])"
    rf"|(?P<number>(?:(?<![\w.,])[-−])?\d{{1,400}}(?:\.\d{{1,400}})*+)"
    rf"|(?P<word>[^\W_{CJK}]{{1,400}}(?:['’][^\W\d_{CJK}]{{1,40}}){{0,3}})"
)  # fmt: skip
_NOT = re.compile(r"n['’]t$")
_MAX_NAMES = 0.6
"""Above this share of capitalised words (headings, records) a capital does not make a name."""


@dataclass(slots=True)
class Tokens:
    """A text's tokens, in parallel lists.

    Attributes:
        text: The text that the positions are in: without markers, in NFKC.
        norm: Normal forms, what is compared.
        kind: What each is.
        unit: Index of the unit that each stands in.
        at: Range of each in ``text``.
        gaps: Indices of tokens that an omission marker stands before; the number of tokens for one at the end.
        bounds: First token of each unit, and the number of tokens at the end.
        items: Numbers of list items, which are no tokens.
        german: True for German, whose nouns all have a capital.
    """

    text: str
    norm: list[str] = field(default_factory=list[str])
    kind: list[Kind] = field(default_factory=list[Kind])
    unit: list[int] = field(default_factory=list[int])
    at: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    gaps: set[int] = field(default_factory=set[int])
    bounds: list[int] = field(default_factory=list[int])
    items: set[str] = field(default_factory=set[str])
    german: bool = False

    def __len__(self) -> int:
        return len(self.norm)

    def starts(self, i: int) -> bool:
        """True where a unit starts with token ``i``."""
        return i == 0 or self.unit[i] != self.unit[i - 1]


def plain(text: str) -> str:
    """A text with omission markers as one private character, in NFKC, without invisible characters."""
    text = _MARKER.sub(_GAP, text)
    return _INVISIBLE.sub("", text if text.isascii() else unicodedata.normalize("NFKC", text))


def tokenize(text: str, content_type: ContentType) -> Tokens:
    """The tokens of a text; its units are those that a compressor selects by."""
    out = Tokens(plain(text))
    text = out.text
    spans = units(text, content_type)
    starts = [s for s, _ in spans]
    marks = (
        {m.start(): m.end() for m in _LIST_MARK.finditer(text) if m.end() > m.start()}
        if content_type == "prose"
        else {}
    )
    skip = 0
    skipped = iter(sorted(marks.items()))
    mark = next(skipped, None)
    capitals = content = 0
    names: list[int] = []
    for m in _TOKEN.finditer(text):
        start, end = m.span()
        while mark is not None and mark[0] <= start:
            skip = max(skip, mark[1])
            mark = next(skipped, None)
        if start < skip:
            if m["number"]:
                out.items.add(m.group())
            continue
        if m["gap"]:
            out.gaps.add(len(out.norm))
            continue
        unit = bisect_right(starts, start) - 1
        first = not out.unit or out.unit[-1] != unit
        if first:
            out.bounds.append(len(out.norm))
        word = m["word"]
        if word is None:
            value = m.group()
            norm = value.replace("−", "-")
            kind = _kind(norm) if m["cjk"] else Kind.NUMBER
            _add(out, norm if m["cjk"] else number_form(norm), kind, unit, start, end)
            continue
        for part in _parts(word):
            kind = _kind(part)
            if kind is Kind.CONTENT:
                content += 1
                if not first and word[0].isupper():
                    capitals += 1
                    names.append(len(out.norm))
            _add(out, part, kind, unit, start, end)
            first = False
    out.bounds.append(len(out.norm))
    out.german = sum(n in GERMAN for n in out.norm) > sum(n in OTHERS for n in out.norm)
    if not out.german and capitals <= _MAX_NAMES * content + 2:
        for i in names:
            out.kind[i] = Kind.NAME
    return out


def omissions(source: Tokens, text: Tokens, origin: list[int]) -> set[int]:
    """Tokens of the text, or its end, that a marker stands before which the original does not have there."""
    size = len(text)
    return {
        i
        for i in text.gaps
        if not (i < size and origin[i] in source.gaps)
        and not (i > 0 and origin[i - 1] + 1 in source.gaps and origin[i - 1] >= 0)
    }


def is_cjk(tokens: Tokens) -> bool:
    """True for a text that is mostly written without spaces between words."""
    return 2 * sum(len(n) == 1 and n >= "\u3040" for n in tokens.norm) > len(tokens)


def share_names(source: Tokens, text: Tokens) -> None:
    """Makes a word a name wherever it stands, in both texts, if it is one somewhere in the original."""
    names = frozenset(n for n, k in zip(source.norm, source.kind, strict=True) if k is Kind.NAME)
    for tokens in (source, text):
        for i, kind in enumerate(tokens.kind):
            if kind in (Kind.CONTENT, Kind.NAME):
                tokens.kind[i] = Kind.NAME if tokens.norm[i] in names else Kind.CONTENT


def number_form(value: str) -> str:
    """A number without a decimal part that is zero."""
    head, dot, tail = value.partition(".")
    return head if dot and not tail.strip("0") else value


def _add(out: Tokens, norm: str, kind: Kind, unit: int, start: int, end: int) -> None:
    out.norm.append(norm)
    out.kind.append(kind)
    out.unit.append(unit)
    out.at.append((start, end))


def _parts(word: str) -> tuple[str, ...]:
    """The tokens of one word: contractions are spelled out, elisions and possessives cut off."""
    low = word.casefold().replace("’", "'")
    if "'" not in low:
        return CONTRACTIONS.get(low, (low,))
    if low in CONTRACTIONS:
        return CONTRACTIONS[low]
    if _NOT.search(low):
        return (low[:-3], "not") if len(low) > 3 else ("not",)
    return tuple(p for p in low.split("'") if p)


def _kind(norm: str) -> Kind:
    if norm in NEGATIONS:
        return Kind.NEGATION
    if norm in LIMITS:
        return Kind.LIMIT
    if norm in FUNCTION:
        return Kind.FUNCTION
    if len(norm) == 1 and "\u3040" <= norm <= "\u309f":
        return Kind.FUNCTION  # Hiragana: endings and particles.
    return Kind.NUMBER if any(c.isdigit() for c in norm) else Kind.CONTENT
