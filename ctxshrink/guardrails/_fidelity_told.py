"""What each sentence of a text in other words says, beside the sentences of the original that it tells of.

Counts tell what is new in a sentence and what is gone: a name, a negation, a word that says the opposite. Where the new
one stands beside the words that the one that is gone stood beside, it was put in its place. Two values that are both
still there changed places where each stands beside the other's words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cached_property

from ctxshrink.text.wordlists import CONTRARIES, DENIALS, NEGATIONS, NEGATIVE_PREFIXES

from ._fidelity_findings import Findings, alike, around, quote
from ._fidelity_tokens import Kind, Tokens
from ._fidelity_values import OCCURRENCES, Places, beside_value, next_key, one_date, places_of, scope, word_key

STATED = 0.6
"""Share of the words of a sentence of the original from which on a text says it."""
OF = 0.75
"""Share of the most words that a sentence of the original has of one of the text, from which on that tells of it; it
does too where it says most of that sentence."""
SENTENCES = 6
"""Sentences of the original that one of the text is compared with, at most."""
REACH = 8
"""Tokens between a word and what denies it, at most."""
CROSSED = 2
"""By how many of the words beside them two values must fit each other's places better than their own."""
PAIRS = 6
"""Values behind a value that it may have changed places with."""
VALUES = 256
"""Values of a sentence that are compared so, at most."""
ELSEWHERE = 0.5
"""Share of the words beside a negation, by weight, that must stand beside one in a sentence that is not told of."""
EXCEPT = frozenset(
    """only unless except until hardly few fewer nur außer ausser sofern bis seulement uniquement sauf excepté jusqu
    solo sólo solamente únicamente salvo excepto hasta""".split()  # noqa: SIM905  a list of words is read by words
)
"""Conditions that another text may say by a negation: "only after" and "not before"."""
_SAME = frozenset(["nor", "ni", "noch"])
_OPPOSED = {
    word: [(mine, other) for one, two in CONTRARIES for mine, other in ((one, two), (two, one)) if word in mine]
    for pair in CONTRARIES
    for words in pair
    for word in words
}


class Examiner:
    """Looks through a text for what its original does not say.

    Args:
        said: The original.
        made: The text.
        found: Where findings go.
    """

    def __init__(self, said: Places, made: Places, found: Findings) -> None:
        self.said, self.made, self.found = said, made, found
        self.source, self.text = said.tokens, made.tokens

    @cached_property
    def known(self) -> frozenset[str]:
        """All words of the original."""
        return frozenset(self.source.norm)

    @cached_property
    def lower(self) -> frozenset[str]:
        """Keys of the words that the original has in lower case."""
        words = zip(self.source.norm, self.source.kind, strict=True)
        return frozenset(word_key(norm) for norm, kind in words if kind is Kind.CONTENT)


class Told(Examiner):
    """Finds the sentences that a sentence tells of, and what it says of them that they do not; see `Examiner`."""

    def __init__(self, said: Places, made: Places, found: Findings) -> None:
        super().__init__(said, made, found)
        words = {(u, k) for u, k in zip(self.source.unit, said.keys, strict=True) if k}
        self._sizes = Counter(unit for unit, _ in words)

    def units(self, keys: Iterable[str]) -> list[int]:
        """Sentences of the original that a sentence with these keys says something of: those with most of its words."""
        found = [places_of(self.said, key) for key in keys]
        told = [p for p in found if 0 < len(p) < OCCURRENCES] or found  # words of all sentences tell of none
        votes = Counter(unit for places in told for unit in {self.source.unit[q] for q in places})
        most = max(votes.values(), default=0)
        out = [u for u, count in votes.items() if count >= min(OF * most, max(2, STATED * self._sizes[u]))]
        return sorted(out, key=lambda u: (-votes[u], u))

    def compare(self, a: int, b: int, units: list[int]) -> None:
        """Look at tokens ``a`` to ``b`` of the text, one sentence, beside the sentences that it tells of."""
        units = units[:SENTENCES]
        if units:
            ours = Counter(self.text.norm[a:b])
            for k in range(a, b):
                if _named(self.text, k):
                    self._renamed(k, units, ours)
                if self.text.norm[k] in _OPPOSED:
                    self._opposed(k, units, ours)
            for unit in units:
                self._crossed(a, b, unit)
        self._negated(a, b, units)

    def _theirs(self, words: Iterable[str], units: list[int]) -> int:
        return sum(self.said.counts[unit][word] for unit in units for word in words)

    def _near(self, key: str, units: list[int]) -> list[int]:
        return [q for unit in units for q in self.said.within.get((unit, key), ())]

    def _renamed(self, k: int, units: list[int], ours: Counter[str]) -> None:
        """A name that the original has elsewhere, beside a word that it has beside a name that is gone."""
        text, source, norm = self.text, self.source, self.text.norm[k]
        if ours[norm] <= self._theirs([norm], units):
            return
        for step in (-1, 1):
            at = next_key(self.made, k, step)
            if at < 0:
                continue
            key = self.made.keys[at] or f"#{self.made.values[self.made.value[at]].key}"
            for q in self._near(key, units):
                m = next_key(self.said, q, -step)
                if m < 0 or not _named(source, m) or alike(source.norm[m], norm):
                    continue
                if text.starts(k) and source.starts(m):
                    continue  # what a sentence is about may be called by another of its names
                gone = source.norm[m]
                if self._theirs([gone], units) > ours[gone]:
                    said = f"says {around(text, k)} where the original says {around(source, m)}"
                    self.found.add("swapped", said)
                    return

    def _opposed(self, k: int, units: list[int], ours: Counter[str]) -> None:
        """A word that says the opposite of one that is gone, beside the same words."""
        for mine, other in _OPPOSED[self.text.norm[k]]:
            if sum(ours[w] for w in mine) <= self._theirs(mine, units):
                continue
            if self._theirs(other, units) <= sum(ours[w] for w in other):
                continue
            for key, _ in scope(self.made, k):
                for q in self._near(key, units):
                    for j in range(max(0, q - REACH), min(len(self.source), q + REACH)):
                        if self.source.norm[j] in other and self.source.unit[j] in units:
                            told, was = quote(self.text, k), quote(self.source, j)
                            self.found.add("replaced", f"says {told} where the original says {was}")
                            return

    def _negated(self, a: int, b: int, units: list[int]) -> None:
        """Negations that deny nothing which the original denies: each of these serves once."""
        text = self.text
        negations = [k for k in range(a, b) if text.kind[k] is Kind.NEGATION]
        if len(negations) > 1:
            negations = [k for k in negations if text.norm[k] not in _SAME]
        here, inside = frozenset(text.norm[a:b]), frozenset(self.made.keys[a:b])
        used = set[int]()
        for k in negations:
            about = scope(self.made, k)
            deniers = [j for j in self._deniers(about, units, here, inside) if j not in used] if about else [-1]
            if not deniers:
                said = f"says {quote(text, k, 2)}, where the original does not negate"
                self.found.add("negations", said)
                return
            used.add(deniers[0])

    def _deniers(
        self, about: list[tuple[str, float]], units: list[int], here: frozenset[str], inside: frozenset[str]
    ) -> list[int]:
        """Tokens of the original that deny something of these words, the most likely first."""
        source, keys = self.source, frozenset(key for key, _ in about)
        found = {key: self._near(key, units) for key in keys}
        votes: dict[int, float] = {}
        least = 0.0
        for key, weight in about:
            far = [q for q in places_of(self.said, key) if source.unit[q] not in units]
            # Of a word of many sentences no other one is known to be told by it.
            weight /= max(1, len({source.unit[q] for q in far}))
            least += ELSEWHERE * weight
            for q in (*found[key], *far):
                for j in range(max(0, q - 2 * REACH), min(len(source), q + 2 * REACH)):
                    if source.unit[j] == source.unit[q] and self._denies(j, keys, here):
                        votes[j] = votes.get(j, 0.0) + weight
        out = [j for j in votes if source.unit[j] in units or votes[j] >= least or self._stated(j, inside)]
        return sorted(out, key=lambda j: (source.unit[j] not in units, -votes[j], j))

    def _stated(self, j: int, inside: frozenset[str]) -> bool:
        """True where a sentence with these keys has most of what a negation of the original is about."""
        about = scope(self.said, j)
        return sum(w for key, w in about if key in inside) >= STATED * sum(w for _, w in about)

    def _denies(self, j: int, keys: frozenset[str], here: frozenset[str]) -> bool:
        norm = self.source.norm[j]
        if norm in NEGATIONS:
            return True
        if norm in here:
            return False  # it stands for itself
        if norm in EXCEPT:
            return any(key in keys for key, _ in scope(self.said, j)[:1])
        return norm in DENIALS or without_prefix(norm) in keys

    def _crossed(self, a: int, b: int, unit: int) -> None:
        """Two values of a sentence of the original that stand beside each other's words."""
        made, said = self.made, self.said
        inside = list(dict.fromkeys(n for n in made.value[a:b] if n >= 0))[:VALUES]
        ours = Counter(made.values[n].key for n in inside)
        both: list[tuple[int, int]] = []  # Values that stand once in the one sentence and once in the other.
        for n in inside:
            key = made.values[n].key
            places = [said.value[q] for q in self.said.within.get((unit, f"#{key}"), ())]
            own = list(dict.fromkeys(m for m in places if said.values[m].key == key))
            if len(own) == 1 and ours[key] == 1:
                both.append((n, own[0]))
        for i, (n, m) in enumerate(both):
            for o, p in both[i + 1 : i + 1 + PAIRS]:
                if one_date(made, n, o):
                    continue
                pair = frozenset((f"#{made.values[n].key}", f"#{made.values[o].key}"))
                at_n, at_o = beside_value(made, n, pair), beside_value(made, o, pair)
                at_m, at_p = beside_value(said, m, pair), beside_value(said, p, pair)
                own = _fit(at_n, at_m) + _fit(at_o, at_p)
                other = _fit(at_n, at_p) + _fit(at_o, at_m)
                # A list has what a sentence says in another order: only what stands right beside a value is of it.
                if sum(other) >= sum(own) + CROSSED and sum(other[::2]) > sum(own[::2]):
                    told, was = around(self.text, made.values[n].first), around(self.source, said.values[m].first)
                    self.found.add("swapped", f"says {told} where the original says {was}")
                    return


def _named(tokens: Tokens, k: int) -> bool:
    """True for a name: one that is known as such, or a capital inside of a sentence."""
    if tokens.kind[k] is not Kind.CONTENT or tokens.german:
        return tokens.kind[k] is Kind.NAME
    return not tokens.starts(k) and tokens.text[tokens.at[k][0]].isupper()


def without_prefix(norm: str) -> str:
    """The key of a word without its negative prefix; "" where it has none."""
    rest = next((norm[len(p) :] for p in NEGATIVE_PREFIXES if norm.startswith(p)), "")
    return word_key(rest) if len(rest) > 2 else ""


def _fit(here: tuple[frozenset[str], ...], there: tuple[frozenset[str], ...]) -> tuple[int, ...]:
    """For each side and distance 1 where the same stands beside two values."""
    return tuple(int(not x.isdisjoint(y)) for x, y in zip(here, there, strict=True))
