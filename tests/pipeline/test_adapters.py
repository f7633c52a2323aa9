from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ctxshrink.distill import Source
from ctxshrink.errors import FormatError
from ctxshrink.pipeline import Skipped, from_langchain, from_llama_index


def test_langchain_documents() -> None:
    documents = pytest.importorskip("langchain_core.documents")
    given = [
        documents.Document("one", metadata={"source": "a.txt", "title": "A"}),
        documents.Document("two", metadata={"source": "b.pdf", "page": 0, "title": 5}),
        documents.Document("three", id="x7"),
        documents.Document("four"),
        documents.Document(" ", metadata={"source": "c.txt"}),
    ]
    assert list(from_langchain(given)) == [
        Source("one", title="A", uri="a.txt"),
        Source("two", uri="b.pdf#page=1"),
        Source("three", uri="x7"),
        Source("four", uri="document 4"),
        Skipped("c.txt", "empty"),
    ]


@pytest.mark.parametrize("method", ["lazy_load", "load"])
def test_a_langchain_loader_is_read_lazily_where_it_can(method: str) -> None:
    loaders = pytest.importorskip("langchain_core.document_loaders")
    documents = pytest.importorskip("langchain_core.documents")
    loaded: list[int] = []

    def lazily(self) -> Iterator[object]:
        for i in range(3):
            loaded.append(i)
            yield documents.Document(f"text {i}", metadata={"source": str(i)})

    body = {"lazy_load": lazily} if method == "lazy_load" else {"load": lambda self: list(lazily(self))}
    loader = type("Loader", (loaders.BaseLoader,), body)()
    sources = from_langchain(loader)
    assert next(sources) == Source("text 0", uri="0")
    assert len(loaded) == (1 if method == "lazy_load" else 3)
    assert len(list(sources)) == 2


def test_llama_index_documents_and_nodes() -> None:
    schema = pytest.importorskip("llama_index.core.schema")
    node = schema.TextNode(text="two", id_="n2", metadata={"file_path": "b.pdf", "page_label": "iv"})
    child = schema.TextNode(text="child", id_="n3")
    child.relationships[schema.NodeRelationship.SOURCE] = schema.RelatedNodeInfo(node_id="parent")
    given = [
        schema.Document(text="one", id_="d1", metadata={"title": "A"}),
        node,
        schema.NodeWithScore(node=child, score=0.5),
        schema.ImageNode(id_="image"),
    ]
    assert list(from_llama_index(given)) == [
        Source("one", title="A", uri="d1"),
        Source("two", uri="b.pdf#page=iv"),
        Source("child", uri="parent"),
        Skipped("image", "empty"),
    ]


def test_a_llama_index_reader(tmp_path: Path) -> None:
    core = pytest.importorskip("llama_index.core")
    base = pytest.importorskip("llama_index.core.readers.base")
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(f"text of {name}")
    found = list(from_llama_index(core.SimpleDirectoryReader(str(tmp_path))))
    assert [item.text for item in found if isinstance(item, Source)] == ["text of a.txt", "text of b.txt"]
    assert {item.uri for item in found} == {str(tmp_path / "a.txt"), str(tmp_path / "b.txt")}

    class Reader(base.BaseReader):
        def load_data(self):
            return [core.Document(text="loaded", id_="x")]

    assert list(from_llama_index(Reader())) == [Source("loaded", uri="x")]


@pytest.mark.parametrize("read", [from_langchain, from_llama_index])
@pytest.mark.parametrize("wrong", [5, "text", None, {"text": "a"}])
def test_what_is_neither_is_refused(read, wrong: object) -> None:
    with pytest.raises(FormatError, match="expected a "):
        read(wrong)


@pytest.mark.parametrize("read", [from_langchain, from_llama_index])
def test_what_is_no_document_is_skipped(read) -> None:
    assert list(read([5])) == [Skipped("document 1", "no text in it", "a int")]
