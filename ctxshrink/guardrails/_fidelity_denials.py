"""Negations, conditions and opposites in a text in other words: is what was denied still denied?"""

from __future__ import annotations

from ctxshrink.text.wordlists import BOUNDS, CONTRARIES, DENIALS, LIMITS, NEGATIONS

from ._fidelity_findings import Findings, around, quote
from ._fidelity_tokens import Kind
from ._fidelity_told import Examiner, Told, without_prefix
from ._fidelity_twins import opposite
from ._fidelity_values import Places, places_of, scope, word_key

STATED = 0.6
"""Share of those words, by weight, that a text must have for the statement to be made."""
REACH = 8
"""Words and values between a negation and what it is about, at most."""
WEAK = frozenset(
    """more most less longer fewer almost until if mehr fast bis weniger wenn plus moins presque si más menos casi hasta
    """.split()  # noqa: SIM905  a list of words is read by words
)
"""Quantifiers that are often about a word that is not beside them: missed only between two words that are kept."""
OPPOSED = frozenset(w for pair in CONTRARIES for words in pair for w in words)


class Denials(Examiner):
    """Finds negations, conditions and opposites that the original says otherwise; see `Examiner`."""

    def __init__(self, said: Places, made: Places, found: Findings) -> None:
        super().__init__(said, made, found)
        self._told = Told(said, made, found)

    def aligned(self, origin: list[int]) -> None:
        """Negations that are gone from between two words that are still there, and opposites in the place of a word."""
        at = {q: i for i, q in enumerate(origin) if q >= 0}
        source, text = self.source, self.text
        for q, kind in enumerate(source.kind):
            if kind not in (Kind.NEGATION, Kind.LIMIT) or q in at:
                continue
            before, after = self._kept(q, -1, at), self._kept(q, 1, at)
            i, j = at.get(before, -1), at.get(after, -1)
            if i < 0 and j >= 0 and self._word(self.said, q, -1) < 0:
                first = self._word(self.made, j, -1)
                if first < 0 or (origin[first] >= 0 and source.unit[origin[first]] != source.unit[q]):
                    i, before = j, q - REACH
            if i < 0 or j < i or j - i > REACH or text.unit[i] != text.unit[j]:
                continue
            here = [k for k in range(max(0, i - 2), min(len(text), j + 3)) if text.unit[k] == text.unit[i]]
            if self._moved(q, i, j, origin):
                continue
            # What stands for another word of the original does not stand for this one.
            if not any(self._denies(k, kind) and (origin[k] < 0 or before < origin[k] < after) for k in here):
                self.found.add("negations", f"drops the {quote(source, q)} of {around(source, q)}")
        for k, norm in enumerate(text.norm):
            if origin[k] >= 0 or norm not in OPPOSED:
                continue
            before, after = self._word(self.made, k, -1), self._word(self.made, k, 1)
            p, q = (origin[w] if w >= 0 else -1 for w in (before, after))
            gap = (
                range(p + 1, q)
                if 0 <= p < q <= p + REACH
                else range(max(0, q - 2), max(0, q))
                if p < 0
                else range(p + 1, p + 3)
            )
            hit = next((g for g in gap if g < len(source) and g not in at and opposite(norm, source.norm[g])), -1)
            if hit >= 0 and source.unit[hit] in (source.unit[max(p, 0)], source.unit[max(q, 0)]):
                told, was = quote(text, k), quote(source, hit)
                self.found.add("replaced", f"says {told} where the original says {was}")

    def _moved(self, q: int, i: int, j: int, origin: list[int]) -> bool:
        """True where what denies or limits stands further from the words that it stood between.

        "40 at most" for "at most 40", and "its use in the wind is forbidden" for "not be used in the wind".
        """
        text, limit = self.text, self.source.kind[q] is Kind.LIMIT
        near = range(max(0, i - REACH), min(len(text), j + 2 * REACH))
        free = [text.norm[k] for k in near if origin[k] < 0 and text.unit[k] == text.unit[i]]
        return any(norm == self.source.norm[q] if limit else norm in DENIALS for norm in free)

    def renamed(self, origin: list[int]) -> None:
        """German nouns in the place of another: all have a capital, so that names are known by their place alone."""
        source, text = self.source, self.text
        if not (source.german or text.german):
            return
        for k in range(1, len(text) - 1):
            q = origin[k - 1] + 1
            if origin[k] >= 0 or q < 1 or origin[k + 1] != q + 1 or text.norm[k] in self.known:
                continue
            capital = text.text[text.at[k][0]].isupper() and source.text[source.at[q][0]].isupper()
            if capital and word_key(text.norm[k]) != word_key(source.norm[q]) and source.unit[q - 1] == source.unit[q]:
                said = f"says {quote(text, k)} where the original says {quote(source, q)}"
                self.found.add("altered", said)

    def _kept(self, q: int, step: int, at: dict[int, int]) -> int:
        """The next word or value of the original that is still there, or the one behind it; -1 for none."""
        for _ in range(2):
            q = self._word(self.said, q, step)
            if q < 0 or q in at:
                return q
        return -1

    def _word(self, found: Places, k: int, step: int) -> int:
        """The next word or value before or behind a token in its sentence; -1 for none."""
        tokens = found.tokens
        j = k + step
        while 0 <= j < len(tokens) and tokens.unit[j] == tokens.unit[k] and abs(j - k) <= REACH:
            if found.keys[j] or found.value[j] >= 0:
                return j
            j += step
        return -1

    def denials(self, a: int, b: int) -> None:
        """Negations and conditions that are gone from what is still said, and what else a sentence says otherwise."""
        keys = {self.made.keys[k]: k for k in range(a, b) if self.made.keys[k]}
        keys |= {f"#{self.made.values[self.made.value[k]].key}": k for k in range(a, b) if self.made.value[k] >= 0}
        units = self._told.units(keys)
        for q in self._denied_near(keys):
            kind = self.source.kind[q]
            if self.source.unit[q] not in units or self.source.norm[q] in WEAK:
                continue
            about = scope(self.said, q)
            there = [k for key, _ in about if (k := keys.get(key)) is not None]
            weight = sum(w for _, w in about)
            if not there or sum(w for key, w in about if key in keys) < STATED * weight:
                continue
            if kind is Kind.NEGATION and about[0][0] not in keys:
                continue  # the words before it may be told without what it denies behind them
            if not any(self._denied_beside(t, kind, a, b) for t in there):
                what, where = quote(self.source, q), around(self.source, q)
                self.found.add("negations", f"drops the {what} of {where}")
        self._told.compare(a, b, units)

    def _denied_near(self, keys: dict[str, int]) -> list[int]:
        """Negations and conditions of the original that stand near words of a sentence of the text."""
        out: dict[int, None] = {}
        for key in keys:
            for q in places_of(self.said, key):
                for k in range(max(0, q - REACH), min(len(self.source), q + REACH)):
                    if (
                        self.source.kind[k] in (Kind.NEGATION, Kind.LIMIT)
                        and self.source.unit[k] == self.source.unit[q]
                    ):
                        out[k] = None
        return sorted(out)

    def _denies(self, k: int, kind: Kind) -> bool:
        norm = self.text.norm[k]
        if norm in NEGATIONS or norm in DENIALS:
            return True
        if kind is Kind.NEGATION:
            return without_prefix(norm) in self.lower
        return norm in LIMITS or norm in BOUNDS

    def _denied_beside(self, t: int, kind: Kind, a: int, b: int) -> bool:
        order = self.made.order
        near = range(max(a, t - 3 * REACH), min(b, t + 3 * REACH))
        return any(abs(order[k] - order[t]) <= REACH and self._denies(k, kind) for k in near)
