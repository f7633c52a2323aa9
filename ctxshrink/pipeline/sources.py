"""Documents from files and folders, lazily, in a fixed order and within bounded memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Final

from ctxshrink.distill.types import Source
from ctxshrink.errors import ConfigError

from ._pdf import read_pages
from ._records import read_lines, read_list
from ._skips import CHANGED, EMPTY, TOO_LARGE, UNREADABLE, Skipped, Unreadable, told
from ._texts import read_html, read_text
from ._walk import KINDS, File, find

__all__ = ["KINDS", "MAX_BYTES", "Files", "Skipped", "read"]

MAX_BYTES: Final = 16_000_000
"""Most bytes of one document: of a text file, of a line, of an item of a list. A long book has two million."""

_WHOLE: Final[dict[str, Callable[[bytes, str], Iterator[Source]]]] = {"text": read_text, "html": read_html}
_PARTS: Final[dict[str, Callable[[IO[bytes], str, int], Iterator[Source | Skipped]]]] = {
    "lines": read_lines,
    "list": read_list,
    "pdf": read_pages,
}


class Files:
    """The documents of files and folders; folders with all that is in them.

    Text and Markdown are taken as they stand, of HTML pages the readable text, of JSON lines (plain, gzip or xz) and
    JSON lists the text of each record, of PDF files the text of each page. Each pass reads the files anew, in the same
    order: paths as given, names sorted. Nothing is left out silently: what cannot be read comes as a `Skipped`.

    Args:
        paths: Files and folders.
        max_bytes: Most bytes of one document.

    Raises:
        ConfigError: A path does not exist, or there is none.
    """

    def __init__(self, paths: Sequence[str | Path], *, max_bytes: int = MAX_BYTES) -> None:
        if isinstance(paths, str | Path):
            raise ConfigError("paths must be a list of files and folders; got one path")
        if not paths:
            raise ConfigError("name at least one file or folder")
        if max_bytes < 1:
            raise ConfigError(f"max_bytes must be 1 or more; got {max_bytes}")
        for path in paths:
            if not os.path.lexists(path):
                raise ConfigError(f"{path}: no such file or folder")
        self.paths = tuple(paths)
        self.max_bytes = max_bytes
        self.done = 0
        """Bytes of the files, as they are on disk, that the latest pass has read."""

    def total(self) -> int:
        """Bytes of the files as they are on disk now; reads their names and sizes only."""
        return sum(found.size for found in find(self.paths) if isinstance(found, File))

    def __iter__(self) -> Iterator[Source | Skipped]:
        self.done = 0
        for found in find(self.paths):
            if isinstance(found, Skipped):
                yield found
                continue
            before = self.done
            yield from self._file(found)
            self.done = before + found.size

    def _file(self, file: File) -> Iterator[Source | Skipped]:
        try:
            if file.kind in _WHOLE:
                yield from _WHOLE[file.kind](self._whole(file), file.uri)
                return
            with open(file.path, "rb") as raw:
                yield from self._parts(raw, file)
        except Unreadable as error:
            yield Skipped(file.uri, error.reason, error.detail)
        except OSError as error:
            yield Skipped(file.uri, UNREADABLE, told(error))

    def _parts(self, raw: IO[bytes], file: File) -> Iterator[Source | Skipped]:
        """The documents of a file that holds several. They are out when a change is seen, so it is told at the end."""
        before, start = _state(raw), self.done
        items = _PARTS[file.kind](raw, file.uri, self.max_bytes)
        given = False
        for item in items:
            given = True
            self.done = start + raw.tell()
            yield item
        if not given:
            yield Skipped(file.uri, EMPTY)
        if _state(raw) != before:
            yield Skipped(file.uri, CHANGED, "documents may be missing or torn; run again")

    def _whole(self, file: File) -> bytes:
        for _ in range(2):
            with open(file.path, "rb") as raw:
                before = _state(raw)
                if before[0] > self.max_bytes:
                    raise Unreadable(TOO_LARGE, f"{before[0]} bytes; the most is {self.max_bytes}")
                data = raw.read(before[0] + 1)
                if _state(raw) == before and len(data) == before[0]:
                    return data
        raise Unreadable(CHANGED, "run again")


def read(paths: Sequence[str | Path], *, max_bytes: int = MAX_BYTES) -> Iterable[Source | Skipped]:
    """The documents of files and folders: `Files`, with its arguments and errors."""
    return Files(paths, max_bytes=max_bytes)


def _state(raw: IO[bytes]) -> tuple[int, int]:
    status = os.fstat(raw.fileno())
    return status.st_size, status.st_mtime_ns
