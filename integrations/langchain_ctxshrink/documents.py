"""Retrieved documents: a compressor and a transformer in one class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, BaseDocumentTransformer, Document
from pydantic import ConfigDict, Field

from ctxshrink.result import ShrinkResult
from ctxshrink.seats import METADATA_KEY, check_goal, emptied, figures
from ctxshrink.shrinker import Shrinker
from ctxshrink.types import OnReject


class CtxShrinkCompressor(BaseDocumentCompressor, BaseDocumentTransformer):
    """Shrinks documents together: what answers the query stays, whichever document it is in.

    Documents keep their order, ids and metadata; the metadata key ``ctxshrink`` says what happened to each
    (``action, reason, tokens_before, tokens_after, score``). The given documents are not changed. A metadata
    ``title`` helps ranking.

    Attributes:
        shrinker: Does the work.
        keep: Share of the tokens to keep, in (0, 1].
        max_tokens: Most tokens of all documents together; give this or ``keep``, or leave it to the shrinker's policy.
        drop_empty: Leave out documents that came out empty.
        pin: Documents that must stay exact.
        on_reject: See `ctxshrink.Shrinker.shrink_text`.
        strict: See `ctxshrink.Shrinker.shrink_text`.

    Raises:
        pydantic.ValidationError: A setting is wrong; names it. It is a ValueError.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    shrinker: Shrinker = Field(default_factory=Shrinker)
    keep: float | None = None
    max_tokens: int | None = None
    drop_empty: bool = True
    pin: Callable[[Document], bool] | None = None
    on_reject: OnReject | None = None
    strict: bool = False

    def model_post_init(self, context: Any, /) -> None:
        """Check the goal now and not at the first call."""
        check_goal(self.keep, self.max_tokens)

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """Shrink documents for a question.

        Args:
            documents: What a retriever returned.
            query: The question.
            callbacks: Not used; part of LangChain's interface.
        """
        result = self.shrinker.shrink_documents(self._plain(documents), query, **self._settings(documents))
        return self._rebuild(documents, result)

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """The async twin of `compress_documents`."""
        result = await self.shrinker.ashrink_documents(self._plain(documents), query, **self._settings(documents))
        return self._rebuild(documents, result)

    def transform_documents(self, documents: Sequence[Document], **kwargs: Any) -> list[Document]:
        """Shrink documents without a question, by what they say.

        Args:
            documents: Any documents.
            kwargs: Not used; part of LangChain's interface.
        """
        result = self.shrinker.shrink_documents(self._plain(documents), **self._settings(documents))
        return self._rebuild(documents, result)

    async def atransform_documents(self, documents: Sequence[Document], **kwargs: Any) -> list[Document]:
        """The async twin of `transform_documents`."""
        result = await self.shrinker.ashrink_documents(self._plain(documents), **self._settings(documents))
        return self._rebuild(documents, result)

    def _plain(self, documents: Sequence[Document]) -> list[dict[str, Any]]:
        return [{"text": doc.page_content, "title": doc.metadata.get("title")} for doc in documents]

    def _settings(self, documents: Sequence[Document]) -> dict[str, Any]:
        pinned = None if self.pin is None else [i for i, doc in enumerate(documents) if self.pin(doc)]
        return {
            "keep": self.keep,
            "max_tokens": self.max_tokens,
            "pin": pinned,
            "on_reject": self.on_reject,
            "strict": self.strict,
        }

    def _rebuild(self, documents: Sequence[Document], result: ShrinkResult[list[Any]]) -> list[Document]:
        drop = self.drop_empty and result.mode == "apply"
        return [
            doc.model_copy(
                update={"page_content": out["text"], "metadata": {**doc.metadata, METADATA_KEY: figures(decision)}}
            )
            for doc, out, decision in zip(documents, result.output, result.decisions, strict=True)
            if not (drop and emptied(decision))
        ]
