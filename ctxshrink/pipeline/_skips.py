"""What a source of documents could not give, and why."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

NOT_UTF8: Final = "not UTF-8"
EMPTY: Final = "empty"
BINARY: Final = "binary data"
TOO_LARGE: Final = "larger than a document may be"
CHANGED: Final = "changed while it was read"
UNREADABLE: Final = "cannot be read"
NOT_JSON: Final = "not JSON"
NO_TEXT: Final = "no text in it"


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file, a part of one or a document that is not distilled.

    Attributes:
        uri: What was skipped, in the form of `Source.uri`.
        reason: Why, in words that many share: the report counts by them.
        detail: What is particular to this one: a size, a place, an error's message.
    """

    uri: str
    reason: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.uri}: {self.reason}" + (f" ({self.detail})" if self.detail else "")


class Unreadable(Exception):
    """Raised within the readers: becomes a `Skipped`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


def shown(path: str | os.PathLike[str]) -> str:
    """A path as a uri: with forward slashes, and escapes for bytes of a file's name that are not UTF-8."""
    text = os.fspath(path)
    if os.sep != "/":
        text = text.replace(os.sep, "/")
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def printable(text: str) -> str:
    """A text on one line, for terminals and JSON files: control characters and lone surrogates as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def told(error: BaseException) -> str:
    """An error in a few words, without the path, which the report names already."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    line = " ".join(str(error).split())[:160]
    return f"{type(error).__name__}: {line}" if line else type(error).__name__
