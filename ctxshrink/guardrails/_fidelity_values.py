"""The values of a text (numbers, dates, ids) and the words that stand beside each: what is said of which."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

from ctxshrink.text.wordlists import CALENDAR, COUNTED, MONTHS, SENSES, SYNONYMS

from ._fidelity_tokens import SIGNS, Kind, Tokens

WORDS = (Kind.CONTENT, Kind.NAME)
BESIDE = 4
"""Words and values on either side of a value that tell what it is of."""
OCCURRENCES = 16
"""Places of a value or word that are looked at."""
NEXT_UNIT = 0.25
"""What a word in the sentence beside says of a value, for each that a word of its own sentence says."""
NEAR = 8
"""Tokens between a word and the one that counts as next to it, at most."""
SIDE = 2
"""Words and values on either side of a value by which two values are told apart."""
SCOPE = 3
"""Words on the one side and the other of a negation that it may be about."""
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
        counts: Normal forms of each sentence.
        within: Tokens by sentence and key, after a "#" for values; a few of many.
    """

    tokens: Tokens
    values: list[Value] = field(default_factory=list[Value])
    keys: list[str] = field(default_factory=list[str])
    value: list[int] = field(default_factory=list[int])
    order: list[int] = field(default_factory=list[int])
    where: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    having: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    breaks: list[int] = field(default_factory=list[int])
    counts: dict[int, Counter[str]] = field(default_factory=dict[int, Counter[str]])
    within: dict[tuple[int, str], list[int]] = field(default_factory=dict[tuple[int, str], list[int]])


def places(tokens: Tokens) -> Places:
    """The words and values of a text."""
    out = Places(tokens)
    out.value = [-1] * len(tokens)
    i = 0
    while i < len(tokens):
        j = _joined(tokens, i)
        run = range(i, j + 1)
        valued = any(tokens.kind[k] is Kind.NUMBER for k in run) or (
            i == j and (tokens.norm[i] in CALENDAR or tokens.norm[i] in COUNTED)
        )
        if valued and not SIGNS.issuperset(tokens.norm[k] for k in run):
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
    out.counts = {tokens.unit[a]: Counter(tokens.norm[a:b]) for a, b in pairwise(tokens.bounds)}
    for i, unit in enumerate(tokens.unit):
        n = out.value[i]
        key = out.keys[i] or (f"#{out.values[n].key}" if n >= 0 and out.values[n].first == i else "")
        if key and len(held := out.within.setdefault((unit, key), [])) < OCCURRENCES:
            held.append(i)
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


def next_key(found: Places, k: int, step: int) -> int:
    """The next word or value before or behind a token in its sentence; -1 for none near."""
    tokens, value = found.tokens, found.value[k]
    j = k + step
    while 0 <= j < len(tokens) and tokens.unit[j] == tokens.unit[k] and abs(j - k) <= NEAR:
        if found.keys[j] or (found.value[j] >= 0 and found.value[j] != value):
            return j
        j += step
    return -1


def one_date(found: Places, n: int, m: int) -> bool:
    """True for the day, the month and the year of one date, which are written in several orders."""
    tokens, values = found.tokens, found.values
    low, high = sorted((n, m))
    if len(values[low].key) == len(values[high].key) == 4:
        return False  # two years
    first, last = values[low].first, values[high].last
    if high - low > 2 or last - first > 4 or tokens.unit[first] != tokens.unit[last]:
        return False
    if any(found.keys[k] and tokens.norm[k] not in MONTHS for k in range(first, last + 1)):
        return False
    return any(norm in CALENDAR or norm in MONTHS for norm in tokens.norm[max(0, first - 1) : last + 2])


def beside_value(found: Places, n: int, without: frozenset[str]) -> tuple[frozenset[str], ...]:
    """The tokens right before and right behind a value, and the next words and values on either side.

    Args:
        found: The text.
        n: The value.
        without: Values that count as none.
    """
    value, tokens = found.values[n], found.tokens
    sides: list[frozenset[str]] = []
    for step, edge in ((-1, value.first), (1, value.last)):
        k = edge + step
        inside = 0 <= k < len(tokens) and tokens.unit[k] == tokens.unit[value.first]
        paired = inside and found.value[k] >= 0 and f"#{found.values[found.value[k]].key}" in without
        sides.append(frozenset([tokens.norm[k]] if inside and not paired else []))
        near: list[str] = []
        while (edge := next_key(found, edge, step)) >= 0 and len(near) < SIDE:
            key = found.keys[edge] or f"#{found.values[found.value[edge]].key}"
            if key not in without and key not in near:
                near.append(key)
        sides.append(frozenset(near))
    return tuple(sides)


def scope(found: Places, k: int) -> list[tuple[str, float]]:
    """What a negation or condition is about: keys of the words and values beside it, the nearest weighing most."""
    tokens = found.tokens
    out: list[tuple[str, float]] = []
    for step, share in ((1, 1.0), (-1, 0.5)):
        j, weight, taken = k + step, share, 0
        while 0 <= j < len(tokens) and tokens.unit[j] == tokens.unit[k] and taken < SCOPE and abs(j - k) < 16:
            key = found.keys[j]
            if (n := found.value[j]) >= 0:
                key = "#" + found.values[n].key
                j = found.values[n].last if step > 0 else found.values[n].first
            if key and key not in (o for o, _ in out):
                out.append((key, weight))
                weight /= 2
                taken += 1
            j += step
    return out


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
        return COUNTED.get(norms[0], norms[0]) if len(norms) == 1 else "-".join(norms)
    return "".join(c for n in norms for c in n if c.isdigit() or c == ".") or norms[0]
