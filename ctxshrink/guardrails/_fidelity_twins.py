"""Units of a text that are a unit of the original but for a few tokens: compared place by place.

An alignment may match two numbers that changed places, each with the other's place. Here they are told apart: nothing
but the numbers, or one or two words, is different.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from ctxshrink.text.wordlists import CHANGING, CONTRARIES, NUMBER_WORDS

from ._fidelity_findings import Findings, alike, around, digits, numbers_item, quote
from ._fidelity_tokens import Kind, Tokens, omissions

MAX_DIFFERENT = 0.25
"""Share of the places that may differ; two always may."""
_LEAST = 3


class Twins:
    """Finds the twins of a text's units and notes what differs.

    Args:
        source: The original.
        text: The shorter text.
        origin: For each token of the text its index in the original, or -1.
        known: All normal forms of the original.
        found: Where findings go.
        rewritten: Other words are no change; names may stand for pronouns.

    Attributes:
        here: Units of the text that were compared.
        there: Units of the original that they were compared with.
        told: Tokens of the original that a finding names.
    """

    def __init__(
        self,
        source: Tokens,
        text: Tokens,
        origin: list[int],
        known: frozenset[str],
        found: Findings,
        *,
        rewritten: bool = False,
    ) -> None:
        self.source, self.text, self.known, self.found = source, text, known, found
        self.rewritten = rewritten
        self.here: set[int] = set()
        self.there: set[int] = set()
        self.told: set[int] = set()
        gaps = omissions(source, text, origin)
        numeric: dict[tuple[str, ...], int] = {}
        for a, b in pairwise(source.bounds):
            if b - a > 1 and all(kind is Kind.NUMBER for kind in source.kind[a:b]):
                numeric.setdefault(tuple(sorted(source.norm[a:b])), a)
        ranges = {source.unit[a]: range(a, b) for a, b in pairwise(source.bounds)}
        for a, b in pairwise(text.bounds):
            if all(origin[i] >= 0 and origin[i] == origin[a] + i - a for i in range(a, b)):
                continue
            if gaps and any(i in gaps for i in range(a + 1, b)):
                continue
            if self._shuffled(range(a, b), numeric):
                self.here.add(text.unit[a])
                continue
            votes = Counter(source.unit[q] for q in origin[a:b] if q >= 0)
            if not votes:
                continue
            unit = votes.most_common(1)[0][0]
            if self._places(range(a, b), ranges[unit]) or self._numbers(range(a, b), ranges[unit]):
                self.here.add(text.unit[a])
                self.there.add(unit)

    def _shuffled(self, ours: range, numeric: dict[tuple[str, ...], int]) -> bool:
        """Units of nothing but numbers have no words to be compared by: the same numbers in another order."""
        if not numeric or any(self.text.kind[k] is not Kind.NUMBER for k in ours):
            return False
        q = numeric.get(tuple(sorted(self.text.norm[k] for k in ours)))
        if q is None:
            return False
        said, was = quote(self.text, ours[0]), quote(self.source, q)
        self.found.add("swapped", f"says {said} where the original says {was}")
        return True

    def _places(self, ours: range, theirs: range) -> bool:
        """Compare token by token, where there are as many and nearly all are the same."""
        if len(ours) != len(theirs) or len(ours) < _LEAST:
            return False
        text, source = self.text, self.source
        different = [(k, q) for k, q in zip(ours, theirs, strict=True) if text.norm[k] != source.norm[q]]
        if len(different) > max(2, MAX_DIFFERENT * len(ours)):
            return False
        turned = self._turned(different) if self.rewritten else frozenset[int]()
        for k, q in different:
            if k not in turned:
                self._exchanged(k, q)
        return True

    def _turned(self, different: list[tuple[int, int]]) -> frozenset[int]:
        """Tokens of numbers that changed places with the word beside them, as day and month may."""
        text, source = self.text, self.source
        out = set[int]()
        for (k, q), (m, p) in pairwise(different):
            same = m == k + 1 and text.norm[k] == source.norm[p] and text.norm[m] == source.norm[q]
            if same and (text.kind[k] is Kind.NUMBER) != (text.kind[m] is Kind.NUMBER):
                out |= {k, m}
        return frozenset(out)

    def _exchanged(self, k: int, q: int) -> None:
        text, source = self.text, self.source
        new, old = text.kind[k], source.kind[q]
        if alike(text.norm[k], source.norm[q]) and Kind.NUMBER not in (new, old):
            return None
        said = f"says {quote(text, k)} where the original says {quote(source, q)}"
        known = text.norm[k] in self.known
        words = text.norm[k], source.norm[q]
        if self.rewritten and len({NUMBER_WORDS.get(word, word) for word in words}) == 1:
            return None  # three, 3
        if self.rewritten and (Kind.NUMBER not in (new, old) or Kind.FUNCTION in (new, old)):
            return self._reworded(k, q, said)
        if Kind.NUMBER in (new, old) or Kind.NAME in (new, old):
            self.found.add("swapped" if known else "altered", said)
        elif (new is Kind.NEGATION) != (old is Kind.NEGATION) or old is Kind.LIMIT:
            self.found.add("negations", said)
        elif Kind.FUNCTION not in (new, old) or {text.norm[k], source.norm[q]} <= CHANGING:
            self.found.add("replaced", said)
        self.told.add(q)
        return None

    def _reworded(self, k: int, q: int, said: str) -> None:
        """One word in the place of another, where other words are allowed: names, negations and opposites are not."""
        text, source = self.text, self.source
        new, old = text.kind[k], source.kind[q]
        if (new is Kind.NEGATION) != (old is Kind.NEGATION):
            self.found.add("negations", said)
        elif new is old is Kind.NAME or (new is Kind.NAME and text.norm[k] not in self.known):
            self.found.add("swapped" if text.norm[k] in self.known else "altered", said)
        elif opposite(text.norm[k], source.norm[q]):
            self.found.add("replaced", said)

    def _numbers(self, ours: range, theirs: range) -> bool:
        """Compare the numbers between the words, where the words are the same."""
        words, mine = _parts(self.text, ours)
        same, others = _parts(self.source, theirs)
        if not words or words != same:
            return False
        all_known = frozenset(digits(self.source, group) for group in others)
        for new, old in zip(mine, others, strict=True):
            said, was = digits(self.text, new), digits(self.source, old)
            if said == was or (not old and all(numbers_item(self.source, self.text, k) for k in new)):
                continue
            self.told.update(old)
            if not new:
                self.found.add("cut", f"drops the {quote(self.source, old[0])} of {around(self.source, old[0])}")
                continue
            known = said in all_known or all(self.text.norm[k] in self.known for k in new)
            reason = f"says {quote(self.text, new[0])}"
            reason += (
                f" where the original says {quote(self.source, old[0])}" if old else ", where the original has none"
            )
            self.found.add("swapped" if known else "altered", reason)
        return True


def _parts(tokens: Tokens, where: range) -> tuple[list[str], list[list[int]]]:
    """The words, and the numbers before, between and after them."""
    words: list[str] = []
    numbers: list[list[int]] = [[]]
    for i in where:
        if tokens.kind[i] is Kind.NUMBER:
            numbers[-1].append(i)
        else:
            words.append(tokens.norm[i])
            numbers.append([])
    return words, numbers


def opposite(a: str, b: str) -> bool:
    """True for two words that say the opposite of each other."""
    return any((a in one and b in other) or (a in other and b in one) for one, other in CONTRARIES)
