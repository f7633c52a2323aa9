"""Recorded traffic, read from files: conversations and lists of retrieved documents."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

from ctxshrink.errors import ConfigError

_MESSAGES: Final = ("messages", "input")
_DOCUMENTS: Final = ("documents", "docs")


@dataclass(frozen=True, slots=True)
class Trace:
    """One recorded conversation, or the documents of one request.

    Attributes:
        name: Where it stands.
        kind: What ``items`` are.
        items: Messages of a known format, or documents: strings, or dicts with ``"text"``.
        query: The question that the documents were retrieved for, if it is known.
    """

    name: str
    kind: Literal["messages", "documents"]
    items: tuple[Any, ...]
    query: str | None = None


def read_traces(paths: Iterable[Path]) -> list[Trace]:
    """The traces of some files.

    A ``.json`` file holds a list of messages, a list of documents, an object with one of them under ``messages``,
    ``input``, ``documents`` or ``docs`` (further keys are ignored, ``query`` is read), or a list of such objects. A
    ``.jsonl`` file holds one such object or list in a line, or one message or document in a line.

    Raises:
        ConfigError: A file cannot be read, or holds no trace; the message names file and line.
    """
    found: list[Trace] = []
    for path in paths:
        here = _traces(_values(path), path)
        if not here:
            raise ConfigError(f"{path}: holds no messages and no documents")
        found += here
    return found


def _values(path: Path) -> list[tuple[str, Any]]:
    """The values of a file with the place of each."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start}); convert it first") from error
    if not _by_line(path):
        value = _decode(text, str(path))
        if isinstance(value, list) and value and _wrapped(cast("list[Any]", value)[0]) is not None:
            return [(f"{path}[{i}]", inner) for i, inner in enumerate(cast("list[Any]", value))]
        return [(str(path), value)]
    lines = enumerate(text.split("\n"), 1)
    return [(f"{path}:{i}", _decode(line, f"{path}:{i}")) for i, line in lines if line.strip()]


def _by_line(path: Path) -> bool:
    return path.suffix.lower() in (".jsonl", ".ndjson")


def _decode(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: not valid JSON: {error}") from error


def _traces(values: Sequence[tuple[str, Any]], path: Path) -> list[Trace]:
    loose = [value for _, value in values if not isinstance(value, list) and _wrapped(value) is None]
    if loose and len(loose) == len(values) and _by_line(path):  # one message or document in a line
        return [_trace(loose, str(path), None)]
    found: list[Trace] = []
    for where, value in values:
        inner = _wrapped(value)
        items = value if inner is None else inner
        if not isinstance(items, list):
            raise ConfigError(f"{where}: neither a list of messages or documents nor an object that holds one")
        query = cast("Mapping[str, Any]", value).get("query") if inner is not None else None
        if items:
            found.append(_trace(cast("list[Any]", items), where, query if isinstance(query, str) else None))
    return found


def _wrapped(value: object) -> list[Any] | None:
    """The list in an object that holds one."""
    if not isinstance(value, dict):
        return None
    holder = cast("dict[str, Any]", value)
    if "role" in holder:
        return None
    return next((holder[k] for k in (*_MESSAGES, *_DOCUMENTS) if isinstance(holder.get(k), list)), None)


def _trace(items: list[Any], where: str, query: str | None) -> Trace:
    records = [cast("dict[str, Any]", i) if isinstance(i, dict) else None for i in items]
    if all(r is not None and ("role" in r or isinstance(r.get("type"), str)) for r in records):
        return Trace(where, "messages", tuple(items), query)
    if all(isinstance(i, str) or (r is not None and isinstance(r.get("text"), str)) for i, r in zip(items, records)):  # noqa: B905
        return Trace(where, "documents", tuple(items), query)
    raise ConfigError(f'{where}: the items are neither messages (with "role" or "type") nor documents (with "text")')
