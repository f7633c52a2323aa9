"""What was found, and how it is said."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from ctxshrink.text.wordlists import SYNONYMS

from ._fidelity_tokens import Kind, Tokens

QUOTE = 60
"""Most characters of a quotation."""
FACTS = (Kind.NAME, Kind.NUMBER)
_NEAR = 12
_FIELD = re.compile(r"[\w.,:/$€£¥%'’-]*")
_ORDER = ("altered", "swapped", "negations", "replaced", "cut")


@dataclass(slots=True)
class Findings:
    """Counts by name, and the first reason of each."""

    counts: Counter[str] = field(default_factory=Counter[str])
    reasons: dict[str, str] = field(default_factory=dict[str, str])

    def add(self, name: str, reason: str) -> None:
        """One more of a sort."""
        self.counts[name] += 1
        self.reasons.setdefault(name, reason)

    @property
    def reason(self) -> str | None:
        """The worst one's."""
        return next((self.reasons[name] for name in _ORDER if name in self.reasons), None)


def alike(a: str, b: str) -> bool:
    if a == b or (a in SYNONYMS and SYNONYMS[a] == SYNONYMS.get(b)):
        return True
    size = max(3, min(len(a), len(b)) - 3)
    return min(len(a), len(b)) >= 3 and a[:size] == b[:size] and abs(len(a) - len(b)) <= 4


def numbers_item(source: Tokens, text: Tokens, k: int) -> bool:
    """True where a number of the text may be that of a list item of the original, now in the middle of a line."""
    return text.norm[k] in source.items and text.text[text.at[k][1] : text.at[k][1] + 1] in (".", ")")


def digits(tokens: Tokens, indices: list[int]) -> str:
    return "".join(c for i in indices for c in tokens.norm[i] if c.isdigit())


def quote(tokens: Tokens, i: int, count: int = 1) -> str:
    """A token with the number or name that it is a part of, in quotes."""
    start, end = tokens.at[i][0], tokens.at[min(i + count, len(tokens)) - 1][1]
    if tokens.kind[i] is Kind.NUMBER:
        before = _FIELD.match(tokens.text[max(0, start - 20) : start][::-1])
        start -= before.end() if before else 0
        after = _FIELD.match(tokens.text, end, end + 20)
        end = after.end() if after else end
    return repr(tokens.text[start:end].strip(".,:;")[:QUOTE])


def around(tokens: Tokens, i: int) -> str:
    """A token with its neighbours in the unit, in quotes."""
    low, high = i, i + 1
    while low > 0 and i - low < 2 and not tokens.starts(low):
        low -= 1
    while high < len(tokens) and high - i < 3 and not tokens.starts(high):
        high += 1
    quoted = " ".join(tokens.text[tokens.at[low][0] : tokens.at[high - 1][1]].split())
    return repr(quoted if len(quoted) <= QUOTE else quoted[: QUOTE - 1] + "…")


def unlike(text: Tokens, new: list[int], source: Tokens, old: list[int]) -> tuple[list[int], list[int]]:
    """Both lists without the words that say the same: inflections and synonyms."""
    old = list(old)
    left: list[int] = []
    for k in new:
        twin = next((q for q in old if alike(text.norm[k], source.norm[q])), None)
        if twin is None:
            left.append(k)
        else:
            old.remove(twin)
    return left, old


def beside(tokens: Tokens, i: int) -> tuple[str, str, str]:
    """What ties a fact to its place: the word before it, and the next words of content on either side; "" for none."""
    before = i - 1
    while before >= 0 and tokens.unit[before] == tokens.unit[i] and tokens.kind[before] is Kind.NAME is tokens.kind[i]:
        before -= 1
    near = before >= 0 and tokens.unit[before] == tokens.unit[i] and tokens.kind[before] not in FACTS
    words: list[str] = []
    for step in (-1, 1):
        k, crossed = i + step, False
        while 0 <= k < len(tokens) and tokens.unit[k] == tokens.unit[i] and abs(k - i) < _NEAR:
            if tokens.kind[k] is Kind.CONTENT:
                break
            crossed = crossed or tokens.kind[k] is Kind.NUMBER  # Beyond another number is not beside this one.
            k += step
        else:
            crossed = True
        words.append("" if crossed else tokens.norm[k])
    return tokens.norm[before] if near else "", words[0], words[1]
