"""Records as documents: JSON lines, plain or compressed, and JSON lists, read piece by piece."""

from __future__ import annotations

import codecs
import gzip
import io
import json
import lzma
import re
import zlib
from collections.abc import Iterator, Mapping
from typing import IO, Any, Final, cast

from ctxshrink.distill.types import Source

from ._skips import EMPTY, NO_TEXT, NOT_JSON, NOT_UTF8, TOO_LARGE, UNREADABLE, Skipped, Unreadable, told

TEXT_KEYS: Final = ("text", "content", "page_content")
"""Where a record's text is looked for, in order."""

_CHUNK: Final = 1 << 20
_SPACE: Final = re.compile(r"[ \t\n\r]*")
_XZ_BYTES: Final = 256 << 20
"""Memory that an xz file may need; those of ``xz -9`` need 65 MiB."""
_FAILURES: Final = (OSError, EOFError, lzma.LZMAError, zlib.error)


def read_lines(raw: IO[bytes], uri: str, most: int) -> Iterator[Source | Skipped]:
    """JSON lines: a document a line. A line that is none is skipped; blank lines hold nothing.

    Args:
        raw: The file, compressed or not.
        uri: Its name; gzip and xz are known by the ending ``.gz`` and ``.xz``.
        most: Bytes of the longest line that is read.
    """
    stream = _plain(raw, uri)
    number = 0
    while True:
        number += 1
        place = f"{uri}#L{number}"
        try:
            line = rest = stream.readline(most + 1)
            size = len(line)
            while size > most and rest and not rest.endswith(b"\n"):
                rest = stream.readline(_CHUNK)
                size += len(rest)
        except _FAILURES as error:
            yield Skipped(place, UNREADABLE, f"from here on, and what came before may be damaged: {told(error)}")
            return
        if not size:
            return
        if size - rest.endswith(b"\n") > most:
            yield Skipped(place, TOO_LARGE, f"{size} bytes")
            continue
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        if line.strip():
            yield _line(line, place, uri)


def _plain(raw: IO[bytes], uri: str) -> IO[bytes]:
    name = uri.lower()
    if name.endswith(".gz"):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=raw))
    return cast("IO[bytes]", io.BufferedReader(_Xz(raw), _CHUNK)) if name.endswith(".xz") else raw


def _line(line: bytes, place: str, uri: str) -> Source | Skipped:
    try:
        value: Any = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return Skipped(place, NOT_UTF8, f"byte {error.start} of the line")
    except (ValueError, RecursionError) as error:
        return Skipped(place, NOT_JSON, told(error))
    return document(value, place, uri)


def read_list(raw: IO[bytes], uri: str, most: int) -> Iterator[Source | Skipped]:
    """A JSON list of documents, of any length, or one document as a JSON object.

    Args:
        raw: The file.
        uri: Its name.
        most: Bytes of the longest item that is read; what follows it is skipped with it.
    """
    index = -1
    try:
        for index, value in enumerate(_values(raw, most)):
            yield document(value, f"{uri}#/{index}", uri)
    except Unreadable as error:
        yield Skipped(f"{uri}#/{index + 1}", error.reason, f"from here on: {error.detail}")


def document(value: Any, place: str, uri: str) -> Source | Skipped:
    """A record as a document: a string, or an object with a text.

    Args:
        value: As `json` reads it.
        place: Where it stands: its name where it brings none.
        uri: The file that it stands in.
    """
    if isinstance(value, str):
        return Source(value, uri=place) if value.strip() else Skipped(place, EMPTY)
    if not isinstance(value, dict):
        return Skipped(place, NO_TEXT, f"a JSON {type(value).__name__}, not an object or a string")
    record = cast("Mapping[str, Any]", value)
    text = next((record[key] for key in TEXT_KEYS if isinstance(record.get(key), str)), None)
    if text is None:
        return Skipped(place, NO_TEXT, f"no string under {', '.join(TEXT_KEYS)}")
    if not text.strip():
        return Skipped(place, EMPTY)
    inner = record.get("metadata")
    metadata: Mapping[str, Any] = cast("Mapping[str, Any]", inner) if isinstance(inner, dict) else {}
    title = first(record, "title") or first(metadata, "title")
    name = first(record, "url", "uri") or first(metadata, "url", "uri", "source")
    own = record.get("id")
    if not name and isinstance(own, str | int) and not isinstance(own, bool) and own != "":
        name = f"{uri}#{own}"
    return Source(text, title=title, uri=name or place)


def first(record: Mapping[str, Any], *keys: str) -> str:
    """The first of these values that is a string with something in it; "" without one."""
    return next((v for k in keys if isinstance(v := record.get(k), str) and v.strip()), "")


class _Xz(io.RawIOBase):
    """An xz file's content: `lzma.LZMAFile`, which would take as much memory as the file says that it needs."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._decoder = lzma.LZMADecompressor(memlimit=_XZ_BYTES)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Raises `EOFError` where the file ends early, `lzma.LZMAError` where it is damaged."""
        while True:
            data = b""
            if self._decoder.eof:  # Another stream may follow, behind some padding.
                data = self._decoder.unused_data.lstrip(b"\0") or self._raw.read(_CHUNK)
                if not data:
                    return 0
                if not (data := data.lstrip(b"\0")):
                    continue
                self._decoder = lzma.LZMADecompressor(memlimit=_XZ_BYTES)
            elif self._decoder.needs_input and not (data := self._raw.read(_CHUNK)):
                raise EOFError("the file ends early")
            if out := self._decoder.decompress(data, len(buffer)):
                buffer[: len(out)] = out
                return len(out)


class _Reader:
    """Text of a file as a window that grows at its end and is cut at its start."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self.text, self.at, self.ended = "", 0, False

    def more(self, size: int) -> None:
        """Reads on; `ended` says that nothing follows."""
        try:
            data = self._raw.read(size)
            self.ended = len(data) < size
            self.text = self.text[self.at :] + self._decoder.decode(data, self.ended)
        except UnicodeDecodeError as error:
            raise Unreadable(NOT_UTF8, "") from error
        except OSError as error:
            raise Unreadable(UNREADABLE, told(error)) from error
        self.at = 0

    def peek(self) -> str:
        """The next character that is no space; "" at the end."""
        while True:
            found = _SPACE.match(self.text, self.at)
            self.at = found.end() if found else self.at
            if self.at < len(self.text) or self.ended:
                return self.text[self.at : self.at + 1]
            self.more(_CHUNK)

    def value(self, most: int) -> Any:
        """The next JSON value."""
        size = _CHUNK
        while True:
            try:
                value, end = json.JSONDecoder().raw_decode(self.text, self.at)
                if end < len(self.text) or self.ended:
                    self.at = end
                    return value
                problem = ""
            except RecursionError as error:
                raise Unreadable(NOT_JSON, told(error)) from error
            except ValueError as error:
                problem = told(error)
            if self.ended:
                raise Unreadable(NOT_JSON, problem)
            if len(self.text) - self.at > most:
                raise Unreadable(TOO_LARGE, f"an item of more than {most} bytes, or no JSON: {problem}")
            # Doubled, so that reading a long item again costs no more than twice its length.
            self.more(size)
            size *= 2


def _values(raw: IO[bytes], most: int) -> Iterator[Any]:
    reader = _Reader(raw)
    if reader.peek() != "[":
        if reader.peek():
            yield reader.value(most)
            if reader.peek():
                raise Unreadable(NOT_JSON, "more than one value: is it JSON lines? name it .jsonl")
        return
    reader.at += 1
    if reader.peek() == "]":
        return
    while True:
        yield reader.value(most)
        mark = reader.peek()
        reader.at += 1
        if mark == "]":
            break
        if mark != ",":
            raise Unreadable(NOT_JSON, "no comma or ] after an item")
        reader.peek()
    if reader.peek():
        raise Unreadable(NOT_JSON, "something follows the list")
