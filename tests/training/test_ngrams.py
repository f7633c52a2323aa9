"""Counted n-grams against counting them one by one."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from ctxshrink.scorers._ngrams import LENGTHS, WORDS, NgramTable, hash_contexts
from ctxshrink.scorers._windows import Window
from ctxshrink.training.ngrams import build_table, to_bytes

VOCABULARY = 50


def stream(size: int = 4000) -> np.ndarray:
    """Tokens where some runs come often."""
    rng = np.random.default_rng(4)
    runs = [rng.integers(1, VOCABULARY, 6) for _ in range(12)]
    return np.concatenate([runs[rng.integers(len(runs))] for _ in range(size // 6)]).astype(np.uint16)


def entries(table: NgramTable) -> dict[tuple[int, int], float]:
    owner = np.repeat(table.hashes, np.diff(table.starts))
    return {(int(h), int(w)): float(s) for h, w, s in zip(owner, table.words, table.shares, strict=True)}


def test_every_n_gram_that_helps_is_held_with_its_share() -> None:
    tokens = stream()
    found = entries(build_table(tokens, VOCABULARY, 10**9))
    said = tokens.tolist()
    for length in LENGTHS:
        counts: Counter[tuple[int, ...]] = Counter(tuple(said[i : i + length + 1]) for i in range(len(said) - length))
        often = [g for g, c in counts.items() if c >= 40]
        assert often
        for gram in often[:20]:
            key = int(hash_contexts([np.array([t]) for t in gram[:-1]])[0])
            siblings = {g[-1]: c for g, c in counts.items() if g[:-1] == gram[:-1] and (key, g[-1]) in found}
            if gram[-1] in siblings:
                assert found[key, gram[-1]] == pytest.approx(siblings[gram[-1]] / sum(siblings.values()), rel=1e-5)
    assert len(found) > 100


def test_the_budget_holds_and_keeps_the_best() -> None:
    whole, small = (build_table(stream(), VOCABULARY, n) for n in (10**9, 60))
    assert len(small.words) <= 60 < len(whole.words)
    assert set(entries(small)) <= set(entries(whole))


def test_rare_n_grams_are_not_counted() -> None:
    assert len(build_table(np.arange(1, 40), VOCABULARY, 1000).words) == 0


def test_a_file_gives_the_same_table_with_rounded_shares() -> None:
    table = build_table(stream(), VOCABULARY, 500)
    read = NgramTable.read(to_bytes(table))
    for name in ("hashes", "cells", "starts", "words"):
        np.testing.assert_array_equal(getattr(read, name), getattr(table, name))
    np.testing.assert_allclose(read.shares, table.shares, rtol=0.1)
    np.testing.assert_allclose(np.add.reduceat(read.shares, read.starts[:-1]), 1, atol=1e-5)


def test_an_empty_table_knows_nothing() -> None:
    table = NgramTable.read(to_bytes(build_table(np.arange(1, 20), VOCABULARY, 10)))
    steps = table.look_up([Window(0, 0, (0, 1, 2, 3), 3)])
    assert (steps.cells == -1).all()
    assert (steps.shares == 0).all()


def test_a_context_with_many_followers_holds_the_commonest() -> None:
    vocabulary = WORDS + 60
    pairs = [t for w in range(2, vocabulary) for t in [1, w] * (3 if w > 20 else 6)]
    table = build_table(np.array(pairs), vocabulary, 10**9)
    key = int(hash_contexts([np.array([1])])[0])
    held = {w for h, w in entries(table) if h == key}
    assert len(held) == WORDS
    assert set(range(2, 21)) <= held


@pytest.mark.parametrize("damaged", [b"", b"not a table"])
def test_other_bytes_are_refused(damaged: bytes) -> None:
    with pytest.raises(ValueError, match="not a table"):
        NgramTable.read(damaged)
