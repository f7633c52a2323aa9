"""Documents of LangChain and LlamaIndex as sources, recognised by shape; neither framework is imported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, cast

from ctxshrink.distill.types import Source
from ctxshrink.errors import FormatError

from ._records import first
from ._skips import EMPTY, NO_TEXT, Skipped

_ADDRESSES: Final = ("source", "url", "file_path", "file_name")
"""Keys under which loaders and readers name the origin of a document, in order."""


def from_langchain(documents: Any) -> Iterator[Source | Skipped]:
    """Documents of a LangChain loader (lazily), or any iterable of Documents.

    Args:
        documents: A ``BaseLoader``, or Documents.

    Raises:
        FormatError: It is neither.
    """
    items = _lazily(documents, ("lazy_load", "load"), "a LangChain loader or an iterable of its Documents")
    return _each(items, _langchain)


def from_llama_index(documents: Any) -> Iterator[Source | Skipped]:
    """Documents of a LlamaIndex reader (lazily where it can), or any iterable of Documents or nodes.

    Args:
        documents: A ``BaseReader`` whose ``load_data`` needs no arguments, or Documents, nodes or nodes with scores.

    Raises:
        FormatError: It is neither.
    """
    names = ("iter_data", "lazy_load_data", "load_data")
    items = _lazily(documents, names, "a LlamaIndex reader or an iterable of its Documents or nodes")
    return _each(items, _llama_index)


def _lazily(documents: Any, methods: tuple[str, ...], wanted: str) -> Iterable[Any]:
    for name in methods:
        load: Any = getattr(documents, name, None)
        if callable(load):
            try:
                return cast("Iterable[Any]", load())
            except NotImplementedError:  # A reader that is not lazy says so this way.
                continue
    if isinstance(documents, Iterable) and not isinstance(documents, str | bytes | dict):
        return cast("Iterable[Any]", documents)
    raise FormatError(f"expected {wanted}; got {type(cast('object', documents)).__name__}")


def _each(items: Iterable[Any], convert: Any) -> Iterator[Source | Skipped]:
    number = 0
    for item in items:
        # SimpleDirectoryReader gives the documents of each file as a list.
        for document in cast("list[Any]", item) if isinstance(item, list) else [item]:
            number += 1
            yield convert(document, f"document {number}")


def _langchain(document: Any, place: str) -> Source | Skipped:
    text: Any = getattr(document, "page_content", None)
    return _source(text, getattr(document, "metadata", None), getattr(document, "id", None), place, document)


def _llama_index(document: Any, place: str) -> Source | Skipped:
    node: Any = getattr(document, "node", document)
    content: Any = getattr(node, "get_content", None)
    text: Any = content(metadata_mode="none") if callable(content) else None
    own: Any = getattr(node, "ref_doc_id", None) or getattr(node, "node_id", None)
    return _source(text, getattr(node, "metadata", None), own, place, document)


def _source(text: Any, metadata: Any, own: Any, place: str, document: Any) -> Source | Skipped:
    known: Mapping[str, Any] = cast("Mapping[str, Any]", metadata) if isinstance(metadata, dict) else {}
    address = first(known, *_ADDRESSES)
    if address:
        # LangChain counts pages from 0 and LlamaIndex labels them as a reader sees them.
        page: Any = known.get("page")
        label = str(page + 1) if isinstance(page, int) and not isinstance(page, bool) else first(known, "page_label")
        address += f"#page={label}" if label else ""
    uri = address or (own if isinstance(own, str) else "") or place
    if not isinstance(text, str):
        return Skipped(uri, NO_TEXT, f"a {type(document).__name__}")
    if not text.strip():
        return Skipped(uri, EMPTY)
    return Source(text, title=first(known, "title"), uri=uri)
