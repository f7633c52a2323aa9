"""Counts the n-grams of a training stream and keeps those that tell most in the fewest bytes.

An n-gram is worth the bits that it saves on the text it was counted in: its count times the logarithm of how much
likelier its last token is after all of it than after one token less (the criterion of Seymore and Rosenfeld 1996,
"Scalable backoff language models"). The shorter ones are marked down, because the network knows them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctxshrink.scorers._ngrams import LENGTHS, WORDS, NgramTable, hash_contexts, quantize
from ctxshrink.training.prepare import BOS_ID

Ints = NDArray[np.int64]

_VALUE = {2: 0.3, 3: 0.7, 4: 1.0, 5: 1.0}
"""Share of an n-gram's saving that is counted, by its length; the best of the two settings that were tried."""

_COVER = 6


@dataclass(slots=True)
class _Grams:
    """N-grams of one length n.

    Attributes:
        keys: Id of the first n - 1 tokens, times the vocabulary, plus the last token; ascending.
        counts: How often each occurs.
        places: Where the last token of one of the occurrences stands.
        tails: Id of the last n - 1 tokens.
    """

    keys: Ints
    counts: Ints
    places: Ints
    tails: Ints


def build_table(tokens: NDArray[np.integer[Any]], vocab_size: int, entries: int, minimum: int = 3) -> NgramTable:
    """Counts and prunes.

    Args:
        tokens: (tokens,) ids of the training text.
        vocab_size: Number of different ids.
        entries: Most n-grams to keep.
        minimum: Rarer n-grams are not counted.
    """
    stream = tokens.astype(np.int64)
    counts = {1: np.bincount(stream, minlength=vocab_size)}
    grams: dict[int, _Grams] = {}
    ids = stream
    for n in range(2, LENGTHS[-1] + 2):
        grams[n], ids = _count(stream, ids, vocab_size, minimum, n > 2)
        counts[n] = grams[n].counts
    worth: dict[int, NDArray[np.float64]] = {}
    for n, g in grams.items():
        after = (g.counts - 0.5) / counts[n - 1][g.keys // vocab_size]
        if n == 2:
            before = counts[1][g.keys % vocab_size] / len(stream)
        else:
            before = counts[n - 1][g.tails] / counts[n - 2][grams[n - 1].keys[g.tails] // vocab_size]
        worth[n] = np.asarray(_VALUE[n] * g.counts * np.log(after / before), dtype=np.float64)
    every = np.concatenate([w[w > 0] for w in worth.values()]) if worth else np.zeros(0)
    least = float(np.partition(every, len(every) - entries)[len(every) - entries]) if 0 < entries < len(every) else 0.0
    keep = {n: (worth[n] > max(least, 0.0)) & (g.keys % vocab_size != BOS_ID) for n, g in grams.items()}
    parts = [_contexts(stream, g, counts[n - 1], vocab_size, n - 1, keep[n]) for n, g in grams.items()]
    return _pack(*(np.concatenate(p) for p in zip(*parts, strict=True)))


def _count(stream: Ints, ids: Ints, vocab_size: int, minimum: int, nested: bool) -> tuple[_Grams, Ints]:
    """The n-grams one token longer than those that ``ids`` tells at each position, and the id of each position's."""
    context = np.concatenate([[-1], ids[:-1]])
    at = np.flatnonzero((context >= 0) & (ids >= 0) if nested else context >= 0)
    keys = context[at] * vocab_size + stream[at]
    unique, often = np.unique(keys, return_counts=True)
    unique, often = unique[often >= minimum], often[often >= minimum]
    found = np.full(len(stream), -1, dtype=np.int64)
    places = np.zeros(len(unique), dtype=np.int64)
    if len(unique):
        where = np.minimum(np.searchsorted(unique, keys), len(unique) - 1)
        known = unique[where] == keys
        found[at[known]] = where[known]
        places[where[known]] = at[known]
    return _Grams(unique, often, places, ids[places]), found


def _contexts(
    stream: Ints, g: _Grams, before: Ints, vocab_size: int, length: int, keep: NDArray[np.bool_]
) -> tuple[Ints, Ints, Ints, Ints]:
    """Kept n-grams as (context's hash, context's cell, token, count), at most `WORDS` of a context."""
    context, word, often, place = g.keys[keep] // vocab_size, g.keys[keep] % vocab_size, g.counts[keep], g.places[keep]
    order = np.lexsort((-often, context))
    context, word, often, place = context[order], word[order], often[order], place[order]
    first = np.searchsorted(context, context)
    top = np.arange(len(context)) - first < WORDS
    context, word, often, place = context[top], word[top], often[top], place[top]
    kept = np.bincount(context, weights=often, minlength=len(before))[context]
    covered = np.minimum((kept / before[context] * _COVER).astype(np.int64), _COVER - 1)
    size = np.clip(np.log2(before[context]).astype(np.int64) - 1, 0, 9) // 2
    hashes = hash_contexts([stream[place - length + i] for i in range(length)])
    return hashes.astype(np.int64), size * _COVER + covered, word, often


def _pack(hashes: Ints, cells: Ints, words: Ints, counts: Ints) -> NgramTable:
    """Sorts by hash; of contexts with one hash the one that was counted most stays."""
    unique, back = np.unique(hashes * 64 + cells, return_inverse=True)
    total = np.bincount(back, weights=counts, minlength=len(unique))[back]
    order = np.lexsort((words, -total, hashes))
    hashes, cells, words, counts = hashes[order], cells[order], words[order], counts[order]
    first = np.searchsorted(hashes, hashes)
    stays = cells == cells[first] if len(cells) else np.zeros(0, dtype=bool)
    hashes, cells, words, counts = hashes[stays], cells[stays], words[stays], counts[stays]
    fresh = np.ones(len(hashes), dtype=bool)
    fresh[1:] = (hashes[1:] != hashes[:-1]) | (words[1:] != words[:-1])
    hashes, cells, words, counts = hashes[fresh], cells[fresh], words[fresh], counts[fresh]
    few = np.arange(len(hashes)) - np.searchsorted(hashes, hashes) < WORDS
    hashes, cells, words, counts = hashes[few], cells[few], words[few], counts[few]
    contexts, begin = np.unique(hashes, return_index=True)
    starts = np.concatenate([begin, [len(hashes)]]).astype(np.int64)
    sums = np.add.reduceat(counts, begin) if len(counts) else np.zeros(0)
    shares = (counts / np.repeat(sums, np.diff(starts))).astype(np.float32)
    return NgramTable(
        contexts.astype(np.uint32), cells[begin].astype(np.uint8), starts, words.astype(np.uint16), shares
    )


def to_bytes(table: NgramTable) -> bytes:
    """The file of a table."""
    return table.write(quantize(table.shares))
