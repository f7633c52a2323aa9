"""Likelihood terms of the perplexity guardrail, collected first and scored in one batch."""

from __future__ import annotations

import math

import numpy as np

from ctxshrink.compressors._terms import word_terms, words
from ctxshrink.text import units
from ctxshrink.types import Scorer, Trial

WINDOW_CHARS = 1400
"""Characters of context per window: well inside a 1,024-token model in every script of the six languages."""

MAX_WINDOWS = 8
"""Windows of one text that are scored: those that share most words with the query. Bounds the cost of long texts."""

PROBE_CHARS = 1200
"""Characters of dropped text that the recovery term looks at, taken evenly over all of it."""

QUERY_CHARS = 600
"""Characters of the query, from its end, that the anchor term scores."""

_ASK = "\n\nquery: "
"""Between a context and the query that is scored after it; the embedded scorer has seen this form in training."""


class Likelihoods:
    """NLL terms over (context, target) pairs that several trials may share.

    Call the ``want_`` methods for all trials, `run` once, then read the terms.

    Args:
        scorer: The language model.
    """

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._pairs: dict[tuple[str, str], tuple[float, int]] = {}
        self._windows: dict[tuple[str, str], list[str]] = {}

    def want_anchor(self, before: str, after: str, query: str) -> None:
        """Ask for what `anchor` needs."""
        for text in (before, after):
            for window in self._split(text, query):
                self._pairs.setdefault((window + _ASK, query[-QUERY_CHARS:]), (0.0, 0))

    def want_recovery(self, dropped: str, kept: str) -> None:
        """Ask for what `recovery` needs."""
        probe = _sample(dropped)
        if probe:
            self._pairs.setdefault(("", probe), (0.0, 0))
            self._pairs.setdefault((_context(kept), probe), (0.0, 0))

    def want_probe(self, fact: str, left: str, kept: str) -> None:
        """Ask for what `probe` needs."""
        self._pairs.setdefault((left, fact), (0.0, 0))
        self._pairs.setdefault((self._cloze(fact, left, kept), fact), (0.0, 0))

    def run(self) -> None:
        """Score every pair that was asked for, in one batch."""
        pairs = list(self._pairs)
        if not pairs:
            return
        for pair, nats in zip(pairs, self._scorer.nll(pairs), strict=True):
            self._pairs[pair] = (float(np.sum(nats, dtype=np.float64)), len(nats))

    def anchor(self, before: str, after: str, query: str) -> float:
        """A = [NLL(q | after) - NLL(q | before)] / |q| in nats per token, by the best window of each text.

        It is no finite number where one of the likelihoods is none.
        """
        total_before, count = self._best(before, query)
        total_after, _ = self._best(after, query)
        return (total_after - total_before) / count if count else 0.0

    def recovery(self, dropped: str, kept: str) -> float:
        """R = 1 - NLL(d | kept) / NLL(d), at most 1; 1 where nothing was dropped; NaN where a likelihood is."""
        probe = _sample(dropped)
        if not probe:
            return 1.0
        alone, _ = self._pairs["", probe]
        given, _ = self._pairs[_context(kept), probe]
        return 1 - given / alone if alone else 1.0

    def probe(self, fact: str, left: str, kept: str) -> float:
        """C = 1 - NLL(fact | kept, left) / NLL(fact | left): how much of a dropped fact can be told from what was kept.

        A cloze: the words before the fact ask for it. NaN where a likelihood is.
        """
        alone, _ = self._pairs[left, fact]
        given, _ = self._pairs[self._cloze(fact, left, kept), fact]
        return 1 - given / alone if alone else 1.0

    def _cloze(self, fact: str, left: str, kept: str) -> str:
        """The window of the kept text that shares most words with the question, and then the question."""
        asked = term_set(left + fact)
        best = max(windows(kept), key=lambda window: len(asked & term_set(window)))
        return f"{best}\n\n{left}" if best else left

    def _best(self, text: str, query: str) -> tuple[float, int]:
        found = [self._pairs[window + _ASK, query[-QUERY_CHARS:]] for window in self._split(text, query)]
        return next((f for f in found if not math.isfinite(f[0])), min(found))

    def _split(self, text: str, query: str) -> list[str]:
        """The windows of a text that are scored for a query, in order."""
        key = text, query
        if key not in self._windows:
            found = windows(text)
            if len(found) > MAX_WINDOWS:
                asked = term_set(query)
                shared = [len(asked & term_set(window)) for window in found]
                best = sorted(range(len(found)), key=lambda i: (-shared[i], i))[:MAX_WINDOWS]
                found = [found[i] for i in sorted(best)]
            self._windows[key] = found
        return self._windows[key]


def windows(text: str, size: int = WINDOW_CHARS) -> list[str]:
    """Cut a text at unit boundaries into pieces of at most about ``size`` characters; [""] for an empty text."""
    if len(text) <= size:
        return [text.strip()]
    pieces: list[str] = []
    start = end = -1
    for a, b in units(text, "prose"):
        if start >= 0 and b - start > size:
            pieces.append(text[start:end])
            start = a
        start = a if start < 0 else start
        end = b
        while end - start > size:
            pieces.append(text[start : start + size])
            start += size
    if end > start >= 0:
        pieces.append(text[start:end])
    return pieces or [""]


def term_set(text: str) -> frozenset[str]:
    """The index terms of a text."""
    return frozenset(t for w in words(text) for t in word_terms(w))


def dropped_text(trial: Trial) -> str:
    """What the compression left out of what it was selected from; all of that where it names no spans."""
    text = trial.basis
    if trial.spans is None:
        return text
    gaps: list[str] = []
    last = 0
    for start, end in (*trial.spans, (len(text), len(text))):
        if text[last:start].strip():
            gaps.append(text[last:start].strip())
        last = end
    return "\n".join(gaps)


def _sample(dropped: str) -> str:
    """At most `PROBE_CHARS` characters, in four even pieces where there is more."""
    if len(dropped) <= PROBE_CHARS:
        return dropped
    piece, step = PROBE_CHARS // 4, len(dropped) // 4
    return "\n".join(dropped[i * step : i * step + piece].strip() for i in range(4))


def _context(kept: str) -> str:
    kept = kept[-2 * WINDOW_CHARS :].strip()
    return kept + "\n\n" if kept else ""
