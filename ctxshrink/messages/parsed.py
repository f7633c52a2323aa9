"""What a format hands over: segments, and the way back from their outputs to the caller's own shape."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, cast

from ctxshrink.errors import ConfigError
from ctxshrink.types import Segment

Path: TypeAlias = tuple[str | int, ...]
"""Keys and indices that lead from an item to one text inside it; () when the item itself is the text."""

Pin: TypeAlias = Collection[int] | Callable[[Any], bool] | None
"""What the caller wants byte for byte: indices (negative ones count from the end) or a test of one item."""

_MAX_DEPTH: Final = 16
"""Levels of containers that are copied. The known formats need seven; what lies deeper is shared with the input."""

_TEXT_KEYS: Final = ("title", "text", "stdout", "stderr", "logs", "refusal")
_HOLDERS: Final = ("content", "source", "lines", "output", "outputs", "results", "summary")
"""Where blocks and items keep their text, or the blocks that have it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a segment's text lives.

    Attributes:
        index: Index of the message or document.
        path: The way to the text inside it; None when the text cannot be replaced (a rendering of a tool call).
    """

    index: int
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """An input as segments.

    Attributes:
        segments: All text of the input in document order, locked text included, so that a budget counts it.
        items: The caller's own messages or documents.
        places: Where each segment lives, by segment id.
    """

    segments: tuple[Segment, ...]
    items: tuple[Any, ...] = field(default=(), repr=False)
    places: Mapping[str, Place] = field(default_factory=dict[str, Place], repr=False)

    def index_of(self, segment_id: str) -> int:
        """Index of the message or document that a segment belongs to."""
        return self.places[segment_id].index

    def rebuild(self, outputs: Mapping[str, str]) -> list[Any]:
        """The input with the given texts in place of the original ones.

        Plain dicts, lists and tuples of the result are new ones, in unchanged messages too, so that editing the
        result never reaches the caller's objects; their keys, order and every other value are as they were. Objects
        of other types (pydantic models, subclasses of dict) are shared with the input, and copied only where a text
        inside them changes.

        Args:
            outputs: Text by segment id. Ids left out keep their text. Texts for unknown ids and for segments that the
                format locked are ignored: locked text cannot be changed from here.

        Returns:
            As many items as came in, in the same order.
        """
        changes: dict[int, dict[Path, str]] = {}
        for segment in self.segments:
            text = outputs.get(segment.id, segment.text)
            place = self.places[segment.id]
            if not segment.locked and place.path is not None and text != segment.text:
                changes.setdefault(place.index, {})[place.path] = text
        memo: dict[int, Any] = {}
        return [with_texts(item, changes.get(index, {}), memo) for index, item in enumerate(self.items)]


def with_texts(item: Any, texts: Mapping[Path, str], memo: dict[int, Any] | None = None) -> Any:
    """A copy of one message or document with some of its texts replaced.

    Args:
        item: The caller's own message or document; never mutated. What is copied and what is shared with it is as in
            `Parsed.rebuild`.
        texts: The new texts by the way to the old ones.
        memo: What was copied already, by id: containers that several items share stay shared by their copies.
    """
    made = _copy_containers(item, {} if memo is None else memo, _MAX_DEPTH)
    return _replace(made, texts) if texts else made


def is_record(value: object) -> bool:
    """True for a mapping, or a pydantic object such as the providers' SDKs return."""
    return isinstance(value, Mapping) or (not isinstance(value, type) and hasattr(value, "model_copy"))


def read(record: object, key: str) -> object:
    """The value of a key of a mapping, or of a field of a pydantic object; None where there is none."""
    if isinstance(record, Mapping):
        return cast("Mapping[Any, Any]", record).get(key)
    return getattr(record, key, None) if is_record(record) else None


def read_text(record: object, key: str) -> str:
    """Like `read`, but "" for anything that is not a string."""
    value = read(record, key)
    return value if isinstance(value, str) else ""


def read_parts(record: object, key: str) -> Sequence[object]:
    """Like `read`, but () for anything that is not a list or tuple."""
    return as_parts(read(record, key))


def as_parts(value: object) -> Sequence[object]:
    """The value when it is a list or tuple, else ()."""
    return cast("Sequence[object]", value) if isinstance(value, list | tuple) else ()


def texts_of(block: object) -> list[str]:
    """All text inside a block that is only counted, never changed; encrypted and binary fields are not text."""
    found: list[str] = []
    seen: set[int] = set()  # A block may hold itself.
    pending = [block]
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            found.append(value)
            continue
        if id(value) in seen:
            continue
        seen.add(id(value))
        found.extend(text for key in _TEXT_KEYS if (text := read_text(value, key)))
        if read(value, "type") == "text":
            found.append(read_text(value, "data"))
        inner: list[object] = []
        for key in _HOLDERS:
            child = read(value, key)
            inner.extend(as_parts(child))
            if is_record(child) or (isinstance(child, str) and key != "source"):  # A source may be a URL.
                inner.append(child)
        pending.extend(reversed(inner))
    return [text for text in found if text]


def resolve_pin(pin: Pin, items: Sequence[Any], argument: str = "pin") -> frozenset[int]:
    """Indices of the pinned items.

    Args:
        pin: Indices, or a callable that is given each item.
        items: The messages or documents.
        argument: Name of the caller's argument, for the message of an error.

    Raises:
        ConfigError: An index is not an integer or out of range, or ``pin`` is of another type.
    """
    if pin is None:
        return frozenset()
    if callable(pin):
        return frozenset(index for index, item in enumerate(items) if pin(item))
    given = cast("object", pin)
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Collection):
        seen = type(cast("object", given)).__name__
        raise ConfigError(f"{argument} must be a collection of indices, such as [0, -1], or a callable; got {seen}")
    chosen: set[int] = set()
    for index in cast("Collection[object]", given):
        if not isinstance(index, int) or isinstance(index, bool):
            raise ConfigError(f"{argument} must hold integer indices; got {type(index).__name__}")
        if not -len(items) <= index < len(items):
            raise ConfigError(f"{argument} holds index {index}, but there are only {len(items)} items")
        chosen.add(index % len(items))
    return frozenset(chosen)


def _copy_containers(value: Any, memo: dict[int, Any], depth: int) -> Any:
    """A copy of nested dicts, lists and tuples that shares all leaves.

    Unlike `copy.deepcopy` it never copies foreign objects and cannot run out of stack: on a cycle, and below ``depth``
    levels, it points back at the original. A container that occurs twice is copied once, which keeps the cost linear.
    """
    if type(value) not in (dict, list, tuple) or depth == 0:
        return value
    key = id(value)
    if key in memo:
        return memo[key]
    memo[key] = value  # What a cycle meets while this container is still being copied.
    made: Any
    if isinstance(value, dict):
        record = cast("dict[Any, Any]", value)
        made = {name: _copy_containers(child, memo, depth - 1) for name, child in record.items()}
    else:
        parts = cast("Sequence[Any]", value)
        copied = [_copy_containers(child, memo, depth - 1) for child in parts]
        made = copied if isinstance(value, list) else tuple(copied)
    memo[key] = made
    return made


def _replace(value: Any, texts: Mapping[Path, str]) -> Any:
    """A copy of ``value`` with the texts at some paths replaced; only the containers on the way are new."""
    if () in texts:
        return texts[()]
    inner: dict[str | int, dict[Path, str]] = {}
    for path, text in texts.items():
        inner.setdefault(path[0], {})[path[1:]] = text
    if isinstance(value, list | tuple):
        parts = list(cast("Sequence[Any]", value))
        for key, below in inner.items():
            parts[cast("int", key)] = _replace(parts[cast("int", key)], below)
        return parts if isinstance(value, list) else tuple(parts)
    if isinstance(value, Mapping):
        given = cast("Mapping[Any, Any]", value)
        changed = {key: _replace(given[key], below) for key, below in inner.items()}
        if not isinstance(value, dict):
            return {**given, **changed}
        record = copy.copy(cast("dict[Any, Any]", value))  # Keeps subclasses such as OrderedDict.
        record.update(changed)
        return record
    fields = {cast("str", key): below for key, below in inner.items()}
    return value.model_copy(update={key: _replace(getattr(value, key), below) for key, below in fields.items()})
