"""Text for training: JSON lines of ``{"id", "text"}``, read, split and cut into token blocks.

The split is by document: of each file the documents with the smallest hash of their id are held out, so that adding a
document moves no other one, and nothing of a held-out document is ever trained on.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from ctxshrink.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Document:
    """One text of the corpus.

    Attributes:
        file: Path of its file relative to the corpus folder.
        id: Its id, unique within the file.
        text: The text.
        held_out: True when it is for evaluation only.
    """

    file: str
    id: str
    text: str
    held_out: bool

    @property
    def language(self) -> str:
        """The name of the folder that the file lies in."""
        return Path(self.file).parts[0]


def find_files(root: Path, include: Sequence[str], exclude: Sequence[str]) -> list[Path]:
    """Files of a corpus.

    Args:
        root: The corpus folder.
        include: Glob patterns relative to it.
        exclude: Parts of a name; a file whose relative path contains one is left out.

    Raises:
        ConfigError: Nothing matches.
    """
    found = {p for pattern in include for p in root.glob(pattern) if p.is_file()}
    kept = sorted(p for p in found if not any(e in str(p.relative_to(root)) for e in exclude))
    if not kept:
        raise ConfigError(f"data.root: no file under {root} matches {list(include)}")
    return kept


def read_documents(root: Path, files: Sequence[Path], held_out: float) -> Iterator[Document]:
    """Every document of the files, in order.

    Args:
        root: The corpus folder.
        files: JSON-lines files below it, plain or ``.xz``.
        held_out: Share of each file's documents kept for evaluation; at least one where it is above 0.

    Raises:
        ConfigError: A line is not an object with a text.
    """
    for path in files:
        name = path.relative_to(root).as_posix()
        rows = list(_rows(path))
        ranked = sorted(range(len(rows)), key=lambda i: hashlib.blake2b(rows[i][0].encode(), digest_size=8).digest())
        out = set(ranked[: math.ceil(len(rows) * held_out)])
        for i, (doc_id, text) in enumerate(rows):
            yield Document(name, doc_id, text, i in out)


def blocks(tokens: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """A document's tokens in runs of at most ``size``, so that one long book does not fill a stretch of training."""
    for start in range(0, len(tokens), size):
        yield tokens[start : start + size]


def _rows(path: Path) -> Iterator[tuple[str, str]]:
    with _open(path) as lines:
        for number, line in enumerate(lines, 1):
            try:
                row: object = json.loads(line)
            except ValueError as error:
                raise ConfigError(f"{path}:{number}: not JSON: {error}") from error
            fields = cast("dict[str, object]", row) if isinstance(row, dict) else {}
            text = fields.get("text")
            if not isinstance(text, str):
                raise ConfigError(f'{path}:{number}: expected {{"id": …, "text": "…"}}')
            yield str(fields.get("id", number)), text


def _open(path: Path) -> IO[str]:
    if path.suffix == ".xz":
        return lzma.open(path, "rt", encoding="utf-8", errors="surrogatepass")
    return path.open(encoding="utf-8", errors="surrogatepass")
