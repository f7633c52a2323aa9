"""What is said in other words: are its values the original's, of the same things, and is what was denied still denied?

Other words, another order, merged and split sentences and lists of facts are no changes here; so nothing is compared
token by token unless a sentence is nearly a copy. Compared are the words and values that stand beside each value, and
the words that stand beside each negation and each condition.
"""

from __future__ import annotations

from itertools import pairwise

from ctxshrink.text.wordlists import NUMBER_WORDS

from ._fidelity_align import align
from ._fidelity_denials import Denials
from ._fidelity_findings import Findings, around, numbers_item, quote
from ._fidelity_tokens import Kind, Tokens
from ._fidelity_told import Examiner
from ._fidelity_twins import Twins
from ._fidelity_values import (
    BESIDE,
    OCCURRENCES,
    WORDS,
    Places,
    context,
    link,
    neighbour,
    one_date,
    places,
    places_of,
    word_key,
)

RIVAL = 1.5
"""A value is another's where that one stands closer to the words that are said of it: its lead over the words that it
stands closer to is this many times that of the value over the others, …"""
MARGIN = 0.4
"""… and more by this much."""
BETWEEN = frozenset(["between", "zwischen", "entre"])
RANGES = frozenset(["to", "until", "till", "-", "–", "—", "→", "bis", "à", "a", "hasta"])
RIVALS = 32
"""Other values that are compared with one."""
FOLLOWS = 32
"""Tokens in which the parts of a value must follow each other, where the original has them apart."""


def examine_rewording(source: Tokens, said: Places, text: Tokens) -> Findings:
    """What a text in other words changed.

    Args:
        source: The original.
        said: Its words and values.
        text: The text.
    """
    found = Findings()
    origin = align(source, text)
    Twins(source, text, origin, frozenset(source.norm), found, rewritten=True)
    made = places(text)
    examiner, denials = _Values(said, made, found), Denials(said, made, found)
    denials.aligned(origin)
    denials.renamed(origin)
    for a, b in pairwise(text.bounds):
        examiner.values(a, b)
        denials.denials(a, b)
    return found


class _Values(Examiner):
    def __init__(self, said: Places, made: Places, found: Findings) -> None:
        super().__init__(said, made, found)
        self._links: dict[tuple[int, str], float] = {}
        self._told = set[object]()

    def values(self, a: int, b: int) -> None:
        """Values and names that the original does not have, and values that it has of something else."""
        told = set[int]()
        for k in range(a, b):
            n = self.made.value[k]
            if n >= 0 and n not in told:
                told.add(n)
                if not numbers_item(self.source, self.text, k):
                    self._value(n)
            elif n < 0 and self._invented(k, a):
                self.found.add("altered", f"says {quote(self.text, k)}, which the original does not")

    def _value(self, n: int) -> None:
        value = self.made.values[n]
        own = list(self.said.having.get(value.key, [])[:OCCURRENCES])
        if not own:
            if not self._composed(n):
                self.found.add("altered", f"says {quote(self.text, value.first)}, which the original does not")
            return
        around_it = context(self.made, n)
        if not around_it:
            return
        near = tuple(v.key for v in self.made.values[max(0, n - BESIDE) : n + BESIDE + 1])
        same = value.key, tuple(around_it), near, neighbour(self.made, n, -1), neighbour(self.made, n, 1)
        if same in self._told:  # texts that repeat themselves
            return
        self._told.add(same)
        rival = self._rival(own, n, around_it)
        rival = self._beside(n, own) if rival < 0 else rival
        if rival >= 0:
            was = around(self.source, self.said.values[rival].first)
            self.found.add("swapped", f"says {around(self.text, value.first)} where the original says {was}")
        elif n + 1 < len(self.made.values) and not one_date(self.made, n, n + 1):
            self._reversed(n, own)

    def _composed(self, n: int) -> bool:
        """True for a value that the original has in other parts: 1997-2004 of "1997 to 2004", 7-day of "7 days"."""
        value, text = self.made.values[n], self.text
        parts = range(value.first, value.last + 1)
        if any(text.norm[k] not in self.known and not self._in_words(text.norm[k]) for k in parts):
            return False
        joints = {text.text[text.at[k][1] : text.at[k + 1][0]] for k in list(parts)[:-1]}
        if joints & {":", ",", "."}:
            return False  # a time, a decimal or a large number is one value
        numbers = [text.norm[k] for k in parts if text.kind[k] is Kind.NUMBER]
        if len(numbers) < len(parts) and text.kind[value.first] is not Kind.NUMBER:
            return False  # an id
        for m in self.said.having.get(numbers[0], [])[:OCCURRENCES]:
            first = self.said.values[m].first
            rest = iter(self.source.norm[first : first + FOLLOWS])
            if all(any(norm == number for norm in rest) for number in numbers):
                return True
        return len(numbers) < 2

    def _beside(self, n: int, own: list[int]) -> int:
        """A value of the same sentence of the original that has the word right beside it which this one has here."""
        for step in (-1, 1):
            key = neighbour(self.made, n, step)
            if not key or any(neighbour(self.said, m, step) == key for m in own):
                continue
            units = {self.source.unit[self.said.values[m].first] for m in own}
            for q in places_of(self.said, key):
                k = q - step
                m = self.said.value[k] if 0 <= k < len(self.source) else -1
                if m < 0 or m in own or self.source.unit[k] not in units or neighbour(self.said, m, step) != key:
                    continue
                if not any(one_date(self.said, m, o) for o in own):
                    return m
        return -1

    def _reversed(self, n: int, own: list[int]) -> None:
        """Two ends of a range that changed places."""
        first, last = self.made.values[n], self.made.values[n + 1]
        between = range(first.last + 1, last.first)
        if self.text.unit[first.first] != self.text.unit[last.first] or first.key == last.key or len(between) > 1:
            return
        if first.key[0].isdigit() != last.key[0].isdigit():
            return  # a year and a month are no two ends
        mark = self.text.text[self.text.at[first.last][1] : self.text.at[last.first][0]].strip()
        before_it = self.text.norm[first.first - 1] if first.first else ""
        paired = before_it in BETWEEN or (mark == "," and 4 in (len(first.key), len(last.key)))
        if mark.casefold() not in RANGES and not paired:
            return
        size = len(self.said.values)
        before = next((m for m in own if m and self._is(m - 1, last.key) and self._together(m - 1, m)), -1)
        if before >= 0 and not any(
            m + 1 < size and self._is(m + 1, last.key) and self._together(m, m + 1) for m in own
        ):
            was = around(self.source, self.said.values[before - 1].first)
            self.found.add("swapped", f"says {around(self.text, first.first)} where the original says {was}")

    def _is(self, m: int, key: str) -> bool:
        return self.said.values[m].key == key

    def _together(self, m: int, n: int) -> bool:
        unit = self.source.unit
        return unit[self.said.values[m].first] == unit[self.said.values[n].first]

    def _in_words(self, norm: str) -> bool:
        """True for a number that the original has as a word, and the other way round."""
        return any(w in self.known for w, n in NUMBER_WORDS.items() if n == norm)

    def _rival(self, own: list[int], n: int, around_it: list[tuple[str, float]]) -> int:
        """The value of the original that fits clearly better than any of ``own`` does; -1 for none."""
        near: dict[int, None] = {}
        key = self.made.values[n].key
        for word, _ in around_it:
            for q in places_of(self.said, word):
                near.update(dict.fromkeys(self._values_near(q)))
        own += [m for m in near if self.said.values[m].key == key and m not in own]
        links = [[self._link(m, word) for word, _ in around_it] for m in own]
        best, at = 0.0, -1
        for m in list(near)[:RIVALS]:
            other = self.said.values[m].key
            if other == key or m in own or self._both_told(n, m, own) or any(one_date(self.said, m, o) for o in own):
                continue
            theirs = [self._link(m, word) for word, _ in around_it]
            lead = min(self._lead(theirs, ours, around_it, f"#{other}") for ours in links)
            if lead > best:
                best, at = lead, m
        return at

    def _link(self, m: int, word: str) -> float:
        if (m, word) not in self._links:
            self._links[m, word] = link(self.said, m, word)
        return self._links[m, word]

    def _both_told(self, n: int, m: int, own: list[int]) -> bool:
        """True where the text has both values near each other, and the original has both in one sentence.

        Which of them is where is told by the words right beside them then: a year may move to the end.
        """
        made, other = self.made.values, self.said.values[m]
        unit = self.text.unit[made[n].first]
        near = made[max(0, n - BESIDE) : n + BESIDE + 1]
        told = any(v.key == other.key and self.text.unit[v.first] == unit for v in near)
        return told and any(self._together(m, o) for o in own)

    def _lead(self, theirs: list[float], ours: list[float], around_it: list[tuple[str, float]], other: str) -> float:
        """By how much one value fits better than another; 0 where it is not clear."""
        won = lost = 0.0
        for (word, weight), a, b in zip(around_it, theirs, ours, strict=True):
            if word != other:
                won += weight * max(0.0, a - b)
                lost += weight * max(0.0, b - a)
        return won - lost if won > RIVAL * lost + MARGIN else 0.0

    def _values_near(self, q: int) -> list[int]:
        """The nearest value on either side of a token, in its sentence."""
        out: list[int] = []
        for step in (-1, 1):
            k = q + step
            while 0 <= k < len(self.source) and abs(k - q) < 24 and self.source.unit[k] == self.source.unit[q]:
                if self.said.value[k] >= 0 and self.said.value[k] != self.said.value[q]:
                    out.append(self.said.value[k])
                    break
                k += step
        return out

    def _invented(self, k: int, first: int) -> bool:
        """True for a name that the original does not have: a capital inside of a sentence, or before a colon."""
        text = self.text
        if self.source.german or text.german or text.kind[k] not in WORDS or not text.text[text.at[k][0]].isupper():
            return False
        if k == first and not text.text[text.at[k][1] : text.at[k][1] + 1].startswith(":"):
            return False
        return text.norm[k] not in self.known and word_key(text.norm[k]) not in self.lower
