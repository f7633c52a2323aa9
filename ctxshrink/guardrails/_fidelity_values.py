"""The values of a text (numbers, dates, ids) and the words that stand beside each: what is said of which."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

from ._fidelity_tokens import Kind, Tokens
from ._fidelity_words import CALENDAR, SENSES, SYNONYMS

WORDS = (Kind.CONTENT, Kind.NAME)
BESIDE = 4
"""Words and values on either side of a value that tell what it is of."""
OCCURRENCES = 16
"""Places of a value or word that are looked at."""
NEXT_UNIT = 0.25
"""What a word in the sentence beside says of a value, for each that a word of its own sentence says."""
_JOINTS = frozenset(["-", "/", ":", ".", ",", "_", "#", "'", "’", "−", "."])
_BREAKS = frozenset(";")
_ENDINGS = (
    "ations", "ation", "ments", "ment", "ness", "ings", "ing", "ers", "ies", "ied", "ed", "es", "er", "ly", "s", "y",
    "e",
)  # fmt: skip


@dataclass(slots=True)
class Value:
    """A number with what it is joined to.

    Attributes:
        key: What is compared: digits for numbers and dates, all of it for ids.
        first: Its first token.
        last: Its last token.
    """

    key: str
    first: int
    last: int


@dataclass(slots=True)
class Places:
    """Words and values of a text in order.

    Attributes:
        tokens: The text.
        values: Its values.
        keys: For each token the key of its word, "" for function words, negations, and parts of values.
        value: For each token the index of its value, or -1.
        order: For each token how many words and values stand before it in the text.
        where: Tokens by key of their word.
        having: Values by key, and by the numbers that they are joined of, as indices.
        breaks: For each token how many semicolons stand before it.
    """

    tokens: Tokens
    values: list[Value] = field(default_factory=list[Value])
    keys: list[str] = field(default_factory=list[str])
    value: list[int] = field(default_factory=list[int])
    order: list[int] = field(default_factory=list[int])
    where: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    having: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    breaks: list[int] = field(default_factory=list[int])


def places(tokens: Tokens) -> Places:
    """The words and values of a text."""
    out = Places(tokens)
    out.value = [-1] * len(tokens)
    i = 0
    while i < len(tokens):
        j = _joined(tokens, i)
        run = range(i, j + 1)
        valued = any(tokens.kind[k] is Kind.NUMBER for k in run) or (i == j and tokens.norm[i] in CALENDAR)
        if valued and not all(tokens.norm[k] in "$€£¥%‰°" for k in run):
            for k in run:
                out.value[k] = len(out.values)
            out.values.append(Value(_key(tokens, run), i, j))
        i = j + 1
    count = breaks = 0
    for i, norm in enumerate(tokens.norm):
        word = out.value[i] < 0 and tokens.kind[i] in WORDS
        out.keys.append(word_key(norm) if word else "")
        if word:
            out.where.setdefault(out.keys[i], []).append(i)
        starts = out.value[i] < 0 or out.values[out.value[i]].first == i
        count += (word or out.value[i] >= 0) and starts
        out.order.append(count)
        if i:
            between = tokens.text[tokens.at[i - 1][1] : tokens.at[i][0]]
            breaks += any(c in _BREAKS for c in between)
        out.breaks.append(breaks)
    for n, value in enumerate(out.values):
        parts = [tokens.norm[k] for k in range(value.first, value.last + 1) if tokens.kind[k] is Kind.NUMBER]
        for key in dict.fromkeys((value.key, *parts)):
            out.having.setdefault(key, []).append(n)
    return out


def places_of(found: Places, key: str) -> list[int]:
    """Tokens with the key of a word or, after a "#", of a value; a few of many."""
    if key[0] == "#":
        return [found.values[m].first for m in found.having.get(key[1:], [])[:OCCURRENCES]]
    return found.where.get(key, [])[:OCCURRENCES]


def neighbour(found: Places, n: int, step: int) -> str:
    """The key of the word right beside a value, with nothing but white space between; "" for none."""
    value, tokens = found.values[n], found.tokens
    k = value.first - 1 if step < 0 else value.last + 1
    if not 0 <= k < len(tokens) or tokens.unit[k] != tokens.unit[value.first]:
        return ""
    low, high = (k, value.first) if step < 0 else (value.last, k)
    return found.keys[k] if tokens.text[tokens.at[low][1] : tokens.at[high][0]].isspace() else ""


def word_key(norm: str) -> str:
    """What inflections of a word and words of its sense have in common."""
    if norm in SENSES:
        return f"={SENSES[norm]}"
    for ending in _ENDINGS:
        if norm.endswith(ending) and len(norm) - len(ending) >= 3:
            norm = norm[: -len(ending)]
            break
    if len(norm) > 3 and norm[-1] == norm[-2]:
        norm = norm[:-1]  # stopped, stop
    if norm in SENSES:
        return f"={SENSES[norm]}"
    return f"~{SYNONYMS[norm]}" if norm in SYNONYMS else norm[:6]


def context(found: Places, n: int) -> list[tuple[str, float]]:
    """Keys of the words and values beside a value in its sentence, each with its weight."""
    value, tokens = found.values[n], found.tokens
    unit, breaks = tokens.unit[value.first], found.breaks[value.first]
    out: list[tuple[str, float]] = []
    for step, start in ((-1, value.first - 1), (1, value.last + 1)):
        k, taken, weight = start, 0, 1.0
        while 0 <= k < len(tokens) and tokens.unit[k] == unit and taken < BESIDE:
            key = found.keys[k]
            if found.value[k] >= 0:
                other = found.values[found.value[k]]
                key = "#" + other.key
                k = other.first if step < 0 else other.last
            if found.breaks[k] != breaks:
                break
            if key:
                out.append((key, weight))
                taken += 1
                # What stands beyond another value is more likely said of that one.
                weight *= 0.35 if key[0] == "#" else 0.7
            k += step
    return out


def link(found: Places, n: int, key: str) -> float:
    """How close a word or value stands to a value, in [0, 1]; 0 where it is not in its sentence or the next."""
    value, tokens = found.values[n], found.tokens
    unit, order = tokens.unit[value.first], found.order[value.first]
    best = 0.0
    for k in _nearest(found, key, n):
        away = abs(tokens.unit[k] - unit)
        if away > 1 or value.first <= k <= value.last:
            continue
        near = 1 / (1 + 0.15 * max(0, abs(found.order[k] - order) - 1))
        best = max(best, near if not away else NEXT_UNIT * near)
    return best


def _nearest(found: Places, key: str, n: int) -> list[int]:
    """The tokens with a key that stand nearest to a value, two on either side."""
    if key[0] == "#":
        others = found.having.get(key[1:], [])
        at = bisect_left(others, n)
        return [found.values[m].first for m in others[max(0, at - 2) : at + 3]]
    places_ = found.where.get(key, [])
    at = bisect_left(places_, found.values[n].first)
    return places_[max(0, at - 2) : at + 2]


def _joined(tokens: Tokens, i: int) -> int:
    """The last token of a number, date or id that begins with token ``i``."""
    j = i
    while j + 1 < len(tokens) and tokens.unit[j + 1] == tokens.unit[i]:
        end, start = tokens.at[j][1], tokens.at[j + 1][0]
        joint = tokens.text[end:start]
        number = Kind.NUMBER in (tokens.kind[j], tokens.kind[j + 1])
        if len(joint) != 1 or joint not in _JOINTS or not number:
            break
        if joint == ":" and Kind.NUMBER is not tokens.kind[j]:
            break
        j += 1
    return j


def _key(tokens: Tokens, run: range) -> str:
    norms = [tokens.norm[k] for k in run]
    if any(tokens.kind[k] is not Kind.NUMBER for k in run):
        return "-".join(norms)
    return "".join(c for n in norms for c in n if c.isdigit() or c == ".") or norms[0]
