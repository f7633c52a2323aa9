"""Plain documents: strings, or dicts with a "text". The counterpart of `ctxshrink.messages` for retrieved chunks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from ctxshrink.errors import FormatError
from ctxshrink.messages.parsed import Parsed, Pin, Place, read_text, resolve_pin
from ctxshrink.text import content_type
from ctxshrink.types import Segment

_PINNED: Final = "pinned by the caller"


def parse_documents(docs: Sequence[Any], pin: Pin = None) -> Parsed:
    """Documents as segments, one each, in order, with ids "0", "1", ….

    A dict needs a "text". Its "title" helps ranking and is not counted; a true "pin" locks it; all other keys,
    "id" included, are kept as they are.

    Args:
        docs: A list or tuple of strings, of dicts, or of both; never mutated.
        pin: Documents that must come out byte for byte: indices, or a callable that is given each document.

    Returns:
        Segments and the way back: ``rebuild`` returns strings for strings and dicts for dicts.

    Raises:
        FormatError: Something is not a document; names its index.
        ConfigError: ``pin`` is out of range.
    """
    if not isinstance(docs, list | tuple):
        hint = "use shrink_text for a single text" if isinstance(docs, str) else "pass a list"
        raise FormatError(f'docs must be a list of str or of dicts with "text"; got {type(docs).__name__}: {hint}')
    items = cast("Sequence[Any]", docs)
    pinned = resolve_pin(pin, items)
    segments: list[Segment] = []
    places: dict[str, Place] = {}
    for index, doc in enumerate(items):
        text = _text(index, doc)
        # The index and not the document's own id: retrievers may return one id twice.
        segment_id = str(index)
        record: Mapping[str, Any] = cast("Mapping[str, Any]", doc) if isinstance(doc, Mapping) else {}
        segments.append(
            Segment(
                id=segment_id,
                text=text,
                kind="document",
                lock_reason=_PINNED if index in pinned or bool(record.get("pin")) else None,
                content_type=content_type(text),
                title=read_text(record, "title"),
            )
        )
        places[segment_id] = Place(index, ("text",) if isinstance(doc, Mapping) else ())
    return Parsed(tuple(segments), tuple(items), places)


def _text(index: int, doc: object) -> str:
    if isinstance(doc, str):
        return doc
    if not isinstance(doc, Mapping):
        raise FormatError(f'document {index} must be a str or a dict with "text"; got {type(doc).__name__}')
    text = cast("Mapping[Any, Any]", doc).get("text")
    if not isinstance(text, str):
        seen = "has no text" if text is None else f"has a text of type {type(text).__name__}"
        raise FormatError(f'document {index} {seen}: put the text under "text" as a str')
    return text
