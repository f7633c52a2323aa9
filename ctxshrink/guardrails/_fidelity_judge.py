"""What an alignment shows: facts that changed, words that were exchanged, negations that are gone."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from ctxshrink.text.wordlists import CHANGING, NUMBER_WORDS, SYNONYMS

from ._fidelity_findings import FACTS, Findings, around, beside, digits, numbers_item, quote, unlike
from ._fidelity_tokens import Kind, Tokens, omissions
from ._fidelity_twins import Twins

KEPT = 0.6
"""Share of a unit's words that must be left for it to count as kept: less is another sentence, not the same changed."""
MAX_EXCHANGE = 3
"""Words of content on either side of an exchange (of characters in Chinese and Japanese, three times as many)."""
_WALK = 200
_WORDS = (Kind.CONTENT, Kind.NAME)


def examine(source: Tokens, text: Tokens, origin: list[int], *, ordered: bool) -> Findings:
    """What changed.

    Args:
        source: The original.
        text: The shorter text.
        origin: For each token of the text its index in the original, or -1.
        ordered: Whether a value under the same key at another place is another fact, as in JSON.
    """
    examiner = _Examiner(source, text, origin)
    if ordered:
        examiner.order()
    return examiner.run()


class _Examiner:
    def __init__(self, source: Tokens, text: Tokens, origin: list[int]) -> None:
        self.source, self.text, self.origin = source, text, origin
        self.found = Findings()
        self.matched = bytearray(len(source))
        for q in origin:
            if q >= 0:
                self.matched[q] = 1
        self.known = frozenset(source.norm)
        self.stems = frozenset(n[:5] for n in self.known if len(n) > 5)
        self.share, self.words = self._shares()
        self.new: dict[int, dict[str, int]] = {}  # By unit of the original: what the text has new in it, and where.
        self.told: set[int] = set()  # Tokens of the original that a finding has already named.
        self.shown: set[int] = set()  # Tokens of the original that an omission marker stands next to.

    def run(self) -> Findings:
        """All findings."""
        for i in omissions(self.source, self.text, self.origin):
            for k in (i - 1, i):
                if 0 <= k < len(self.origin) and self.origin[k] >= 0:
                    self.shown.add(self.origin[k])
        twins = Twins(self.source, self.text, self.origin, self.known, self.found)
        self.told |= twins.told
        runs = [(i, j) for i, j in self._runs() if self.text.unit[i] not in twins.here]
        for i, j in runs:
            self._note(i, j)
        for i, j in runs:
            self._run(i, j)
        self._joints(twins.here)
        for a, b in pairwise(self.source.bounds):
            if self.source.unit[a] not in twins.there and self.share[self.source.unit[a]] >= KEPT:
                self._gaps(a, b)
        return self.found

    def order(self) -> None:
        """Find whole units with a number that do not follow each other as in the original."""
        last = -1
        for a, b in pairwise(self.text.bounds):
            q = self.origin[a]
            if q < 0 or self.origin[b - 1] != q + b - a - 1:
                continue
            if q < last and (k := next((k for k in range(a, b) if self.text.kind[k] is Kind.NUMBER), -1)) >= 0:
                said, was = around(self.text, k), around(self.source, max(0, last))
                self.found.add("swapped", f"says {said} behind {was}, where the original does not")
            last = q

    def _shares(self) -> tuple[dict[int, float], dict[int, int]]:
        """For each unit of the original the share of its words that are left, and how many are."""
        share: dict[int, float] = {}
        words: dict[int, int] = {}
        for a, b in pairwise(self.source.bounds):
            counted = [i for i in range(a, b) if self.source.kind[i] in _WORDS] or list(range(a, b))
            left = sum(self.matched[i] for i in counted)
            # All its tokens tell where it has few words; its words tell where the others may go.
            unit = self.source.unit[a]
            share[unit], words[unit] = max(left / len(counted), sum(self.matched[a:b]) / (b - a)), left
        return share, words

    def _runs(self) -> list[tuple[int, int]]:
        """Stretches of the text that come from nowhere, inside one unit each."""
        out: list[tuple[int, int]] = []
        start = -1
        for i, q in enumerate(self.origin):
            if start >= 0 and (q >= 0 or self.text.starts(i) or i in self.text.gaps):
                out.append((start, i))
                start = -1
            if q < 0 and start < 0:
                start = i
        if start >= 0:
            out.append((start, len(self.origin)))
        return out

    def _sides(self, i: int, j: int) -> tuple[int, int]:
        """Where the neighbours of a run come from, or -1."""
        joined = i > 0 and not self.text.starts(i) and i not in self.text.gaps
        a = self.origin[i - 1] if joined else -1
        joined = j < len(self.text) and not self.text.starts(j) and j not in self.text.gaps
        return a, self.origin[j] if joined else -1

    def _gap(self, a: int, b: int, own: frozenset[int] = frozenset()) -> list[int]:
        """Tokens of the original that a run between a and b may stand for.

        Args:
            a: Where the token before the run comes from, or -1.
            b: Where the token behind it comes from, or -1.
            own: Where the other tokens of the same unit of the text come from.
        """
        source = self.source
        if 0 <= a < b <= a + _WALK and source.unit[a] == source.unit[b]:
            return list(range(a + 1, b))
        out = set[int]()
        q = a + 1
        while 0 < q < len(source) and q not in own and not source.starts(q) and q - a < _WALK:
            out.add(q)
            q += 1
        q = b
        while q > 0 and not source.starts(q) and q - 1 not in own and b - q < _WALK:
            q -= 1
            out.add(q)
        return sorted(out)

    def _own(self, i: int) -> frozenset[int]:
        """Where the tokens around ``i`` in its unit of the text come from."""
        unit, low, high = self.text.unit[i], i, i
        while low > 0 and i - low < _WALK and self.text.unit[low - 1] == unit:
            low -= 1
        while high < len(self.text) and high - i < _WALK and self.text.unit[high] == unit:
            high += 1
        return frozenset(self.origin[low:high])

    def _note(self, i: int, j: int) -> None:
        for q in {q for q in self._sides(i, j) if q >= 0}:
            self.new.setdefault(self.source.unit[q], {}).update((self.text.norm[k], k) for k in range(i, j))

    def _run(self, i: int, j: int) -> None:
        self._invented(range(i, j))
        a, b = self._sides(i, j)
        if a < 0 and b < 0:
            self._numbers(range(i, j), [])
            return
        own = self._own(i)
        joined = 0 <= a < b and self.source.unit[a] == self.source.unit[b]
        sides = [(a, b)] if joined else [(a, -1), (-1, b)]
        gaps = [(max(side), self._gap(*side, own)) for side in sides if max(side) >= 0]
        self._numbers(range(i, j), sorted({q for _, gap in gaps for q in gap}))
        kept = [(self.source.unit[q], gap) for q, gap in gaps if self.share[self.source.unit[q]] >= KEPT]
        for unit, gap in kept:
            if self._exchange(range(i, j), gap, unit):
                break
        lost = sum(self.source.kind[q] is Kind.NEGATION for _, gap in kept for q in gap)
        added = [k for k in range(i, j) if self.text.kind[k] is Kind.NEGATION]
        if kept and len(added) > lost:
            self.found.add("negations", f"says {quote(self.text, added[0], 2)}, where the original does not negate")

    def _invented(self, run: range) -> None:
        """Names that the original does not have: words with a capital inside of a sentence."""
        if self.source.german or self.text.german:
            return
        for k in run:
            word = self.text.text[self.text.at[k][0]]
            if self.text.kind[k] is not Kind.CONTENT or not word.isupper() or self.text.starts(k):
                continue
            norm = self.text.norm[k]
            if norm not in self.known and norm not in SYNONYMS and norm[:5] not in self.stems:
                self.found.add("altered", f"says {quote(self.text, k)}, which the original does not")

    def _numbers(self, run: range, gap: list[int]) -> None:
        numbers = [k for k in run if self.text.kind[k] is Kind.NUMBER and not numbers_item(self.source, self.text, k)]
        if not numbers:
            return
        there = [q for q in gap if self.source.kind[q] is Kind.NUMBER]
        have = Counter(self.source.norm[q] for q in there)
        have.update(NUMBER_WORDS[w] for q in gap if (w := self.source.norm[q]) in NUMBER_WORDS)
        if there and digits(self.source, there) == digits(self.text, numbers):
            self.told.update(there)
            return
        left = [k for k in numbers if self.text.norm[k] not in have]
        said = frozenset(self.text.norm[k] for k in numbers)
        other = [q for q in there if self.source.norm[q] not in said]
        for k in left:
            known = self.text.norm[k] in self.known
            if known and not other:
                self.found.counts["moved"] += 1
                continue
            quoted = f"says {quote(self.text, k)}"
            quoted += (
                f" where the original says {quote(self.source, other[0])}" if other else ", which the original does not"
            )
            self.found.add("swapped" if known else "altered", quoted)
            self.told.update(other)

    def _exchange(self, run: range, gap: list[int], unit: int) -> bool:
        text, source = self.text, self.source
        new = [k for k in run if text.kind[k] in _WORDS and text.norm[k] not in NUMBER_WORDS]
        old = [q for q in gap if source.kind[q] in _WORDS]
        new, old = unlike(text, new, source, old)
        if not new and not old:
            new = [k for k in run if text.norm[k] in CHANGING]
            old = [q for q in gap if source.norm[q] in CHANGING and source.norm[q] not in {text.norm[k] for k in new}]
        if not new or not old or self.words[unit] < (1 if len(old) == 1 else 2):
            return False
        limit = MAX_EXCHANGE * (3 if len(source.norm[old[0]]) == 1 or len(text.norm[new[0]]) == 1 else 1)
        if len(new) > limit or len(old) > limit:
            return False
        named = any(source.kind[q] is Kind.NAME for q in old)
        known = all(text.norm[k] in self.known for k in new)
        name = "replaced" if not named else "swapped" if known else "altered"
        self.found.add(name, f"says {quote(text, new[0])} where the original says {quote(source, old[0])}")
        self.told.update(old)
        return True

    def _joints(self, done: set[int]) -> None:
        """Numbers in the place of one that was left out with the text between them; names that changed places."""
        for k in range(1, len(self.text)):
            p, q = self.origin[k - 1], self.origin[k]
            if p < 0 or q < 0 or q == p + 1 or self.text.kind[k] not in FACTS:
                continue
            if self.text.starts(k) or k in self.text.gaps or self.text.unit[k] in done:
                continue
            if self.text.kind[k] is Kind.NAME:
                if q < p and self.source.unit[p] == self.source.unit[q] and not self._same_place(q, k):
                    said, was = around(self.text, k), around(self.source, q)
                    self.found.add("swapped", f"says {said} where the original says {was}")
                continue
            gap = self._gap(p, -1, self._own(k))
            first = next((g for g in gap if self.source.kind[g] is not Kind.FUNCTION), -1)
            if first >= 0 and self.source.kind[first] is Kind.NUMBER and self.source.norm[first] != self.text.norm[k]:
                said, was = quote(self.text, k), quote(self.source, first)
                self.found.add("swapped", f"says {said} where the original says {was}")
                self.told.add(first)

    def _gaps(self, start: int, end: int) -> None:
        """Look through what a kept unit has lost."""
        q = start
        while q < end:
            if self.matched[q]:
                q += 1
                continue
            first = q
            while q < end and not self.matched[q]:
                q += 1
            if first - 1 not in self.shown and q not in self.shown:
                self._lost(range(first, q), self.new.get(self.source.unit[first], {}))

    def _lost(self, gap: range, new: dict[str, int]) -> None:
        kind, norm = self.source.kind, self.source.norm
        for q in gap:
            k = new.get(norm[q], -1)
            if k >= 0 and kind[q] in FACTS and q not in self.told and not self._same_place(q, k):
                said, was = around(self.text, k), around(self.source, q)
                self.found.add("swapped", f"says {said} where the original says {was}")
                return
        if any(kind[q] is Kind.CONTENT and q not in self.told for q in gap):
            return
        lost = [q for q in gap if q not in self.told and norm[q] not in new]
        negations = [q for q in lost if kind[q] in (Kind.NEGATION, Kind.LIMIT)]
        facts = [q for q in lost if kind[q] is Kind.NUMBER]
        names = [q for q in lost if kind[q] is Kind.NAME]
        if len(names) == sum(kind[q] is Kind.NAME for q in gap) and not self._named(gap):
            facts += names
        if negations:
            what = quote(self.source, negations[0])
            self.found.add("negations", f"drops the {what} of {around(self.source, negations[0])}")
        elif facts:
            what = quote(self.source, facts[0])
            self.found.add("cut", f"drops the {what} of {around(self.source, facts[0])}")

    def _same_place(self, q: int, k: int) -> bool:
        """True where a fact was moved together with a word that it stands beside."""
        ours, theirs = beside(self.source, q), beside(self.text, k)
        return any(a == b != "" for a, b in zip(ours, theirs, strict=True))

    def _named(self, gap: range) -> bool:
        """True where a part of the name is left."""
        ends = (gap.start - 1, gap.stop)
        return any(0 <= q < len(self.source) and self.source.kind[q] is Kind.NAME for q in ends)
