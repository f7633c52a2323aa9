"""A corpus that is distilled once, offline, and served by a LangChain retriever.

python examples/distilled_corpus.py
"""

import hashlib
import tempfile
from pathlib import Path

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_ctxshrink import CtxShrinkCompressor, CtxShrinkRetriever

from ctxshrink import Shrinker
from ctxshrink.compressors.distilled import DistillCompressor
from ctxshrink.distill.extractive import ExtractiveDistiller
from ctxshrink.pipeline import from_langchain, run
from ctxshrink.store import Store

QUESTIONS = ["What does the permit for boats longer than 12 m cost?", "What do children wave at?"]
PAGES = [
    "The crane at quay 3 lifts at most 40 tonnes. It was painted yellow by the harbour's own painters in the spring. "
    "It must not be used in wind above 17 m/s. The terrace offers a fine view of it on sunny days. "
    "Visitors like to take photographs there, and children wave at the ships. Nobody is paid for that.",
    "The office opens at eight and closes at four. Letters are answered within a week. The bell is loud and old. "
    "On Fridays the office closes at two. Parcels are kept in the cellar. The cat of the caretaker sleeps there.",
    "Boats longer than 12 m need a permit. The permit costs 30 euros and is sold at the gate. The harbour was founded "
    "in 1931. Its first director kept a diary. The diary is lost. A small museum shows her desk.",
]
DOCUMENTS = [Document(page_content=text, metadata={"source": f"page {i}"}) for i, text in enumerate(PAGES, 1)]


class WordEmbeddings(Embeddings):
    """Counts words into 64 buckets: a stand-in for a real embedding model that needs no download."""

    def embed_query(self, text: str) -> list[float]:
        """One text."""
        vector = [0.01] * 64
        for word in text.lower().replace(".", " ").replace("?", " ").split():
            vector[hashlib.sha256(word[:6].encode()).digest()[0] % 64] += 1
        return vector

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Several texts."""
        return [self.embed_query(text) for text in texts]


def offline(url: str) -> None:
    """At night: distil what is new. `FactsDistiller` does it with a language model."""
    for _ in range(2):
        with Store(url) as store:
            figures = run(from_langchain(DOCUMENTS), ExtractiveDistiller(0.6), store).figures
        print(f"distilled {figures.distilled}, unchanged {figures.unchanged}: ", end="")
        print(f"{figures.tokens_before} -> {figures.tokens_after} tokens")


def online(url: str) -> None:
    """At each question: the stored versions, where the guardrail accepts them for it; else the pruner's."""
    index = InMemoryVectorStore(WordEmbeddings())
    index.add_documents(DOCUMENTS)  # found by their full text
    with Store(url) as store:
        served = DistillCompressor(ExtractiveDistiller(0.6), store)
        shrinker = Shrinker(compressors=[served, "pruner", "extractive"])
        compressor = CtxShrinkCompressor(shrinker=shrinker, keep=0.7)
        retriever = CtxShrinkRetriever(retriever=index.as_retriever(), compressor=compressor)
        for question in QUESTIONS:
            print(question)
            for document in retriever.invoke(question):
                note = document.metadata["ctxshrink"]
                print(f"  {document.metadata['source']}: {note['reason']}\n    {document.page_content}")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'corpus.db'}"
        offline(url)
        online(url)


if __name__ == "__main__":
    main()
