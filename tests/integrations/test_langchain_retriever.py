"""`CtxShrinkRetriever`: LangChain's own suite, and what it adds to the retriever it wraps."""

from typing import Any

import pytest

pytest.importorskip("langchain_tests")

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    BaseCallbackHandler,
    CallbackManagerForRetrieverRun,
)
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_ctxshrink import CtxShrinkCompressor, CtxShrinkRetriever
from langchain_tests.integration_tests import RetrieversIntegrationTests
from pydantic import Field

from ctxshrink.errors import ConfigError
from tests.integrations.material import ANSWER, PLAIN, QUESTION, TEXTS


class _Shelf(BaseRetriever):
    """Returns all it holds; counts its async calls."""

    documents: list[Document] = Field(default_factory=lambda: [Document(page_content=text) for text in TEXTS])
    async_calls: int = 0

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, copies: int = 1
    ) -> list[Document]:
        return self.documents * copies

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, copies: int = 1
    ) -> list[Document]:
        self.async_calls += 1
        return self.documents * copies


class TestStandard(RetrieversIntegrationTests):
    @property
    def retriever_constructor(self) -> type[CtxShrinkRetriever]:
        return CtxShrinkRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        compressor = CtxShrinkCompressor(shrinker=PLAIN, keep=0.5, drop_empty=False)
        return {"retriever": _Shelf(), "compressor": compressor, "k": 2}

    @property
    def retriever_query_example(self) -> str:
        return QUESTION


def _retriever(**settings: Any) -> CtxShrinkRetriever:
    return CtxShrinkRetriever(compressor=CtxShrinkCompressor(shrinker=PLAIN, keep=0.3), **settings)


async def test_shrinks_what_the_wrapped_retriever_finds() -> None:
    shelf = _Shelf()
    retriever = _retriever(retriever=shelf)
    out = retriever.invoke(QUESTION)
    assert ANSWER in out[0].page_content
    assert len("".join(d.page_content for d in out)) < len("".join(TEXTS))
    assert [d.page_content for d in shelf.documents] == TEXTS
    assert shelf.async_calls == 0
    assert await retriever.ainvoke(QUESTION) == out
    assert shelf.async_calls == 1


def test_wraps_any_runnable_and_finds_nothing_gracefully() -> None:
    retriever = _retriever(retriever=RunnableLambda(lambda query: [Document(page_content=t) for t in TEXTS]))
    assert ANSWER in retriever.invoke(QUESTION)[0].page_content
    assert _retriever(retriever=RunnableLambda(lambda query: [])).invoke(QUESTION) == []


def test_further_arguments_go_to_the_wrapped_retriever() -> None:
    compressor = CtxShrinkCompressor(shrinker=PLAIN, keep=1.0)
    retriever = CtxShrinkRetriever(retriever=_Shelf(), compressor=compressor)
    assert len(retriever.invoke(QUESTION, copies=2)) == 6
    assert len(retriever.invoke(QUESTION, copies=2, k=4)) == 4


async def test_callbacks_see_the_wrapped_retriever_as_a_child() -> None:
    class Recorder(BaseCallbackHandler):
        def __init__(self) -> None:
            self.runs: dict[Any, Any] = {}

        def on_retriever_start(
            self, serialized: Any, query: str, *, run_id: Any, parent_run_id: Any = None, **_: Any
        ) -> Any:
            self.runs[run_id] = parent_run_id

    sync, asynchronous = Recorder(), Recorder()
    _retriever(retriever=_Shelf()).invoke(QUESTION, config={"callbacks": [sync]})
    await _retriever(retriever=_Shelf()).ainvoke(QUESTION, config={"callbacks": [asynchronous]})
    for recorder in (sync, asynchronous):
        outer, inner = recorder.runs
        assert recorder.runs == {outer: None, inner: outer}


def test_errors_of_the_wrapped_retriever_are_the_callers() -> None:
    def broken(query: str) -> list[Document]:
        raise ConnectionError("index is down")

    with pytest.raises(ConnectionError, match="index is down"):
        _retriever(retriever=RunnableLambda(broken)).invoke(QUESTION)


def test_a_wrong_k_is_refused() -> None:
    with pytest.raises(ValueError, match="k must be 1 or more"):
        _retriever(retriever=_Shelf(), k=0)
    with pytest.raises(ConfigError, match="k must be 1 or more"):
        _retriever(retriever=_Shelf()).invoke(QUESTION, k=-1)
