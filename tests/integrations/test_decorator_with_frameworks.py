"""`@shrink_prompt` on the frameworks' own documents, nodes and messages."""

from typing import Any

import pytest

from ctxshrink import shrink_prompt
from tests.integrations.material import ANSWER, PLAIN, QUESTION, TEXTS


@shrink_prompt(context="given", query="question", keep=0.3, shrinker=PLAIN)
def identity(question: str, given: Any) -> Any:
    return given


def test_langchain_documents() -> None:
    documents = pytest.importorskip("langchain_core.documents")
    given = [documents.Document(page_content=t, id=str(i), metadata={"page": i}) for i, t in enumerate(TEXTS)]
    out = identity(QUESTION, given)
    assert ANSWER in out[0].page_content
    assert len(out) < 3
    assert all(new.metadata == given[int(new.id)].metadata for new in out)
    assert [doc.page_content for doc in given] == TEXTS


def test_langchain_messages() -> None:
    pytest.importorskip("langchain_core")
    import langchain_ctxshrink  # noqa: F401  makes the format known
    from langchain_core.messages import AIMessage, HumanMessage

    given = [HumanMessage(" ".join(TEXTS), id="a"), *[AIMessage("Yes."), HumanMessage("And?")] * 3]
    out = identity(QUESTION, given)
    assert out[1:] == given[1:]
    assert out[0].id == "a"
    assert ANSWER in out[0].content
    assert len(out[0].content) < len(given[0].content)


def test_llama_index_nodes() -> None:
    schema = pytest.importorskip("llama_index.core.schema")
    for make in (
        lambda text: schema.TextNode(text=text),
        lambda text: schema.Document(text=text),
        lambda text: schema.NodeWithScore(node=schema.TextNode(text=text), score=0.5),
        lambda text: schema.NodeWithScore(node=schema.Document(text=text), score=0.5),
    ):
        given = [make(text) for text in TEXTS]
        out = identity(QUESTION, given)
        assert type(out[0]) is type(given[0])
        assert out[0].node_id == given[0].node_id
        assert ANSWER in out[0].get_content()
        assert len(out) < 3
        assert [node.get_content() for node in given] == TEXTS
