"""The n-gram yardstick against its definition."""

from __future__ import annotations

import numpy as np
import pytest

from ctxshrink.training.kneser_ney import KneserNey


def tokens(seed: int, size: int, vocabulary: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.zipf(1.4, size) % vocabulary).astype(np.int64)


def plain_probability(text: list[int], vocabulary: int, order: int, context: list[int], word: int) -> float:
    """Interpolated Kneser-Ney straight from the definition, with Python dictionaries."""

    def counts(n: int) -> dict[tuple[int, ...], int]:
        grams = [tuple(text[i : i + n]) for i in range(len(text) - n + 1)]
        if n == order:
            return {g: grams.count(g) for g in set(grams)}
        longer = {tuple(text[i : i + n + 1]) for i in range(len(text) - n)}
        return {g: sum(x[1:] == g for x in longer) for g in set(grams)}

    p = 1 / vocabulary
    for n in range(1, order + 1):
        c = counts(n)
        once, twice = sum(v == 1 for v in c.values()), sum(v == 2 for v in c.values())
        d = once / (once + 2 * twice) if once and twice else 0.5
        h = tuple(context[len(context) - n + 1 :]) if n > 1 else ()
        if len(h) < n - 1:
            break
        after = {g: v for g, v in c.items() if g[:-1] == h}
        total = sum(after.values())
        if total:
            p = (max(after.get((*h, word), 0) - d, 0) + d * sum(v > 0 for v in after.values()) * p) / total
    return p


@pytest.mark.parametrize("order", [2, 3, 4])
def test_probabilities_are_those_of_the_definition(order: int) -> None:
    text = tokens(1, 120, 7)
    model = KneserNey(text, 9, order)
    probe = tokens(2, 30, 9)
    expected = [
        -np.log(plain_probability(text.tolist(), 9, order, probe[:i].tolist(), int(probe[i])))
        for i in range(1, len(probe))
    ]
    np.testing.assert_allclose(model.nll(probe), expected, rtol=1e-9)


def test_probabilities_sum_to_one() -> None:
    model = KneserNey(tokens(3, 500, 12), 15, 3)
    for context in ([1, 2], [14, 14], [0, 13]):
        total = sum(np.exp(-model.nll(np.asarray([*context, w]))[-1]) for w in range(15))
        assert total == pytest.approx(1.0)


def test_seen_text_is_likelier_than_noise() -> None:
    text = np.tile(np.arange(20), 30)
    model = KneserNey(text, 25)
    assert model.nll(text[:50]).mean() < 0.5 * model.nll(tokens(4, 50, 25)).mean()
