"""A loader of distilled documents, for indexing."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document

from ctxshrink.distill.types import Distiller
from ctxshrink.errors import ConfigError
from ctxshrink.pipeline.adapters import from_langchain
from ctxshrink.pipeline.batch import DerivedStore
from ctxshrink.pipeline.versions import versions


class CtxShrinkLoader(BaseLoader):
    """Loads another loader's documents with their distilled text, for ``langchain_core.indexing.index``.

    Documents keep their order, ids and metadata; what cannot be distilled keeps its text too. Two metadata keys are
    added: ``ctxshrink`` says as JSON what was made of the text (``action, reason, method, tokens_before, tokens_after,
    source, recipe``), and ``ctxshrink_original`` is the id of the full text in the store, for the expand tool. Both are
    the same in every run: a second ``index`` of unchanged documents distils nothing and adds nothing.

    A long document is split before it is distilled, or its version afterwards, by the caller::

        chunks = (chunk for doc in loader.lazy_load() for chunk in splitter.split_documents([doc]))
        distilled = CtxShrinkLoader(chunks, ExtractiveDistiller(0.5), Store(url))
        index(distilled, records, vectors, cleanup="incremental", source_id_key="source")

    Args:
        documents: A loader, or documents. An iterator can be loaded once.
        distiller: Makes the distilled texts.
        store: Keeps them, and the originals: a `ctxshrink.store.Store` for one. None distils anew in every run. Loading
            raises `StoreError` when it fails.
        batch: Documents that are distilled and stored at a time.

    Raises:
        ConfigError: ``batch`` is not positive.
    """

    def __init__(
        self,
        documents: BaseLoader | Iterable[Document],
        distiller: Distiller,
        store: DerivedStore | None = None,
        *,
        batch: int = 32,
    ) -> None:
        if batch < 1:
            raise ConfigError(f"batch must be 1 or more documents; got {batch!r}")
        self.documents = documents
        self.distiller = distiller
        self.store = store
        self.batch = batch

    def lazy_load(self) -> Iterator[Document]:
        """The documents, a batch at a time. The async twin loads in a worker thread."""
        loaded = self.documents.lazy_load() if isinstance(self.documents, BaseLoader) else self.documents
        documents, read = itertools.tee(loaded)
        made = versions(from_langchain(read), self.distiller, self.store, batch=self.batch)
        for document, version in zip(documents, made, strict=True):
            text = document.page_content if version.text is None else version.text
            metadata = {**document.metadata, **version.metadata}
            yield document.model_copy(update={"page_content": text, "metadata": metadata})
