"""A retriever that shrinks what another retriever finds."""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.retrievers import BaseRetriever, RetrieverLike
from pydantic import Field

from ctxshrink.errors import ConfigError

from .documents import CtxShrinkCompressor


class CtxShrinkRetriever(BaseRetriever):
    """Asks a retriever, then shrinks its documents for the query.

    Further keyword arguments of ``invoke`` go to the wrapped retriever.

    Attributes:
        retriever: Any retriever, or a Runnable from a query to documents.
        compressor: Shrinks the documents.
        k: Most documents to take from the wrapped retriever, before shrinking; None takes all. ``invoke(query, k=…)``
            overrides it.
    """

    retriever: RetrieverLike
    compressor: BaseDocumentCompressor = Field(default_factory=CtxShrinkCompressor)
    k: int | None = None

    def model_post_init(self, context: Any, /) -> None:
        """Check ``k`` now and not at the first call."""
        _checked(self.k)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, k: int | None = None, **kwargs: Any
    ) -> list[Document]:
        callbacks = run_manager.get_child()
        found = self.retriever.invoke(query, config={"callbacks": callbacks}, **kwargs)
        return list(self.compressor.compress_documents(found[: self._most(k)], query, callbacks=callbacks))

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, k: int | None = None, **kwargs: Any
    ) -> list[Document]:
        callbacks = run_manager.get_child()
        found = await self.retriever.ainvoke(query, config={"callbacks": callbacks}, **kwargs)
        return list(await self.compressor.acompress_documents(found[: self._most(k)], query, callbacks=callbacks))

    def _most(self, k: int | None) -> int | None:
        return self.k if k is None else _checked(k)


def _checked(k: int | None) -> int | None:
    if k is not None and k < 1:
        raise ConfigError(f"k must be 1 or more documents, or None for all; got {k!r}")
    return k
