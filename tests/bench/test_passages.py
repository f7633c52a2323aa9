from __future__ import annotations

from itertools import islice

import pytest

from ctxshrink.bench.passages import context, sentences
from ctxshrink.text import units


def words(texts: object) -> list[int]:
    return [len(str(t).split()) for t in texts]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("tokens", "passages"), [(500, 10), (1300, 4), (5, 3)])
def test_a_context_has_its_size(tokens: int, passages: int) -> None:
    query, made = context(3, tokens, words, passages)
    assert len(made) == passages
    longest = max(words(text[a:b] for text in made for a, b in units(text, "prose")))
    assert tokens <= sum(words(made)) < max(tokens, passages * longest) + longest
    assert query.endswith("?")
    if tokens > 1000:
        assert any(word in " ".join(made) for word in query[:-1].split() if len(word) > 6)


def test_seeds_share_next_to_no_sentence() -> None:
    drawn = [sentence for seed in range(20) for sentence in islice(sentences(seed), 100)]
    assert len(set(drawn)) > 0.99 * len(drawn)
    assert context(1, 200, words) == context(1, 200, words)
    assert context(1, 200, words) != context(2, 200, words)
