"""The small things that an answer turns on: numbers, dates, ids, names, negations.

Extraction is by rule and errs on the side of finding too much. Facts are compared in a normal form: Unicode NFKC, case
folded, digits without thousands separators.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Literal, TypeAlias

FactKind: TypeAlias = Literal["number", "date", "id", "name", "negation"]
Fact: TypeAlias = tuple[FactKind, str]

_DATE = (
    r"\d{4}-\d{1,2}-\d{1,2}(?:[T ]\d{1,2}:\d{2}(?::\d{2})?)?|\d{1,2}[./]\d{1,2}[./]\d{2,4}|\d{1,2}:\d{2}(?::\d{2})?"
    r"|\d{4}年(?:\d{1,2}月)?(?:\d{1,2}日)?|\d{1,2}月\d{1,2}日"
)
_ID = r"(?<![A-Za-z0-9_])[A-Za-z0-9_#/@][A-Za-z0-9_./@#-]{2,79}"
_NUMBER = (
    r"(?<![A-Za-z0-9_.,])[-+]?[$€£¥]?\d{1,18}(?:[., \u00a0']\d{3}(?!\d)){0,6}(?:[.,]\d{1,18})?"
    r"(?:\s?(?:%|‰|°C|°F|(?:[kKMG]i?B|ms|km|kg|mm|cm)(?![A-Za-z])))?"
)
_NAME = r"(?<![.!?。！？:\n\"“(]\s)(?<!^)(?<!\w)[A-ZÀ-ÖØ-Þ][\w'’-]{1,40}(?:[ ][A-ZÀ-ÖØ-Þ][\w'’-]{1,40}){0,4}"
_NEGATION = (
    r"(?<!\w)(?:not|never|no|none|nor|neither|without|cannot|can't|won't|don't|doesn't|didn't|isn't|aren't|wasn't|weren't"
    r"|shouldn't|mustn't|nicht|kein|keine|keinen|keiner|keinem|nie|niemals|ohne|ne|pas|jamais|aucun|aucune|sans"
    r"|nunca|jamás|ningún|ninguna|sin)(?!\w)|[不没沒未无無非别別勿]|ない|ません|なし"
)
_PATTERNS: tuple[tuple[FactKind, re.Pattern[str]], ...] = (
    ("date", re.compile(_DATE)),
    ("id", re.compile(_ID)),
    ("number", re.compile(_NUMBER)),
    ("name", re.compile(_NAME)),
    ("negation", re.compile(_NEGATION, re.IGNORECASE)),
)
_GROUPING = re.compile(r"(?<=\d)[, ' ](?=\d{3}(?!\d))")


def facts(text: str, kinds: frozenset[FactKind] | None = None) -> frozenset[Fact]:
    """Facts of a text in normal form.

    Args:
        text: Any text.
        kinds: Only these kinds; None for all.

    Returns:
        (kind, normal form) pairs. A stretch of text counts once, as the first kind that claims it, in the order date,
        id, number, name; negations are counted beside them.
    """
    found = _scan(text)
    return frozenset((kind, _normal(text[start:end])) for kind, start, end in found if kinds is None or kind in kinds)


def fact_spans(text: str) -> list[tuple[int, int]]:
    """Where the numbers, dates, ids and names of a text stand, in order."""
    return sorted((start, end) for kind, start, end in _scan(text) if kind != "negation")


def folded(text: str) -> str:
    """A text in the form that facts are compared in: what holds a fact's normal form mentions it."""
    return _GROUPING.sub("", unicodedata.normalize("NFKC", text)).casefold()


def _scan(text: str) -> Iterator[tuple[FactKind, int, int]]:
    """Facts with their places, kind by kind."""
    claimed: list[tuple[int, int]] = []
    for kind, pattern in _PATTERNS:
        fresh: list[tuple[int, int]] = []
        taken = iter(sorted(claimed))
        current = next(taken, None)
        for match in pattern.finditer(text):
            start, end = match.span()
            while current is not None and current[1] <= start:
                current = next(taken, None)
            if kind != "negation" and current is not None and current[0] < end:
                continue
            if kind == "id" and not _is_id(match.group()):
                continue
            fresh.append((start, end))
            yield kind, start, end
        if kind != "negation":
            claimed += fresh


def _normal(value: str) -> str:
    return folded(value).strip().rstrip(".,")


def _is_id(token: str) -> bool:
    """A word of letters alone, a plain number and a sentence's end are not ids."""
    token = token.rstrip(".-/@#")
    return any(c.isalpha() for c in token) and any(c.isdigit() or c in "_/@#" for c in token[1:])
