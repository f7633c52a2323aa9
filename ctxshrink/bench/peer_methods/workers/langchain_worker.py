# pyright: standard, reportMissingImports=false, reportAttributeAccessIssue=false
# The packages are those of another environment.
"""LangChain: ``trim_messages``, ``ClearToolUsesEdit`` and ``EmbeddingsFilter``."""

from __future__ import annotations

from typing import Any


def load(method: str, options: dict[str, Any], host: Any) -> Any:
    """See ``host.py``."""
    return {"trim-messages": _trim, "clear-tool-uses": _clear, "embeddings-filter": _filter}[method](host)


def _converted(messages: list[dict[str, Any]]) -> list[Any]:
    from langchain_core.messages import convert_to_messages

    made = convert_to_messages(messages)
    for index, message in enumerate(made):
        message.id = str(index)
    return made


def _trim(host: Any) -> Any:
    from langchain_core.messages import trim_messages
    from langchain_core.messages.utils import count_tokens_approximately

    def work(request: dict[str, Any]) -> dict[str, Any]:
        messages = _converted(request["messages"])
        budget = int(request["level"] * count_tokens_approximately(messages))
        with host.clock:
            left = trim_messages(
                messages,
                strategy="last",
                token_counter=count_tokens_approximately,
                max_tokens=budget,
                start_on="human",
                include_system=True,
                allow_partial=False,
            )
        kept = {m.id for m in left}
        made = [m for i, m in enumerate(request["messages"]) if str(i) in kept]
        return {"messages": made, "setting": f"max_tokens={budget}"}

    return work


def _clear(host: Any) -> Any:
    from langchain.agents.middleware import ClearToolUsesEdit
    from langchain_core.messages.utils import count_tokens_approximately

    def work(request: dict[str, Any]) -> dict[str, Any]:
        before = _converted(request["messages"])
        after = list(before)
        keep = round(request["level"] * sum(m.type == "tool" for m in before))
        with host.clock:
            ClearToolUsesEdit(trigger=1, keep=keep).apply(after, count_tokens=count_tokens_approximately)
        pairs = zip(request["messages"], before, after)  # noqa: B905  older interpreters have no strict=
        made = [m if new is old else dict(m, content=new.content) for m, old, new in pairs]
        return {"messages": made, "setting": f"keep={keep}"}

    return work


def _filter(host: Any) -> Any:
    from langchain_classic.retrievers.document_compressors import EmbeddingsFilter
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings

    class Vectors(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return host.vectors(texts)

        def embed_query(self, text: str) -> list[float]:
            return host.vectors([text])[0]

    def work(request: dict[str, Any]) -> dict[str, Any]:
        documents = [Document(page_content=text) for text in request["texts"]]
        most = round(request["level"] * len(documents))
        with host.clock:
            left = EmbeddingsFilter(embeddings=Vectors(), k=most).compress_documents(documents, request["query"])
        return {"texts": [d.page_content for d in left], "setting": f"k={most}"}

    return work
