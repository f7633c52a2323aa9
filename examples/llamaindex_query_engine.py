"""A LlamaIndex query engine whose retrieved nodes are shrunk for the question.

python examples/llamaindex_query_engine.py
"""

import hashlib

from llama_index.core import VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms import MockLLM
from llama_index.core.schema import MetadataMode, TextNode
from llama_index_ctxshrink import CtxShrinkPostprocessor

from ctxshrink import Shrinker

QUESTION = "What is the largest order we deliver on the same day?"
PAGES = [
    "Orders are packed from six in the morning. The largest order that we deliver on the same day is 35 boxes. Bigger "
    "orders go out the next morning. Boxes are made of grey cardboard and are taken back.",
    "Our orders are paid by invoice. The invoice comes by mail at the end of the month. Whoever pays late gets a "
    "friendly letter first. Cash is not accepted at the gate.",
    "The day starts with a short meeting. Everybody says one sentence. The largest room is used for it. On Fridays "
    "there is cake from the bakery next door.",
]


class WordEmbedding(BaseEmbedding):
    """Counts words into 64 buckets: a stand-in for a real embedding model that needs no download."""

    def _get_text_embedding(self, text: str) -> list[float]:
        vector = [0.01] * 64
        for word in text.lower().replace(".", " ").replace("?", " ").split():
            vector[hashlib.sha256(word[:6].encode()).digest()[0] % 64] += 1
        return vector

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


def main() -> None:
    shrinker = Shrinker()
    nodes = [TextNode(text=text, id_=f"page-{i}", metadata={"page": i}) for i, text in enumerate(PAGES, 1)]
    index = VectorStoreIndex(nodes=nodes, embed_model=WordEmbedding())
    engine = index.as_query_engine(
        llm=MockLLM(),  # answers with its own prompt
        similarity_top_k=3,
        node_postprocessors=[CtxShrinkPostprocessor(shrinker=shrinker, keep=0.4)],
    )
    answer = engine.query(QUESTION)
    plain = index.as_query_engine(llm=MockLLM(), similarity_top_k=3).query(QUESTION)
    for node in answer.source_nodes:
        note = node.metadata["ctxshrink"]
        print(f"{node.node_id} (score {node.score:.2f}): {note['tokens_before']} -> {note['tokens_after']} tokens")
        print(f"    {note['reason']}\n    {node.get_content(MetadataMode.NONE)}")
    before, after = shrinker.counter.count([str(plain), str(answer)])
    print(f"whole prompt: {before} -> {after} tokens")


if __name__ == "__main__":
    main()
