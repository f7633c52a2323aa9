# pyright: standard, reportMissingImports=false, reportAttributeAccessIssue=false
# The packages are those of another environment.
"""LlamaIndex: ``SentenceEmbeddingOptimizer`` with its own defaults (a sentence of context on either side of a hit)."""

from __future__ import annotations

from typing import Any


def load(method: str, options: dict[str, Any], host: Any) -> Any:
    """See ``host.py``."""
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.postprocessor import SentenceEmbeddingOptimizer
    from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

    class Vectors(BaseEmbedding):
        def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
            return host.vectors(texts)

        def _get_text_embedding(self, text: str) -> list[float]:
            return host.vectors([text])[0]

        def _get_query_embedding(self, query: str) -> list[float]:
            return host.vectors([query])[0]

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return self._get_query_embedding(query)

    model = Vectors()

    def one(optimizer: Any, text: str, bundle: Any) -> str:
        # A fresh node: it writes into those that it is given.
        node = NodeWithScore(node=TextNode(text=text), score=0.0)
        try:
            [made] = optimizer.postprocess_nodes([node], query_bundle=bundle)
        except ValueError as error:
            if "zero sentences" not in str(error):
                raise
            return ""
        out = made.node.get_content()
        return text if len(out) > len(text) else out

    def work(request: dict[str, Any]) -> dict[str, Any]:
        threshold = 1 - 2 * request["level"]
        with host.clock:
            bundle = QueryBundle(request["query"], embedding=host.vectors([request["query"]])[0])
            optimizer = SentenceEmbeddingOptimizer(embed_model=model, threshold_cutoff=threshold)
            texts = [one(optimizer, text, bundle) for text in request["texts"]]
        return {"texts": texts, "setting": f"threshold_cutoff={threshold:.4g}"}

    return work
