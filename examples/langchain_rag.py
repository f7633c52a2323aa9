"""A LangChain RAG chain whose retrieved documents are shrunk for the question.

python examples/langchain_rag.py
"""

import hashlib

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import FakeListChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_ctxshrink import CtxShrinkCompressor, CtxShrinkRetriever

from ctxshrink import Shrinker

QUESTION = "How often must the smoke detectors be tested?"
PAGES = [
    "The house has four floors and two staircases. Smoke detectors must be tested every 6 months with the grey test "
    "gas. Batteries last ten years. The caretaker keeps a list of all devices in the cellar.",
    "Detectors for water lie behind the washing machines. They are silent and send a message to the caretaker. Flats "
    "without a washing machine have none.",
    "Bicycles belong in the yard. The gate closes at ten in the evening. Prams may stand in the hall when the "
    "staircase stays free. Smoke from barbecues must not reach the windows.",
    "The lift is tested every year by an inspector. While it stands still, deliveries go to the shop on the corner.",
]


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


def join(documents: list[Document]) -> str:
    for document in documents:
        note = document.metadata["ctxshrink"]
        print(f"page {document.metadata['page']}: {note['action']}, {note['reason']}\n    {document.page_content}")
    return "\n\n".join(document.page_content for document in documents)


def main() -> None:
    store = InMemoryVectorStore(WordEmbeddings())
    store.add_documents([Document(page_content=text, metadata={"page": i}) for i, text in enumerate(PAGES, 1)])
    shrinker = Shrinker()
    found = store.as_retriever(search_kwargs={"k": 3})
    retriever = CtxShrinkRetriever(retriever=found, compressor=CtxShrinkCompressor(shrinker=shrinker, keep=0.4))
    prompt = ChatPromptTemplate([("system", "Answer from these pages only:\n{pages}"), ("human", "{question}")])
    model = FakeListChatModel(responses=["Every 6 months, with the grey test gas."])
    chain = {"pages": retriever | join, "question": RunnablePassthrough()} | prompt | model | StrOutputParser()
    print("answer:", chain.invoke(QUESTION))

    texts = [[document.page_content for document in one.invoke(QUESTION)] for one in (found, retriever)]
    before, after = (sum(shrinker.counter.count(some)) for some in texts)
    print(f"retrieved: {before} -> {after} tokens")


if __name__ == "__main__":
    main()
