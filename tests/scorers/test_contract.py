"""The contract of every scorer, on a tiny random model."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctxshrink.testing import check_scorer
from ctxshrink.types import Scorer
from tests.scorers.conftest import CONFIG, TEXT, Tiny
from tests.scorers.reference import reference_nll

TOLERANCE = 2e-3  # numbers are rounded to 0.001

WORDS = st.sampled_from([*TEXT.split(), "", "\n\n", "水位", "412", "\x00", "🚢"])
TEXTS = st.lists(WORDS, max_size=60).map(" ".join)


def test_values_are_those_of_a_plain_implementation(scorer: Scorer, tiny: Tiny) -> None:
    context, target = TEXT[:140], TEXT[140:330]
    ids = [0, *tiny.ids(context), *tiny.ids(target)]
    expected = reference_nll(CONFIG, tiny.weights, ids)[-len(tiny.ids(target)) :]
    [nats] = scorer.nll([(context, target)])
    assert nats.dtype == np.float32
    np.testing.assert_allclose(nats, expected, atol=TOLERANCE)


def test_likelihoods_add_up(scorer: Scorer) -> None:
    context, a, b = "The gate of the north lock", " opens at six.", " The keeper writes"
    [whole], [first], [second] = (scorer.nll([p]) for p in ((context, a + b), (context, a), (context + a, b)))
    np.testing.assert_allclose(np.concatenate([first, second]), whole, atol=TOLERANCE)


def test_context_changes_the_likelihood(scorer: Scorer) -> None:
    after, alone = scorer.nll([(TEXT[:80], " The wind"), ("", " The wind")])
    assert np.abs(after - alone).max() > 0.01


def test_nothing_to_score(scorer: Scorer) -> None:
    assert scorer.nll([]) == []
    empty, also, some = scorer.nll([("", ""), ("a context", ""), ("", "x")])
    assert empty.shape == also.shape == (0,)
    assert some.shape == (1,)


@given(pairs=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=6))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_pair_does_not_depend_on_its_batch(scorer: Scorer, pairs: list[tuple[str, str]]) -> None:
    together = scorer.nll([*pairs, *reversed(pairs)])
    for i, pair in enumerate(pairs):
        [alone] = scorer.nll([pair])
        if scorer.name == "tiny":  # the embedded scorer: to the last bit
            np.testing.assert_array_equal(together[i], alone)
        np.testing.assert_allclose(together[i], alone, atol=TOLERANCE)
        np.testing.assert_allclose(together[-1 - i], alone, atol=TOLERANCE)


def test_a_long_context_is_cut_at_the_left(scorer: Scorer, tiny: Tiny) -> None:
    context, target = TEXT * 8, " The lower gate is closed."
    kept = tiny.ids(context)
    excess = len(kept) + len(tiny.ids(target)) - scorer.max_context
    assert excess > 0
    kept = kept[-(-excess // 24) * 24 :]  # an eighth of this window a step
    ids = [0, *kept, *tiny.ids(target)]
    expected = reference_nll(CONFIG, tiny.weights, ids)[-len(tiny.ids(target)) :]
    [nats] = scorer.nll([(context, target)])
    np.testing.assert_allclose(nats, expected, atol=TOLERANCE)


def test_a_huge_context_costs_what_its_end_costs(scorer: Scorer) -> None:
    [nats] = scorer.nll([("lock " * 400_000, " opens")])
    [same] = scorer.nll([("lock " * 900, " opens")])
    assert np.isfinite(nats).all()
    assert nats.shape == same.shape


def test_a_long_target_is_scored_in_windows(scorer: Scorer, tiny: Tiny) -> None:
    target = TEXT * 9
    [nats] = scorer.nll([("", target)])
    ids = tiny.ids(target)
    assert nats.shape == (len(ids),)
    assert len(ids) > 3 * scorer.max_context
    half = scorer.max_context // 2
    np.testing.assert_allclose(nats[:half], reference_nll(CONFIG, tiny.weights, [0, *ids[:half]]), atol=TOLERANCE)
    assert (nats > 0).all()


@pytest.mark.parametrize(
    "text",
    [
        "\x00",
        "a\x00b",
        "\ud83d",
        "ok \udc00\ud800 ok",
        "🚢" * 40,
        "\u202e\ufeff",
        "<|bos|>",
        "a" * 5000,
        " " * 3000,
        "\r\n\t",
    ],
    ids=lambda text: ascii(text)[:20],
)
def test_any_text_has_finite_likelihoods(scorer: Scorer, text: str) -> None:
    for nats in scorer.nll([("", text), (text, "x"), (text, text)]):
        assert len(nats) > 0
        assert np.isfinite(nats).all()


def test_lone_surrogates_read_as_replacement_characters(scorer: Scorer) -> None:
    one, other = scorer.nll([("\ud800", "\udfff gate"), ("\ufffd", "\ufffd gate")])
    np.testing.assert_array_equal(one, other)


def test_threads_share_a_scorer(scorer: Scorer) -> None:
    pairs = [(TEXT[:i], TEXT[i : i + 40]) for i in range(0, 120, 10)]
    expected = [scorer.nll([p])[0] for p in pairs]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda p: scorer.nll([p])[0], pairs))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=TOLERANCE)


def test_the_shipped_checks_accept_it(scorer: Scorer) -> None:
    check_scorer(scorer)
