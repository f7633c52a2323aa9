"""LlamaIndex's own ``SentenceEmbeddingOptimizer`` as a method: the real class, brought to the same budget.

Import this module only where the extra ``bench`` is installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.postprocessor import SentenceEmbeddingOptimizer
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from ctxshrink.types import Call, Candidate, Job

from .encoder import SentenceEncoder

STEPS = 14
"""Halvings of the range of thresholds [-1, 1]: to a cosine of about 0.0001."""


class _Embedding(BaseEmbedding):
    """A `SentenceEncoder` where LlamaIndex expects an embedding model."""

    _encoder: SentenceEncoder = PrivateAttr()
    _known: dict[tuple[str, ...], list[list[float]]] = PrivateAttr(
        default_factory=dict[tuple[str, ...], list[list[float]]]
    )

    def __init__(self, encoder: SentenceEncoder) -> None:
        super().__init__()
        self._encoder = encoder

    def forget(self) -> None:
        self._known.clear()

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        # The search for a threshold asks for the same sentences again and again.
        found = self._known.get(tuple(texts))
        if found is None:
            found = self._known[tuple(texts)] = self._encoder.encode(texts).tolist()
        return found

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embeddings([query])[0]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)


class SentenceOptimizer:
    """``SentenceEmbeddingOptimizer`` with its own defaults (one sentence of context on either side of each hit).

    It has no budget, so its ``threshold_cutoff`` is searched for each call: the lowest similarity at which the texts
    of all chunks together fit. One threshold for all chunks lets good chunks keep more than poor ones;
    ``percentile_cutoff`` would keep something of every chunk and could not meet small budgets at all (below one
    sentence it keeps them all).

    What it does to a chunk is taken as it is, repeated and reordered sentences included, with two favours: a chunk of
    which no sentence passes is left out (the class raises then), and one that would come out longer than it went in
    stays as it was. It works on fresh nodes, because it writes into those that it is given.

    Args:
        encoder: Gives the vectors.

    Attributes:
        name: ``sentence-optimizer``.
    """

    name = "sentence-optimizer"

    def __init__(self, encoder: SentenceEncoder) -> None:
        self._encoder = encoder
        self._model = _Embedding(encoder)

    def compress(self, jobs: Sequence[Job], call: Call, /) -> list[Candidate]:
        """Texts that together have at most the sum of the jobs' `max_tokens`."""
        query = call.query or ""
        bundle = QueryBundle(query, embedding=self._encoder.encode([query])[0].tolist())
        budget = sum(job.max_tokens for job in jobs)
        best = [job.segment.empty for job in jobs]
        fits, over = 1.0, -1.0
        try:
            for _ in range(STEPS):
                threshold = (fits + over) / 2
                texts = self._at(threshold, jobs, bundle, call)
                if sum(call.counter.count(texts)) <= budget:
                    fits, best = threshold, texts
                else:
                    over = threshold
        finally:
            self._model.forget()
        return [Candidate(text) for text in best]

    def _at(self, threshold: float, jobs: Sequence[Job], bundle: QueryBundle, call: Call) -> list[str]:
        """The texts at one threshold."""
        optimizer: Any = SentenceEmbeddingOptimizer(embed_model=self._model, threshold_cutoff=threshold)
        texts = [self._one(optimizer, job, bundle) for job in jobs]
        sizes = call.counter.count(texts)
        originals = [call.tokens[job.segment.id] for job in jobs]
        return [
            job.segment.text if size >= before else text
            for job, text, size, before in zip(jobs, texts, sizes, originals, strict=True)
        ]

    def _one(self, optimizer: Any, job: Job, bundle: QueryBundle) -> str:
        node = NodeWithScore(node=TextNode(text=job.segment.text), score=0.0)
        try:
            [out] = optimizer.postprocess_nodes([node], query_bundle=bundle)
        except ValueError as error:
            if "zero sentences" not in str(error):
                raise
            return job.segment.empty
        return str(out.node.get_content())
