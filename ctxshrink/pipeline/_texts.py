"""Files that are one text: plain text, Markdown, HTML pages."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

from ctxshrink.distill.types import Source
from ctxshrink.structure._markup import Tag, tokens
from ctxshrink.structure._page import read_page

from ._skips import BINARY, EMPTY, NO_TEXT, NOT_UTF8, Unreadable

TITLE = 300
"""Most characters of a page's title."""


def decode(data: bytes) -> str:
    """Text of UTF-8, or of UTF-16 where a byte order mark says so. Line breaks stay as they are.

    Raises:
        Unreadable: It is neither. Other encodings are not guessed: a wrong guess would be stored as the text.
    """
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and not data.startswith(codecs.BOM_UTF32_LE)
    if not wide and (at := data.find(b"\0")) >= 0:
        raise Unreadable(BINARY, f"NUL at byte {at}")
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(NOT_UTF8, f"byte {error.start}; convert it first") from error


def read_text(data: bytes, uri: str) -> Iterator[Source]:
    """A file as it stands."""
    text = decode(data)
    if not text.strip():
        raise Unreadable(EMPTY)
    yield Source(text, uri=uri)


def read_html(data: bytes, uri: str) -> Iterator[Source]:
    """What a reader of the page sees, with its title; a line for each block."""
    text = decode(data)
    if not text.strip():
        raise Unreadable(EMPTY)
    readable = "\n".join(block.text for block in read_page(text).blocks)
    if not readable.strip():
        raise Unreadable(NO_TEXT, "an HTML page that shows none")
    yield Source(readable, title=_title(text), uri=uri)


def _title(html: str) -> str:
    within = False
    for token in tokens(html):
        if isinstance(token, Tag):
            if within:
                return ""
            within = token.name == "title" and not token.closing
            if token.name == "body":
                return ""
        elif within:
            return " ".join(token.split())[:TITLE]
    return ""
