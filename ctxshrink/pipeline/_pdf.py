"""PDF files, a document for each page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from ctxshrink.distill.types import Source
from ctxshrink.errors import MissingExtraError

from ._skips import NO_TEXT, TOO_LARGE, UNREADABLE, Skipped, told

_ENCRYPTED = "encrypted"


def read_pages(raw: IO[bytes], uri: str, most: int) -> Iterator[Source | Skipped]:
    """The text of each page, in order.

    A page is a document because that is what the loaders of LangChain and LlamaIndex make of it, so that its stored
    version is found when one of them brings the page; and because a page that cannot be read then costs only itself.
    A sentence that goes on over the page's end is cut there.

    Args:
        raw: The file; only what is needed of it is read.
        uri: Its name; the fragment ``#page=n`` names a page (RFC 8118), from 1.
        most: Bytes of the longest page's text that is taken. What pypdf unpacks on the way has bounds of its own.
    """
    try:
        from pypdf import PasswordType, PdfReader
        from pypdf.errors import DependencyError
    except ImportError:
        yield Skipped(uri, str(MissingExtraError("A PDF file", "distill")))
        return
    try:
        reader = PdfReader(raw)
        if reader.is_encrypted and reader.decrypt("") is PasswordType.NOT_DECRYPTED:
            yield Skipped(uri, _ENCRYPTED)
            return
        number = len(reader.pages)
        title = str((reader.metadata and reader.metadata.title) or "")
    except DependencyError:  # An empty password may open it, but not without a cipher.
        yield Skipped(uri, _ENCRYPTED, "with AES, which needs another package: pip install cryptography")
        return
    except Exception as error:  # noqa: BLE001  a damaged file fails in as many ways as there are objects in it
        yield Skipped(uri, UNREADABLE, told(error))
        return
    if not number:
        yield Skipped(uri, NO_TEXT, "no pages")
    for index in range(number):
        place = f"{uri}#page={index + 1}"
        try:
            text = reader.pages[index].extract_text()
        except Exception as error:  # noqa: BLE001  recorded for the page; the others go on
            yield Skipped(place, UNREADABLE, told(error))
            continue
        if (size := len(text.encode("utf-8", "surrogatepass"))) > most:
            yield Skipped(place, TOO_LARGE, f"{size} bytes")
        elif text.strip():
            yield Source(text, title=title, uri=place)
        else:
            yield Skipped(place, NO_TEXT, "a page without letters: a scan?")
