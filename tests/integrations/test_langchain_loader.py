"""Distilled documents in a LangChain index, and distilled versions behind a retriever."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("langchain_core")

from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.indexing import InMemoryRecordManager, aindex, index
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_ctxshrink import CtxShrinkCompressor, CtxShrinkLoader, CtxShrinkRetriever, expand_tool

from ctxshrink import Shrinker
from ctxshrink.compressors.distilled import DistillCompressor
from ctxshrink.distill import content_hash, recipe_key
from ctxshrink.errors import ConfigError, StoreError
from ctxshrink.pipeline import from_langchain, run
from ctxshrink.store import Store, reference
from tests.integrations.material import ANSWER, QUESTION, TEXTS
from tests.pipeline.doubles import FirstHalf


def documents() -> list[Document]:
    return [
        Document(page_content=text, metadata={"source": f"page-{i}", "title": f"Page {i}"}, id=str(i))
        for i, text in enumerate(TEXTS)
    ]


class Shelf(BaseLoader):
    """Loads what it is given, and counts."""

    def __init__(self, found: list[Document]) -> None:
        self.found, self.loaded = found, 0

    def lazy_load(self) -> Iterator[Document]:
        for document in self.found:
            self.loaded += 1
            yield document


def test_documents_keep_all_but_their_text() -> None:
    store, distiller, given = Store.memory(), FirstHalf(), documents()
    out = list(CtxShrinkLoader(Shelf(given), distiller, store).lazy_load())
    assert given == documents()
    assert [d.id for d in out] == ["0", "1", "2"]
    for text, document, before in zip(TEXTS, out, given, strict=True):
        note = json.loads(document.metadata["ctxshrink"])
        assert note["action"] == "compressed"
        assert note["method"] == "first-half"
        assert note["tokens_after"] < note["tokens_before"]
        assert (note["source"], note["recipe"]) == (content_hash(text), recipe_key(distiller.recipe))
        assert store.load(document.metadata["ctxshrink_original"]) == text
        added = {"ctxshrink", "ctxshrink_original"}
        assert {k: v for k, v in document.metadata.items() if k not in added} == before.metadata
        assert all(isinstance(document.metadata[key], str) for key in added)
        assert text.startswith(document.page_content)
        assert len(document.page_content) < len(text)


def test_the_originals_can_be_expanded() -> None:
    store = Store.memory()
    [document, *_] = CtxShrinkLoader(documents(), FirstHalf(), store).lazy_load()
    assert TEXTS[0] in expand_tool(store).invoke({"id": document.metadata["ctxshrink_original"]})


def test_what_cannot_be_distilled_comes_as_it_was_and_says_why() -> None:
    given = [*documents(), Document(page_content="", metadata={"source": "empty"}), Document(page_content="One.")]
    out = CtxShrinkLoader(given, FirstHalf(poison="wipers"), Store.memory(), batch=2).load()
    assert [d.page_content for d in out[1::2]] == [TEXTS[1], ""]
    notes = [json.loads(d.metadata["ctxshrink"]) for d in out]
    assert notes[1] == {"action": "kept", "reason": "first-half failed: RuntimeError: this text cannot be distilled"}
    assert notes[3] == {"action": "kept", "reason": "empty"}
    assert "ctxshrink_original" not in out[3].metadata
    assert notes[4]["action"] == "kept"
    assert notes[4]["tokens_after"] == notes[4]["tokens_before"]


def test_documents_are_loaded_a_batch_at_a_time() -> None:
    shelf, distiller = Shelf(documents() * 3), FirstHalf()
    loading = CtxShrinkLoader(shelf, distiller, Store.memory(), batch=2).lazy_load()
    next(loading)
    assert shelf.loaded == 2
    assert [len(asked) for asked in distiller.asked] == [2]


def test_the_rows_are_those_of_the_pipeline() -> None:
    store, distiller = Store.memory(), FirstHalf()
    list(CtxShrinkLoader(documents(), distiller, store).lazy_load())
    report = run(from_langchain(documents()), distiller, store)
    assert report.figures.unchanged == 3
    [row, *_] = store.get([content_hash(TEXTS[0])], recipe_key(distiller.recipe)).values()
    assert row.uri == "page-0"


def test_an_index_is_incremental(tmp_path: Path) -> None:
    store, distiller = Store(f"sqlite:///{tmp_path}/corpus.db"), FirstHalf()
    records, vectors = InMemoryRecordManager("corpus"), InMemoryVectorStore(DeterministicFakeEmbedding(size=16))
    records.create_schema()

    def indexed(found: list[Document]) -> dict[str, int]:
        loader = CtxShrinkLoader(Shelf(found), distiller, store)
        settings: Any = {"cleanup": "incremental", "source_id_key": "source", "key_encoder": "sha256"}
        return dict(index(loader, records, vectors, **settings))

    assert indexed(documents()) == {"num_added": 3, "num_updated": 0, "num_skipped": 0, "num_deleted": 0}
    assert len(distiller.asked) == 1
    assert indexed(documents()) == {"num_added": 0, "num_updated": 0, "num_skipped": 3, "num_deleted": 0}
    assert len(distiller.asked) == 1
    changed = documents()
    changed[1].page_content = "The wipers are new. They were changed in May. They are quiet. They wipe well."
    assert indexed(changed) == {"num_added": 1, "num_updated": 0, "num_skipped": 2, "num_deleted": 1}
    assert distiller.asked[1:] == [[changed[1].page_content]]
    found = vectors.similarity_search("wipers", k=5)
    assert {d.metadata["source"] for d in found} == {"page-0", "page-1", "page-2"}
    assert {d.metadata["ctxshrink_original"] for d in found} == {reference(d.page_content) for d in changed}


async def test_async_indexing_distils_off_the_event_loop() -> None:
    class Watched(FirstHalf):
        def distill(self, sources: Any, /) -> Any:
            assert threading.current_thread() is not threading.main_thread()
            return super().distill(sources)

    records, vectors = InMemoryRecordManager("corpus"), InMemoryVectorStore(DeterministicFakeEmbedding(size=16))
    loader = CtxShrinkLoader(documents(), Watched(), Store.memory())
    done = await aindex(loader, records, vectors, cleanup=None, key_encoder="sha256")
    assert done["num_added"] == 3
    assert all('"compressed"' in d.metadata["ctxshrink"] for d in vectors.similarity_search("a", k=5))


def test_errors_are_the_callers() -> None:
    def broken() -> Iterator[Document]:
        yield documents()[0]
        raise ConnectionError("the wiki is down")

    with pytest.raises(ConnectionError, match="wiki"):
        CtxShrinkLoader(broken(), FirstHalf(), Store.memory()).load()
    store = Store.memory()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        CtxShrinkLoader(documents(), FirstHalf(), store).load()
    with pytest.raises(ConfigError, match="batch must be 1 or more"):
        CtxShrinkLoader(documents(), FirstHalf(), batch=0)


async def test_a_retriever_serves_stored_versions(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/corpus.db")
    run(from_langchain(documents()), FirstHalf(), store)
    vectors = InMemoryVectorStore(DeterministicFakeEmbedding(size=16))
    vectors.add_documents(documents())
    online = FirstHalf()
    shrinker = Shrinker(compressors=[DistillCompressor(online, store), "pruner", "extractive"], guardrail=None)
    retriever = CtxShrinkRetriever(
        retriever=vectors.as_retriever(search_kwargs={"k": 3}),
        compressor=CtxShrinkCompressor(shrinker=shrinker, keep=0.7, drop_empty=False),
    )
    found = retriever.invoke(QUESTION)
    assert await retriever.ainvoke(QUESTION) == found
    assert online.asked == []
    assert ANSWER in " ".join(d.page_content for d in found)
    stored = {made.distillate.text for made in store.derived()}
    served = [d for d in found if d.page_content in stored]
    assert served
    assert all(d.metadata["ctxshrink"]["reason"].startswith("distill at keep") for d in served)
    assert {d.metadata["source"] for d in found} == {"page-0", "page-1", "page-2"}


def test_a_retriever_over_a_distilled_index_keeps_the_originals_id() -> None:
    store, vectors = Store.memory(), InMemoryVectorStore(DeterministicFakeEmbedding(size=16))
    vectors.add_documents(list(CtxShrinkLoader(documents(), FirstHalf(), store).lazy_load()))
    compressor = CtxShrinkCompressor(shrinker=Shrinker(guardrail=None), keep=0.5)
    retriever = CtxShrinkRetriever(retriever=vectors.as_retriever(search_kwargs={"k": 3}), compressor=compressor)
    found = retriever.invoke(QUESTION)
    assert found
    for document in found:
        original = store.load(document.metadata["ctxshrink_original"])
        assert original == TEXTS[int(document.metadata["source"].removeprefix("page-"))]
        assert document.metadata["ctxshrink"]["action"] in ("compressed", "kept")
