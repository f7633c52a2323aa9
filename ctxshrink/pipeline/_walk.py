"""Finds the files of a corpus, always in the same order, each folder once."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ._skips import UNREADABLE, Skipped, shown, told

KINDS: Final[dict[str, str]] = {
    ".txt": "text",
    ".text": "text",
    ".md": "text",
    ".markdown": "text",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".jsonl": "lines",
    ".jsonl.gz": "lines",
    ".jsonl.xz": "lines",
    ".ndjson": "lines",
    ".json": "list",
    ".pdf": "pdf",
}
"""How a file is read, by how its name ends."""

HIDDEN: Final = "hidden"
REPEATED: Final = "a folder that was read already"
BROKEN: Final = "a link that leads nowhere"
SPECIAL: Final = "neither a file nor a folder"


@dataclass(frozen=True, slots=True)
class File:
    """A file that can be read.

    Attributes:
        path: Where it is.
        kind: A value of `KINDS`.
        size: Bytes, when it was found.
    """

    path: str
    kind: str
    size: int

    @property
    def uri(self) -> str:
        """Its name in sources and reports."""
        return shown(self.path)


def find(paths: Iterable[str | Path]) -> Iterator[File | Skipped]:
    """The files under these paths in order of the paths, then of their names; links are followed.

    What is named itself is read even where it is hidden. Memory is that of the largest folder's list of names, for
    each level.
    """
    seen: set[tuple[int, int]] = set()
    for path in paths:
        waiting = [os.fspath(path)]
        named = True
        while waiting:
            place = waiting.pop()
            found = _look(place, seen, named)
            named = False
            if isinstance(found, list):
                waiting += reversed(found)
            else:
                yield found


def _look(path: str, seen: set[tuple[int, int]], named: bool) -> File | Skipped | list[str]:
    """A file, why not, or the paths in a folder."""
    name = os.path.basename(path)
    if name.startswith(".") and name not in (".", "..") and not named:
        return Skipped(shown(path), HIDDEN, "its name begins with a dot; name it to read it")
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            if (status.st_dev, status.st_ino) in seen:
                return Skipped(shown(path), REPEATED)
            seen.add((status.st_dev, status.st_ino))
            return [os.path.join(path, inner) for inner in sorted(os.listdir(path))]
    except OSError as error:
        return Skipped(shown(path), BROKEN if os.path.islink(path) else UNREADABLE, told(error))
    if not stat.S_ISREG(status.st_mode):
        return Skipped(shown(path), SPECIAL)
    kind = _kind(name)
    if kind is None:
        return Skipped(shown(path), f"unknown type {os.path.splitext(name)[1].lower()[:20] or 'without an ending'}")
    return File(path, kind, status.st_size)


def _kind(name: str) -> str | None:
    name = name.lower()
    return next((kind for ending, kind in KINDS.items() if name.endswith(ending)), None)
