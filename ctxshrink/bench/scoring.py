"""Scores without a reader: is what the answer needs still in the text?

Matching ignores case, Unicode compatibility forms and white space, and respects word boundaries: "40" is not found in
"1940". All scores are in [0, 1]; higher is better. None of them says that a model would answer well: they say what a
model can no longer answer at all.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

NGRAM = 4
"""Tokens per n-gram of `ngram_recall`: long enough that a hit means the sentence, short enough to survive a cut."""

SURVIVES = 0.7
"""Share of a sentence's n-grams from which on it counts as kept: room for another split or a lost clause."""

_SPACE = re.compile(r"\s+")
_CJK = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"(?P<cjk>[{_CJK}]+)|[a-z0-9\u00c0-\u024f]+")
_WORD = re.compile(r"[a-z0-9]")


def normalize(text: str) -> str:
    """Lower case, NFKC, runs of white space as one blank, none at the ends."""
    return _SPACE.sub(" ", unicodedata.normalize("NFKC", text).lower()).strip()


def tokenize(text: str) -> list[str]:
    """Words of Latin scripts, and overlapping pairs of Chinese and Japanese characters, which write no spaces."""
    tokens: list[str] = []
    for match in _TOKEN.finditer(normalize(text)):
        run = match.group()
        if match["cjk"] is None or len(run) == 1:
            tokens.append(run)
        else:
            tokens.extend(run[i : i + 2] for i in range(len(run) - 1))
    return tokens


class Haystack:
    """A text to look things up in, normalized once.

    Args:
        text: What came out of a method.
    """

    def __init__(self, text: str) -> None:
        self._text = normalize(text)
        self._tokens: list[str] | None = None
        self._counts: Counter[str] | None = None
        self._ngrams: set[tuple[str, ...]] | None = None

    def contains(self, needle: str) -> bool:
        """True when the needle occurs, not as a part of a longer word or number. Empty needles never occur."""
        wanted = normalize(needle)
        if not wanted:
            return False
        before = bool(_WORD.match(wanted[0]))
        after = bool(_WORD.match(wanted[-1]))
        start = self._text.find(wanted)
        while start >= 0:
            end = start + len(wanted)
            inside = (before and start > 0 and _WORD.match(self._text[start - 1])) or (
                after and end < len(self._text) and _WORD.match(self._text[end])
            )
            if not inside:
                return True
            start = self._text.find(wanted, start + 1)
        return False

    def contains_any(self, needles: Sequence[str]) -> bool:
        """True when one of the needles occurs."""
        return any(self.contains(n) for n in needles)

    def ngram_recall(self, gold: str) -> float:
        """Share of the gold text's `NGRAM`-grams that occur. A gold text shorter than that must occur as a whole."""
        wanted = tokenize(gold)
        if len(wanted) < NGRAM:
            return float(normalize(gold) in self._text)
        if self._ngrams is None:
            self._ngrams = set(_ngrams(self._own_tokens()))
        grams = _ngrams(wanted)
        return sum(g in self._ngrams for g in grams) / len(grams)

    def token_recall(self, gold: str) -> float:
        """Share of the gold text's tokens that occur, counted with multiplicity; 0 for a gold text without tokens."""
        wanted = Counter(tokenize(gold))
        if self._counts is None:
            self._counts = Counter(self._own_tokens())
        counts = self._counts
        total = wanted.total()
        return sum(min(n, counts[t]) for t, n in wanted.items()) / total if total else 0.0

    def _own_tokens(self) -> list[str]:
        if self._tokens is None:
            self._tokens = tokenize(self._text)
        return self._tokens


def _ngrams(tokens: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(tokens[i : i + NGRAM]) for i in range(len(tokens) - NGRAM + 1)]


def answer_recall(answers: Sequence[str], text: Haystack) -> float | None:
    """1.0 when any of the accepted answers is there, else 0.0; None without answers."""
    return float(text.contains_any(answers)) if answers else None


def fact_recall(facts: Sequence[str], text: Haystack) -> float | None:
    """Share of the facts that are there; None without facts."""
    return sum(text.contains(f) for f in facts) / len(facts) if facts else None


def support_recall(sentences: Sequence[str], text: Haystack) -> float | None:
    """Mean n-gram recall of the supporting sentences; None without sentences."""
    return sum(text.ngram_recall(s) for s in sentences) / len(sentences) if sentences else None


def all_support(sentences: Sequence[str], text: Haystack) -> float | None:
    """1.0 when of every supporting sentence `SURVIVES` of the n-grams are there, else 0.0; None without sentences."""
    return float(all(text.ngram_recall(s) >= SURVIVES for s in sentences)) if sentences else None


def evidence_recall(messages: Sequence[str], text: Haystack) -> float | None:
    """Mean token recall of the messages that hold the evidence; None without messages."""
    return sum(text.token_recall(m) for m in messages) / len(messages) if messages else None
