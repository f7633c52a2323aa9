"""An n-gram model with interpolated Kneser-Ney smoothing: what a neural scorer has to beat on the same text.

Kneser & Ney 1995, in the interpolated form of Chen & Goodman 1999, section 2.7. One absolute discount per order,
``n1 / (n1 + 2 n2)``; lower orders count in how many different contexts an n-gram was seen. All n-grams are held, as
sorted arrays: a few dozen bytes per token of text.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Order:
    """The n-grams of one order, by id.

    Attributes:
        keys: (n-grams,) sorted: id of the first n - 1 tokens, times the vocabulary, plus the last token.
        counts: (n-grams,) occurrences, or for lower orders different tokens seen before.
        totals: (contexts,) sum of the counts after each context.
        types: (contexts,) different tokens seen after each context.
        discount: Taken from every count.
    """

    keys: Ints
    counts: Floats
    totals: Floats
    types: Floats
    discount: float


class KneserNey:
    """The model.

    Args:
        tokens: (tokens,) ids of the training text.
        vocab_size: Number of different ids.
        order: Longest n-gram, at least 2.
    """

    def __init__(self, tokens: Ints, vocab_size: int, order: int = 5) -> None:
        self.vocab_size = vocab_size
        tokens = tokens.astype(np.int64)
        found: list[tuple[Ints, Ints, Floats]] = []  # keys, an occurrence of each, how often
        ids, grams = tokens, [tokens]
        unigrams, first, often = np.unique(np.append(tokens, np.arange(vocab_size)), True, return_counts=True)
        found.append((unigrams, first, (often - 1).astype(np.float64)))
        for n in range(2, order + 1):
            keys = ids[:-1] * vocab_size + tokens[n - 1 :]
            unique, first, ids, often = np.unique(keys, True, True, True)
            found.append((unique, first, often.astype(np.float64)))
            grams.append(ids)
        self._orders: list[_Order] = []
        for n, (keys, _, counts) in enumerate(found, 1):
            if n < order:
                # The n-gram that ends each different (n + 1)-gram starts one token after it.
                following = found[n][1] + 1
                counts = np.bincount(grams[n - 1][following], minlength=len(keys)).astype(np.float64)
            contexts = keys // vocab_size if n > 1 else np.zeros(len(keys), dtype=np.int64)
            size = len(found[n - 2][0]) if n > 1 else 1
            totals = np.bincount(contexts, weights=counts, minlength=size).astype(np.float64)
            types = np.bincount(contexts, weights=(counts > 0).astype(np.float64), minlength=size).astype(np.float64)
            once, twice = float((counts == 1).sum()), float((counts == 2).sum())
            discount = once / (once + 2 * twice) if once and twice else 0.5
            self._orders.append(_Order(keys, counts, totals, types, discount))

    def nll(self, tokens: Ints) -> Floats:
        """Nats of every token but the first, given those before it; shape (tokens - 1,)."""
        tokens = tokens.astype(np.int64)
        unigram = self._orders[0]
        ids: Ints = tokens  # of the n-gram that ends at each position, -1 where it was never seen
        p = self._interpolate(unigram, np.zeros(len(tokens), dtype=np.int64), ids, 1.0 / self.vocab_size)
        for o in self._orders[1:]:
            context = np.append(np.int64(-1), ids[:-1])
            ids = _find(o.keys, np.where(context >= 0, context * self.vocab_size + tokens, -1))
            p = self._interpolate(o, context, ids, p)
        return -np.log(p[1:])

    @staticmethod
    def _interpolate(o: _Order, context: Ints, ids: Ints, lower: Floats | float) -> Floats:
        known = context >= 0
        totals = np.where(known, o.totals[context], 0.0)
        seen = totals > 0
        safe = np.where(seen, totals, 1.0)
        counts = np.where(ids >= 0, o.counts[ids], 0.0)
        p = (np.maximum(counts - o.discount, 0.0) + o.discount * o.types[context] * lower) / safe
        return np.where(seen, p, lower)


def _find(keys: Ints, wanted: Ints) -> Ints:
    """Index of each wanted key, -1 where it is missing."""
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, at, -1)
