"""Sequences that need copying."""

from __future__ import annotations

import random

from ctxshrink.training.copies import lookup, make_copy, random_repeat, repeat, restatement, split_units
from tests.training.conftest import tale

TEXTS = [tale(random.Random(i)) for i in range(20)]


def test_a_lookup_asks_for_records_of_its_context() -> None:
    rng = random.Random(1)
    for _ in range(50):
        context, asked = lookup(rng, 800)
        words = {w.strip('".,:?|{}') for w in context.split()}
        known = [w for w in asked.split() if w.strip('".,:?|{}') in words]
        assert len(known) >= 0.4 * len(asked.split())


def test_a_repeat_is_a_part_of_its_passage() -> None:
    rng = random.Random(2)
    for _ in range(50):
        context, again = repeat(rng, TEXTS, 600)
        assert again[-40:] in context


def test_most_restatements_use_words_of_the_passage_and_some_do_not() -> None:
    rng = random.Random(3)
    shares = []
    for _ in range(80):
        context, target = restatement(rng, TEXTS, 300)
        said = target.replace("?", "").split()
        shares.append(sum(w in context for w in said) / max(len(said), 1))
    assert sum(s > 0.6 for s in shares) > 40
    assert min(shares) < 0.9


def test_random_ids_repeat() -> None:
    rng = random.Random(4)
    for _ in range(50):
        ids = random_repeat(rng, 300, 128)
        assert len(ids) <= 128
        assert all(0 < i < 300 for i in ids)
        assert any(ids[n:] == ids[: len(ids) - n] for n in range(8, len(ids)))


def test_the_same_seed_gives_the_same_sequences() -> None:
    one, other = ([make_copy(random.Random(9), TEXTS, 400) for _ in range(5)] for _ in range(2))
    assert one == other


def test_units_of_several_languages() -> None:
    assert split_units("The gate opens. It closes!\nNext line") == ["The gate opens.", "It closes!", "Next line"]
    assert split_units("水位は高いです。門は閉まる。") == ["水位は高いです。", "門は閉まる。"]
