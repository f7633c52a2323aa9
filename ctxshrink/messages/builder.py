"""Shared by all message formats: collects texts with their locks, works out ages, returns a `Parsed`.

A format walks its messages in order and reports what it meets; the builder knows the rules that need the whole
conversation: turns, the newest user turn, the provider cache prefix, pins. A builder can be kept and fed as the
conversation grows: each message is read once, and what depends on later messages (age, locks) is worked out when a
segment is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias

from ctxshrink.messages import locks
from ctxshrink.messages.checks import check_messages, to_json
from ctxshrink.messages.drafts import Caller, Draft
from ctxshrink.messages.marks import BREAKPOINTS
from ctxshrink.messages.parsed import Parsed, Path, Pin, Place, read, read_text, resolve_pin, texts_of, with_texts
from ctxshrink.text import content_type
from ctxshrink.types import Kind, Segment

ELLIPSIS: Final = "…"
"""What an emptied text leaves behind: providers refuse empty content."""

_PLAIN: Final[Path] = ("content",)
_BLOCK: Final[Path] = ("content", 0, "text")


class Builder:
    """Collects the texts of a conversation, now or over time.

    A format gives ``walk``, which goes through `messages` and reports each one's texts before the next. Whoever keeps a
    conversation gives `feed` the new messages and asks for the segments it needs; segments are numbered from 0 in
    document order, and such a position, like a segment's id, never changes.

    Args:
        walk: Reports the texts of the messages that were fed last.
        pin: See `MessageFormat.parse`. Indices are looked up when segments are asked for, so a negative one counts
            from the end as it is then; a callable is asked once for each message.
        check: Gives the messages back, or raises `FormatError`; is also given the index of the first one.
        view: What the format reads in the place of one of the caller's messages.
        place: The way to a text in the caller's message, given its place in the view.
        lock: Why every text of one of the caller's messages must stay exact; None where nothing says so.
    """

    def __init__(
        self,
        walk: Walk,
        pin: Pin = None,
        *,
        check: Callable[[object, int], Sequence[Any]] = check_messages,
        view: Callable[[Any], Any] = lambda message: message,
        place: Callable[[Place, Any], Place] = lambda place, message: place,
        lock: Callable[[Any], str | None] = lambda message: None,
    ) -> None:
        self._walk, self._pin, self._check, self._view, self._place = walk, pin, check, view, place
        self._lock_of = lock
        self._pinned: frozenset[int] = frozenset()
        self._pins_known = -1  # Number of messages that `_pinned` was worked out for.
        self.items: list[Any] = []
        self._views: list[Any] = []  # Those that were not walked yet, as the format reads them.
        self._drafts: list[Draft] = []
        self._turns: list[int] = []  # By segment: turns that had started by the end of its owner.
        self._born: dict[int, list[int]] = {}  # The same, by turn.
        self._ended: list[int] = []  # By message: turns that had started by its end.
        self._first: list[int] = []  # By message: its first segment.
        self._callers: dict[str, Caller] = {}  # By tool call id; the latest wins.
        self._programs: set[str] = set()  # Ids of tool calls that a program made.
        self._index = -1
        self._role = ""
        self._starts = False  # True when the current message starts a turn.
        self.turns = 0
        self.newest_user = -1
        self.cached = 0

    # What a keeper of a conversation calls.

    def feed(self, messages: Sequence[Any]) -> range:
        """Reads the next messages of the conversation; costs work in proportion to them alone.

        Returns:
            The positions of their segments. Older ones may have become older, left the newest user turn (`newest_user`)
            or come to lie inside the provider cache prefix (`cached`).

        Raises:
            FormatError: Something is not a message; names its index. Nothing was read then.
        """
        first, before = len(self.items), len(self._drafts)
        if not isinstance(messages, list | tuple):  # pyright: ignore[reportUnnecessaryIsInstance]
            self._check(messages, first)
        views = [self._view(message) for message in messages]
        self._check(views, first)
        if callable(self._pin):
            pinned = (first + i for i, message in enumerate(messages) if self._pin(message))
            self._pinned = self._pinned.union(pinned)
        self.items.extend(messages)
        self._views = views
        self._walk(self)
        return range(before, len(self._drafts))

    def __len__(self) -> int:
        return len(self._drafts)

    def segment(self, position: int) -> Segment:
        """A segment with the age and the lock that it has now.

        Raises:
            ConfigError: ``pin`` is out of range.
        """
        draft = self._drafts[position]
        lock = self._lock(position, draft)
        return Segment(
            id=draft.id,
            text=draft.text,
            kind=draft.kind,
            age=self.turns - self._turns[position],
            lock_reason=lock,
            content_type=draft.content_type,
            title=draft.title,
            empty="" if lock else ELLIPSIS,
        )

    def segments(self, positions: Iterable[int] | None = None) -> tuple[Segment, ...]:
        """The segments at some positions; all of them by default."""
        return tuple(self.segment(position) for position in (range(len(self)) if positions is None else positions))

    def of_message(self, index: int) -> range:
        """Positions of a message's segments."""
        after = self._first[index + 1] if index + 1 < len(self._first) else len(self)
        return range(self._first[index], after)

    def of_turn(self, turn: int) -> Sequence[int]:
        """Positions of the segments whose age is ``turns - turn``, in document order.

        After a `feed` that took ``turns`` from a to b, those that left a window of w turns are of the turns from
        a - w + 1 to b - w; turn 0 is what stands before the first one.
        """
        return tuple(self._born.get(turn, ()))

    def place(self, position: int) -> Place:
        """Where a segment's text lives in the caller's messages."""
        draft = self._drafts[position]
        return self._place(Place(draft.index, draft.path), self.items[draft.index])

    def tool(self, position: int) -> str:
        """The tool that a segment is a result of; "" where it is none, or nobody knows."""
        return self._drafts[position].owner.tool

    def substitute(self, index: int, message: Any) -> None:
        """Puts another form of a message in its place, with the same texts.

        Args:
            index: The message.
            message: The same but for its marks of a cached prefix, and for whether the one text that it consists of
                stands in a block.
        """
        self.items[index] = message
        plain = isinstance(read(message, "content"), str)
        old, new = (_BLOCK, _PLAIN) if plain else (_PLAIN, _BLOCK)
        for position in self.of_message(index):
            if self._drafts[position].path == old:
                self._drafts[position] = replace(self._drafts[position], path=new)

    def rebuild(self, index: int, outputs: Mapping[str, str]) -> Any:
        """One message with the given texts, by segment id, in place of its own; see `Parsed.rebuild`.

        Unlike there, a text is put in although its segment is the newest user's or inside the cache prefix by now:
        what was sent in an earlier turn must be sent again. What the format or a pin locks stays as it is.
        """
        texts: dict[Path, str] = {}
        for position in self.of_message(index):
            draft = self._drafts[position]
            text = outputs.get(draft.id, draft.text)
            path = self.place(position).path
            if draft.lock is None and path is not None and text != draft.text and index not in self._pins():
                texts[path] = text
        return with_texts(self.items[index], texts)

    def build(self) -> Parsed:
        """All segments so far.

        Raises:
            ConfigError: ``pin`` is out of range.
        """
        self._pins()
        places = {draft.id: self.place(position) for position, draft in enumerate(self._drafts)}
        return Parsed(self.segments(), tuple(self.items), places)

    # What a format calls.

    def messages(
        self, role: Callable[[Any], str] = lambda message: read_text(message, "role"), *, runs: bool = False
    ) -> Iterator[tuple[Any, str]]:
        """Each message that was not walked yet and its role, in order; the texts reported next belong to it.

        Args:
            role: Gives a message's role. "user" and "assistant" start turns; formats with other names map theirs.
            runs: True where one answer of the model is several items in a row: they are one turn then.

        Yields:
            (message, role).
        """
        for view in self._views:
            self._index += 1
            previous, self._role = self._role, role(view)
            self._starts = self._role == "assistant" and not (runs and previous == "assistant")
            self._first.append(len(self._drafts))
            yield view, self._role
            self.turns += self._starts
            self._ended.append(self.turns)
            for position in range(self._first[-1], len(self._drafts)):
                owner = self._drafts[position].owner.index
                turn = self._ended[owner] if owner >= 0 else 0
                self._turns.append(turn)
                self._born.setdefault(turn, []).append(position)
        self._views = []

    def text(
        self,
        where: Path,
        text: object,
        kind: Kind,
        *,
        path: Path | None = None,
        lock: str | None = None,
        title: str = "",
        owner: Caller | None = None,
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
            owner: Of a tool result, who asked for it. Other texts have the age of the current message.
        """
        if not isinstance(text, str) or not text:
            return
        if self._role == "user" and kind in ("user", "document") and text.strip():
            self._starts = True
            self.newest_user = self._index
        name = ".".join(str(step) for step in (self._index, *where))
        owner = Caller(self._index) if owner is None else owner
        lock = lock or self._lock_of(self.items[self._index])
        # A text that is locked for good is never cut into units, so its type is not worth detecting.
        shape = "prose" if lock else content_type(text)
        self._drafts.append(Draft(name, self._index, owner, text, kind, path, lock, title, shape))

    def opaque(self, where: Path, block: object, kind: Kind, lock: str, owner: Caller | None = None) -> None:
        """Adds a block that is never changed. Its text, where it has any, is joined for counting only."""
        self.text(where, "\n".join(texts_of(block)), kind, lock=lock, owner=owner)

    def call(self, where: Path, name: object, arguments: object, call_id: object = None, caller: object = None) -> None:
        """Adds a tool call. Its text, for counting only, is the name and the arguments (as JSON unless a string).

        ``caller`` says who made it: the model (None, or a record of the type "direct"), or a program of the model's.
        """
        if isinstance(call_id, str):
            self._callers[call_id] = Caller(self._index, name if isinstance(name, str) else "")
            if read_text(caller, "type") not in ("", "direct"):
                self._programs.add(call_id)
        shown = [part for part in (name, arguments if isinstance(arguments, str) else to_json(arguments)) if part]
        self.text(where, " ".join(part for part in shown if isinstance(part, str)), "tool_call", lock=locks.TOOL_CALL)

    def caller(self, call_id: object) -> Caller:
        """Who made a tool call; the message before the current one where no call has that id."""
        before = Caller(self._index - 1)
        return self._callers.get(call_id, before) if isinstance(call_id, str) else before

    def programmatic(self, call_id: object) -> bool:
        """True when a program made that tool call: it reads the result, and a model may never see it."""
        return isinstance(call_id, str) and call_id in self._programs

    def breakpoint(self, record: object) -> None:
        """Ends the provider cache prefix after the texts added so far when the record carries a breakpoint."""
        if any(read(record, key) is not None for key in BREAKPOINTS):
            self.cached = len(self._drafts)

    def _lock(self, position: int, draft: Draft) -> str | None:
        if draft.lock:
            return draft.lock
        if draft.index in self._pins():
            return locks.PINNED
        if draft.index == self.newest_user and draft.kind != "tool_result":
            return locks.NEWEST_USER
        return locks.CACHED if position < self.cached else None

    def _pins(self) -> frozenset[int]:
        if self._pin is not None and not callable(self._pin) and self._pins_known != len(self.items):
            self._pinned, self._pins_known = resolve_pin(self._pin, self.items), len(self.items)
        return self._pinned


Walk: TypeAlias = Callable[[Builder], None]
