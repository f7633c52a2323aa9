"""Where each token of a shorter text comes from in the original.

Whole units that stand in the original word for word are looked up. What is left is aligned by a beam search over
positions of the original: going on in the same sentence costs least, leaving out words a little, jumping to another
sentence more, and most where no sentence ends in the shorter text.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate, pairwise

from ctxshrink.guardrails._fidelity_tokens import Kind, Tokens

BEAM = 5
"""Positions that are followed at a time."""
AHEAD = 160
"""Tokens that may be left out at once without a jump."""
SEEDS = 24
"""Places of the original that a jump considers for one run of words."""
MAX_SEARCH = 60_000
"""Tokens that are searched for, a bound on the time; what comes after is looked up by whole units only."""

MAX_FIND = 200_000_000
"""Characters that are searched for pieces, a bound on the time."""
_PIECE = 5
_SEPARATOR = "\x1f"
_GAIN = (0.3, 1.0, 1.2, 1.0, 0.6, 0.8)
"""For a match, and half of it lost for none, by `Kind`."""


def align(source: Tokens, text: Tokens) -> list[int]:
    """The index in ``source`` of every token of ``text``, -1 for those that have none. Takes about linear time."""
    found = _whole_units(source, text)
    todo = [i for i, q in enumerate(found) if q < 0]
    if todo:
        search = _Search(source, text)
        start = 0
        for k in range(1, len(todo) + 1):
            if k == len(todo) or todo[k] != todo[k - 1] + 1:
                if todo[start] < MAX_SEARCH:
                    search.run(todo[start], min(todo[k - 1] + 1, MAX_SEARCH), found)
                start = k
    return found


def _whole_units(source: Tokens, text: Tokens) -> list[int]:
    """Units of the text that are units of the original, word for word. Of several the next one in order is taken."""
    places: dict[tuple[str, ...], list[int]] = {}
    for a, b in pairwise(source.bounds):
        places.setdefault(tuple(source.norm[a:b]), []).append(a)
    found = [-1] * len(text)
    pieces = _Pieces(source)
    last = -1
    for a, b in pairwise(text.bounds):
        hits = places.get(tuple(text.norm[a:b]))
        if hits:
            k = bisect_right(hits, last)
            place = hits[k if k < len(hits) else 0]
        else:
            place = pieces.find(text.norm[a:b], last) if b - a >= _PIECE else -1
        if place >= 0:
            last = place
            found[a:b] = range(last, last + b - a)
    return found


class _Pieces:
    """Runs of tokens, wherever they start and end."""

    def __init__(self, source: Tokens) -> None:
        self._text = _SEPARATOR + _SEPARATOR.join(source.norm) + _SEPARATOR
        self._starts = list(accumulate((len(n) + 1 for n in source.norm), initial=0))
        self._left = MAX_FIND

    def find(self, run: list[str], last: int) -> int:
        """The first token of the next place behind ``last``, else of the first one; -1 for none."""
        if self._left < 0:
            return -1
        wanted = _SEPARATOR + _SEPARATOR.join(run) + _SEPARATOR
        begin = self._starts[last + 1] if last >= 0 else 0
        at = self._text.find(wanted, begin)
        self._left -= (len(self._text) if at < 0 else at) - begin
        if at < 0 and begin:
            at = self._text.find(wanted, 0, begin + len(wanted))
            self._left -= begin if at < 0 else at
        return bisect_right(self._starts, at) - 1 if at >= 0 else -1


class _Search:
    """The beam search, with the indices of the original that it needs."""

    def __init__(self, source: Tokens, text: Tokens) -> None:
        self.source, self.text = source, text
        self.places: dict[str, list[int]] = {}
        self.seeds: dict[tuple[str, ...], list[int]] = {}
        norm = source.norm
        for i, word in enumerate(norm):
            self.places.setdefault(word, []).append(i)
        for size in (8, 4):
            for i in range(len(norm) - size + 1):
                _note(self.seeds, tuple(norm[i : i + size]), i)
        self.next_word = _next_words(source)
        self.text_next = _next_words(text)
        for i, word in enumerate(norm):
            if source.kind[i] in (Kind.CONTENT, Kind.NAME) and self.next_word[i] >= 0:
                _note(self.seeds, (word, norm[self.next_word[i]]), i)
        self.first = [a for a, b in pairwise(source.bounds) for _ in range(a, b)]
        self.end = [b for a, b in pairwise(source.bounds) for _ in range(a, b)]
        self.weight = [0.0]
        for kind in source.kind:
            self.weight.append(self.weight[-1] + (0.0 if kind is Kind.FUNCTION else 1.0))

    def run(self, start: int, stop: int, found: list[int]) -> None:
        """Align tokens ``start`` to ``stop`` of the text and write where they come from into ``found``."""
        before = found[start - 1] if start else -1
        beam: list[tuple[float, int, int]] = [(0.0, before, -1)]  # Score, position, index of the last step.
        steps: list[tuple[int, int, int]] = []  # Token, position, earlier step.
        for i in range(start, stop):
            beam = self._step(i, beam, steps)
        step = max(beam)[2]
        while step >= 0:
            i, q, step = steps[step]
            found[i] = q

    def _step(
        self, i: int, beam: list[tuple[float, int, int]], steps: list[tuple[int, int, int]]
    ) -> list[tuple[float, int, int]]:
        word, kind = self.text.norm[i], self.text.kind[i]
        gain = _GAIN[kind]
        places = self.places.get(word)
        best: dict[int, tuple[float, int, int]] = {}  # Position: score, whether matched, earlier step.
        top = beam[0]
        starts = self.text.starts(i) or i in self.text.gaps
        contiguous = False
        for score, p, step in beam:
            _offer(best, p, score - gain / 2, step, matched=0)
            if places is None:
                continue
            k = bisect_right(places, p)
            if k < len(places) and p >= 0:
                q = places[k]
                if q == p + 1:
                    contiguous = True
                    _offer(best, q, score + gain - (0.0 if not self.source.starts(q) else 0.1), step, matched=1)
                elif q - p <= AHEAD:
                    _offer(best, q, score + gain - self._skip(p, q, starts), step, matched=1)
            if k and kind is Kind.CONTENT and p >= 0:
                q = places[k - 1]  # A word that was moved within its sentence.
                if q < p and self.source.unit[q] == self.source.unit[p]:
                    _offer(best, q, score + gain - 0.9, step, matched=1)
        if places is not None and (starts or not contiguous):
            score, _, step = top
            for q in self._jumps(i, places):
                cost = 3.0 if not starts else 0.3 if self.source.starts(q) else 0.6 + min(1.5, 0.2 * self._head(q))
                _offer(best, q, score + gain - cost, step, matched=1)
        ranked = sorted(((s, q, step, m) for q, (s, m, step) in best.items()), reverse=True)[:BEAM]
        out: list[tuple[float, int, int]] = []
        for score, q, step, matched in ranked:
            if matched:
                steps.append((i, q, step))
                step = len(steps) - 1
            out.append((score, q, step))
        return out

    def _skip(self, p: int, q: int, starts: bool) -> float:
        """What it costs to go on from p to q."""
        if self.source.unit[p] == self.source.unit[q]:
            return 0.1 + min(0.6, 0.06 * (self.weight[q] - self.weight[p + 1]))
        head = self._head(q)
        if starts:
            return 0.2 + min(1.2, 0.2 * head)
        tail = self.weight[self.end[p]] - self.weight[p + 1]
        return 0.8 + min(1.6, 0.4 * head) + min(1.6, 0.4 * tail)

    def _head(self, q: int) -> float:
        """Words that stand before q in its unit."""
        return self.weight[q] - self.weight[self.first[q]]

    def _jumps(self, i: int, places: list[int]) -> list[int]:
        """Where else the text may go on: at the places of the longest run of words that starts here."""
        norm = self.text.norm
        for size in (8, 4):
            hits = self.seeds.get(tuple(norm[i : i + size])) if i + size <= len(norm) else None
            if hits:
                return hits
        n = self.text_next[i]
        hits = self.seeds.get((norm[i], norm[n])) if n >= 0 else None
        return hits or (places if len(places) <= 4 else [])


def _note(seeds: dict[tuple[str, ...], list[int]], key: tuple[str, ...], place: int) -> None:
    hits = seeds.setdefault(key, [])
    if len(hits) < SEEDS:
        hits.append(place)


def _offer(best: dict[int, tuple[float, int, int]], q: int, score: float, step: int, *, matched: int) -> None:
    known = best.get(q)
    if known is None or score > known[0]:
        best[q] = (score, matched, step)


def _next_words(tokens: Tokens) -> list[int]:
    """For each token the next one that is a word of content, or -1."""
    out = [-1] * len(tokens)
    following = -1
    for i in range(len(tokens) - 1, -1, -1):
        out[i] = following
        if tokens.kind[i] in (Kind.CONTENT, Kind.NAME):
            following = i
    return out
