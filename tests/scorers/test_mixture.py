"""The mixture with counted contexts: it is a distribution, and it counts what it says."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink.scorers._copying import ORDERS, PLACES, STEPS, copy_steps
from ctxshrink.scorers._mixture import WIDTH, Mixture
from ctxshrink.scorers._ngrams import LENGTHS, NgramTable
from ctxshrink.scorers._windows import Window
from ctxshrink.training.ngrams import build_table, to_bytes

VOCABULARY = 6
texts = st.lists(st.integers(1, VOCABULARY - 1), min_size=1, max_size=30)


def window(tokens: list[int], scored: int | None = None) -> Window:
    return Window(0, 0, (0, *tokens), len(tokens) if scored is None else scored)


def weights(steps: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.05, 0.9, (steps, WIDTH))


def table(tokens: list[int]) -> NgramTable:
    return NgramTable.read(to_bytes(build_table(np.asarray(tokens), VOCABULARY, 1000, minimum=1)))


@given(texts)
def test_shares_are_those_of_the_places_with_the_same_last_tokens(tokens: list[int]) -> None:
    steps = copy_steps([window(tokens)])
    for at, token in enumerate(tokens):
        counts = Counter(tokens[:at])
        assert steps.shares[at, 0] == (counts[token] / at if at else 0)
        for step, order in enumerate(ORDERS, 1):
            last = tokens[at - order : at] if at >= order else None
            followed = [tokens[j] for j in range(order, at) if last and tokens[j - order : j] == last]
            assert (steps.cells[at, step] >= 0) == bool(followed)
            assert steps.shares[at, step] == (followed.count(token) / len(followed) if followed else 0)


def test_a_context_seen_often_and_surely_has_its_own_weight() -> None:
    steps = copy_steps([window([1, 2] * 20, scored=1)])
    assert steps.cells[0, 1] == 4 * 3
    assert copy_steps([window([1, 2, 1, 3, 1, 4, 1, 5, 1, 2], scored=1)]).cells[0, 1] == 2 * 3 + 2


def test_one_token_over_and_over_is_bounded() -> None:
    steps = copy_steps([window([1] * 3 * PLACES)])
    assert steps.shares[-1].tolist() == [1.0] * STEPS


@given(texts, texts)
def test_probabilities_sum_to_one(corpus: list[int], tokens: list[int]) -> None:
    for ngrams in (None, table(corpus * 3)):
        mixture = Mixture(weights(STEPS + (len(LENGTHS) if ngrams else 0)), ngrams)
        windows = [window([*tokens, w], scored=1) for w in range(VOCABULARY)]
        nats = mixture.mix(windows, np.full(VOCABULARY, math.log(VOCABULARY)))
        assert np.exp(-nats).sum() == pytest.approx(1, abs=1e-6)


@given(st.lists(texts, min_size=1, max_size=4))
def test_windows_do_not_see_each_other(several: list[list[int]]) -> None:
    mixture = Mixture(weights(STEPS + len(LENGTHS)), table([1, 2, 3, 1, 2, 4] * 5))
    windows = [window(t, scored=max(1, len(t) // 2)) for t in several]
    nats = [np.linspace(0.5, 3.0, w.scored) for w in windows]
    together = mixture.mix(windows, np.concatenate(nats))
    alone = [mixture.mix([w], n) for w, n in zip(windows, nats, strict=True)]
    np.testing.assert_array_equal(together, np.concatenate(alone))


def test_what_was_said_before_becomes_likelier() -> None:
    mixture = Mixture(np.full((STEPS, WIDTH), 0.5, dtype=np.float64))
    nats = mixture.mix([window([5, 4, 3, 2, 1, 5, 4, 3, 2])], np.full(9, 8.0))
    assert nats[6:].max() < 1 < nats[:5].min()


def test_numbers_that_are_none_stay_visible() -> None:
    nats = Mixture(weights(STEPS)).mix([window([1, 1])], np.array([np.nan, np.inf]))
    assert np.isnan(nats[0])
    assert np.isinf(nats[1])


def test_weights_are_stored_and_checked() -> None:
    mixture = Mixture(np.asarray(np.round(weights(STEPS), 4), dtype=np.float64))
    np.testing.assert_array_equal(Mixture.read(mixture.to_config()).weights, mixture.weights)
    for wrong in ([[0.5] * WIDTH], [[1.0] * WIDTH] * STEPS, [[-0.1] * WIDTH] * STEPS):
        with pytest.raises(ValueError, match="mixture"):
            Mixture.read({"weights": wrong})
    with pytest.raises(ValueError, match="mixture"):
        Mixture.read(mixture.to_config(), table([1, 2, 3]))
