from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ctxshrink import Shrinker
from ctxshrink.bench.methods import pooled_policy

pytest.importorskip("llama_index.core")
from ctxshrink.bench.optimizer import SentenceOptimizer

DOCS = [
    "The hall was painted grey. A pump was replaced in May. It had run dry. Nobody knew why. The gate was shut.",
    "The valve was ordered in Turin. It was late by nine days. Nobody complained about that. The order was paid.",
    "Soup is served on Fridays. Visitors like the view. Many colleagues come by bicycle. The gate opens at six.",
]
QUERY = "When was the pump replaced?"


class Hashed:
    """Vectors from a hash of the text; the first of ``near`` is the query's neighbour."""

    def __init__(self, near: str) -> None:
        self._near = near

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = [np.frombuffer(hashlib.sha256(self._key(t).encode()).digest(), np.uint8) for t in texts]
        vectors = np.array(rows, dtype=np.float32) - 127.5
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def _key(self, text: str) -> str:
        return QUERY if text == self._near else text


def shrinker(near: str) -> Shrinker:
    made: Any = SentenceOptimizer(Hashed(near))  # type: ignore[arg-type]
    return Shrinker(policy=pooled_policy(), compressors=[made], guardrail=None)


@pytest.mark.parametrize("keep", [0.8, 0.5, 0.3])
def test_the_budget_holds_and_the_nearest_sentence_is_there_with_its_neighbours(keep: float) -> None:
    near = "It had run dry."
    docs = list(DOCS)
    budget = int(keep * sum(shrinker(near).counter.count(docs)))
    result = shrinker(near).shrink_documents(docs, QUERY, max_tokens=budget)
    assert result.tokens_after <= budget
    assert docs == DOCS
    assert not any(a.error for d in result.decisions for a in d.attempts)
    # The class's own default: one sentence before and one after each hit.
    assert "A pump was replaced in May. It had run dry. Nobody knew why." in result.output[0]


def test_nothing_fits() -> None:
    result = shrinker("It had run dry.").shrink_documents(DOCS, QUERY, max_tokens=5)
    assert result.output == ["", "", ""]


def test_a_text_that_would_grow_stays_as_it_was() -> None:
    # Every sentence passes at -1, each with both neighbours: three times the text.
    result = shrinker("The gate was shut.").shrink_documents(DOCS, QUERY, keep=0.95)
    assert all(d.tokens_after <= d.tokens_before for d in result.decisions)
    assert any(out == doc for out, doc in zip(result.output, DOCS, strict=True))
