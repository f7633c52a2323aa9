"""Shared by all message formats: collects texts with their locks, works out ages, returns a `Parsed`.

A format walks its messages in order and reports what it meets; the builder knows the rules that need the whole
conversation: turns, the newest user turn, the provider cache prefix, pins.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

from ctxshrink.errors import FormatError
from ctxshrink.messages.parsed import Parsed, Path, Pin, Place, is_record, read, read_text, resolve_pin
from ctxshrink.text import content_type
from ctxshrink.types import Kind, Segment

INSTRUCTION: Final = "an instruction"
NEWEST_USER: Final = "the newest user turn"
TOOL_CALL: Final = "a tool call's name and arguments"
REASONING: Final = "reasoning"
REFUSAL: Final = "a refusal"
CITED: Final = "carries citations"
FAILED: Final = "a failed tool result"
HEADING: Final = "names a document"
SERVER_RESULT: Final = "a result that the provider's own tool wrote"
CACHED: Final = "inside the provider cache prefix"
PINNED: Final = "pinned by the caller"
UNKNOWN_ROLE: Final = "unknown role"
UNKNOWN_BLOCK: Final = "unknown block type"

ELLIPSIS: Final = "…"
"""What an emptied text leaves behind: providers refuse empty content."""


class MessageFormat(Protocol):
    """A shape of chat history.

    Attributes:
        name: Shown in errors and on results.
    """

    name: str

    def matches(self, messages: Sequence[Any], /) -> bool:
        """True when the messages have this shape. Must not raise, whatever the messages are."""
        ...

    def parse(self, messages: Sequence[Any], /, pin: Pin = None) -> Parsed:
        """The conversation as segments.

        Args:
            messages: A list or tuple of messages; never mutated.
            pin: Messages that must come out byte for byte: indices, or a callable that is given each message.

        Raises:
            FormatError: Something is not a message; names its index.
            ConfigError: ``pin`` is out of range.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Draft:
    """A segment before the end of the conversation is known. ``owner`` is the message whose turn gives its age."""

    id: str
    index: int
    owner: int
    text: str
    kind: Kind
    path: Path | None
    lock: str | None
    title: str


class Builder:
    """Collects the texts of a conversation: walk `messages`, and report each one's texts before the next.

    Args:
        messages: The caller's messages, already checked (dicts: with `check_messages`).
        pin: See `MessageFormat.parse`.
    """

    def __init__(self, messages: Sequence[Any], pin: Pin = None) -> None:
        self._items = tuple(messages)
        self._pinned = resolve_pin(pin, self._items)
        self._drafts: list[_Draft] = []
        self._index = -1
        self._role = ""
        self._starts: set[int] = set()  # Messages that start a turn.
        self._newest_user = -1
        self._callers: dict[str, int] = {}  # Tool call id -> message that made the call; the latest wins.
        self._cached = 0  # Drafts inside the provider cache prefix.

    def messages(
        self, role: Callable[[Any], str] = lambda message: read_text(message, "role")
    ) -> Iterator[tuple[Any, str]]:
        """Each message and its role, in order; the texts reported next belong to it.

        Args:
            role: Gives a message's role. "user" and "assistant" start turns; formats with other names map theirs.

        Yields:
            (message, role).
        """
        for index, item in enumerate(self._items):
            self._index, self._role = index, role(item)
            if self._role == "assistant":
                self._starts.add(index)
            yield item, self._role

    def text(
        self,
        where: Path,
        text: object,
        kind: Kind,
        *,
        path: Path | None = None,
        lock: str | None = None,
        title: str = "",
        owner: int | None = None,
    ) -> None:
        """Adds a text of the current message. Empty texts and values that are no text make no segment.

        Args:
            where: Names the text within its message; makes the segment's id, so it must not change as the
                conversation grows.
            text: The text.
            kind: What it is.
            path: The way to the text; None when it cannot be replaced.
            lock: Why it must stay exact, whatever comes later in the conversation.
            title: See `Segment.title`.
            owner: Index of the message whose turn gives the age, if not the current message.
        """
        if not isinstance(text, str) or not text:
            return
        if self._role == "user" and kind in ("user", "document") and text.strip():
            self._starts.add(self._index)
            self._newest_user = self._index
        name = ".".join(str(step) for step in (self._index, *where))
        owner = self._index if owner is None else owner
        self._drafts.append(_Draft(name, self._index, owner, text, kind, path, lock, title))

    def call(self, where: Path, name: object, arguments: object, call_id: object = None) -> None:
        """Adds a tool call. Its text, for counting only, is the name and the arguments (as JSON unless a string)."""
        if isinstance(call_id, str):
            self._callers[call_id] = self._index
        shown = [part for part in (name, arguments if isinstance(arguments, str) else to_json(arguments)) if part]
        self.text(where, " ".join(part for part in shown if isinstance(part, str)), "tool_call", lock=TOOL_CALL)

    def caller(self, call_id: object) -> int:
        """Message that made a tool call; the one before the current message where no call has that id."""
        return self._callers.get(call_id, self._index - 1) if isinstance(call_id, str) else self._index - 1

    def breakpoint(self, record: object) -> None:
        """Ends the provider cache prefix after the texts added so far when the record carries ``cache_control``."""
        if read(record, "cache_control") is not None:
            self._cached = len(self._drafts)

    def build(self) -> Parsed:
        """The segments with their locks and ages."""
        turn = 0
        turns = [0]  # turns[i + 1]: turns that have started by the end of message i.
        for index in range(len(self._items)):
            turn += index in self._starts
            turns.append(turn)
        segments = tuple(
            Segment(
                id=draft.id,
                text=draft.text,
                kind=draft.kind,
                age=turn - turns[draft.owner + 1],
                lock_reason=(lock := self._lock(position, draft)),
                # A text that is locked for good is never cut into units, so its type is not worth detecting.
                content_type="prose" if draft.lock else content_type(draft.text),
                title=draft.title,
                empty="" if lock else ELLIPSIS,
            )
            for position, draft in enumerate(self._drafts)
        )
        places = {draft.id: Place(draft.index, draft.path) for draft in self._drafts}
        return Parsed(segments, self._items, places)

    def _lock(self, position: int, draft: _Draft) -> str | None:
        if draft.lock:
            return draft.lock
        if draft.index in self._pinned:
            return PINNED
        if draft.index == self._newest_user and draft.kind != "tool_result":
            return NEWEST_USER
        return CACHED if position < self._cached else None


def check_messages(messages: object) -> Sequence[Any]:
    """The messages, when they are a list or tuple of records that have a role.

    Raises:
        FormatError: They are not; says what was given, and where.
    """
    if not isinstance(messages, list | tuple):
        seen = type(messages).__name__
        hint = "put it in a list" if isinstance(messages, Mapping) else "pass a list of messages"
        hint = "use shrink_text for a plain text" if isinstance(messages, str) else hint
        raise FormatError(f"messages must be a list of dicts with a role; got {seen}: {hint}")
    items = cast("Sequence[Any]", messages)
    for index, item in enumerate(items):
        if not is_record(item):
            raise FormatError(f"message {index} must be a dict with a role; got {type(item).__name__}")
        role = read(item, "role")
        if not isinstance(role, str):
            seen = f"has the role {role!r:.40}" if isinstance(role, int | float | bool) else "has no role"
            raise FormatError(f"message {index} {seen}; it is {describe(item)}")
    return items


def describe(item: object) -> str:
    """A short description of a message for errors: its type and keys, never its text."""
    name = type(item).__name__
    if not isinstance(item, Mapping):
        return f"of type {name}"
    keys = [repr(key)[:40] for key in list(cast("Mapping[object, object]", item))[:6] if isinstance(key, str)]
    return f"a {name} with the keys {', '.join(keys) or '(none)'}"


def to_json(value: object) -> str:
    """Compact JSON of a tool call's arguments; "" for None and for what JSON cannot hold (cycles, extreme depth)."""
    if value is None:
        return ""
    try:
        # Foreign objects show as their type: a repr may hold a memory address, which differs between processes.
        return json.dumps(value, ensure_ascii=False, skipkeys=True, default=lambda thing: type(thing).__name__)
    except (TypeError, ValueError, RecursionError):
        return ""
