"""What a conversation has been so far: its messages, and what each of their texts came out as."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ctxshrink._lru import digest
from ctxshrink.errors import FormatError
from ctxshrink.messages import Builder, detect
from ctxshrink.messages.marks import count_marks, unmarked_form, without_marks
from ctxshrink.messages.parsed import with_texts
from ctxshrink.messages.protocols import GrowingFormat, MessageFormat
from ctxshrink.types import Decision, TokenCounter


@dataclass(slots=True)
class Entry:
    """What is known of one text.

    Attributes:
        key: Stands for its place: for its text and all text before it.
        text: What it comes out as.
        before: Tokens of the original.
        after: Tokens of what it comes out as.
        settled: It was decided, and is replayed from now on.
        decision: That decision.
    """

    key: str
    text: str
    before: int
    after: int
    settled: bool = False
    decision: Decision | None = None


@dataclass
class History:
    """The messages of a conversation, read once each, and an `Entry` for each of their texts.

    Args:
        counter: Counts tokens.
        settings: What decisions depend on beside the text; part of every key.
    """

    counter: TokenCounter
    settings: str
    entries: list[Entry] = field(default_factory=list[Entry])
    before: int = 0
    after: int = 0
    sent: int = 0
    """Texts that were part of an earlier request."""
    gone: dict[str, Entry] = field(default_factory=dict[str, Entry])
    """Texts that were sent and then taken away, by key: where they come back, they are the same again."""
    reread: bool = False
    """They were taken away because all messages were read anew as another format."""

    def __post_init__(self) -> None:
        self._builder: Builder | None = None
        self._format: MessageFormat | None = None
        self._marked: list[int] = []  # Messages with marks that came after the first call.
        self._outputs: list[tuple[Any, Any] | None] = []  # What a message comes out as, and the copy in use.

    @property
    def builder(self) -> Builder:
        """The conversation as segments."""
        if self._builder is None:
            raise FormatError("a conversation starts with its first message")
        return self._builder

    def __len__(self) -> int:
        return 0 if self._builder is None else len(self._builder.items)

    def known(self, messages: Sequence[Any]) -> int:
        """How many of the messages, from the first on, are the ones that are already here.

        Each may be given as it was, or as it came out. Where only the caller's marks of a cached prefix differ, they
        are taken over.
        """
        items = [] if self._builder is None else self._builder.items
        for index, (mine, given) in enumerate(zip(items, messages, strict=False)):
            sent = (self._outputs[index] or (mine,))[0]
            if _same(mine, given) or _same(sent, given):
                continue
            form = unmarked_form(given)
            if _same(unmarked_form(mine), form):
                self._substitute(index, _own(given))
            elif _same(unmarked_form(sent), form):
                self._substitute(index, mine if count_marks(given) else without_marks(mine))
            else:
                return index
        return min(len(items), len(messages))

    def supersede_marks(self, messages: Sequence[Any]) -> None:
        """Takes earlier marks off where new messages bring some, but for those of the first call.

        Whoever only adds messages cannot take a mark back, and providers refuse requests with more than a few.
        """
        if self._marked and any(count_marks(m) for m in messages):
            for index in self._marked:
                self._substitute(index, without_marks(self.builder.items[index]))
            self._marked = []

    def feed(self, messages: Sequence[Any]) -> range:
        """Adds messages; work in proportion to them alone. Returns the positions of their texts."""
        found = detect(messages, self._format if self._builder is not None else None)
        items = [_own(m) for m in messages]
        if self._builder is None:
            self._start(found)
        elif found is not self._format:
            together = [*self._builder.items, *items]
            found = detect(together)
            if found is not self._format:  # Its first messages look the same in two formats.
                self.cut(0)
                self.reread = True
                items = together
                self._start(found)
        first = len(self)
        new = self.builder.feed(items)
        self._marked += [index for index, m in enumerate(items, first) if first and count_marks(m)]
        texts = [self.builder.segment(p).text for p in new]
        for position, text, size in zip(new, texts, self.counter.count(texts), strict=True):
            previous = self.entries[-1].key if self.entries else ""
            segment = self.builder.segment(position)
            message = str(self.builder.place(position).index)
            key = digest(self.settings, previous, message, segment.kind, text).hex()
            self.entries.append(Entry(key, text, size, size))
            self.before += size
            self.after += size
        self._outputs += [None] * len(items)
        return new

    def cut(self, length: int) -> None:
        """Takes all messages from a position on away. What was sent of them stays in `gone`."""
        builder = self.builder
        at = builder.of_message(length).start if length < len(builder.items) else len(self.entries)
        self.gone = {e.key: e for e in self.entries[at : self.sent]}
        kept, items, outputs = self.entries[:at], builder.items[:length], self._outputs[:length]
        self._builder, self._outputs, message_format = None, outputs, self._format
        self.entries, self.sent = kept, min(self.sent, at)
        self.before, self.after = sum(e.before for e in kept), sum(e.after for e in kept)
        self._marked = [index for index in self._marked if index < length]
        if items and message_format is not None:
            self._start(message_format)
            self.builder.feed(items)

    def settle(self, position: int, decision: Decision) -> None:
        """Fixes what a text comes out as."""
        entry = self.entries[position]
        self.set(position, decision.text, decision.tokens_after)
        entry.settled, entry.decision = True, decision

    def set(self, position: int, text: str, tokens: int) -> None:
        """Changes what a text comes out as."""
        entry = self.entries[position]
        if entry.text == text:
            return
        self.after += tokens - entry.after
        entry.text, entry.after = text, tokens
        self._outputs[self.builder.place(position).index] = None

    def output(self) -> list[Any]:
        """All messages with what their texts come out as.

        A message that did not change is the same object as in the last output, unless somebody edited that: handing it
        out again is all that a turn costs for it.
        """
        builder, output = self.builder, list[Any]()
        for index, known in enumerate(self._outputs):
            if known is None:
                texts = {builder.segment(p).id: self.entries[p].text for p in builder.of_message(index)}
                made = builder.rebuild(index, texts)
                known = self._outputs[index] = made, _own(made)
            elif not _untouched(*known):
                known = self._outputs[index] = known[0], _own(known[0])
            output.append(known[1])
        return output

    def originals(self) -> list[Any]:
        """All messages as they were given."""
        return [with_texts(item, {}) for item in self.builder.items]

    def _substitute(self, index: int, message: Any) -> None:
        self.builder.substitute(index, message)
        self._outputs[index] = None

    def _start(self, message_format: MessageFormat) -> None:
        if not isinstance(message_format, GrowingFormat):
            raise FormatError(
                f"messages of the format {message_format.name!r} cannot be read one by one; give it a grow method"
            )
        self._format = message_format
        self._builder = message_format.grow()


def _own(item: Any) -> Any:
    """A copy that later changes of the caller's object do not reach; texts are shared."""
    return copy.copy(item) if hasattr(item, "model_copy") else with_texts(item, {})


def _untouched(made: object, handed: object) -> bool:
    """True where nobody edited what was handed out. Comparing is cheap: both hold the same strings."""
    mine, theirs = getattr(made, "__dict__", None), getattr(handed, "__dict__", None)
    return _same(made, handed) if mine is None else _same(mine, theirs)


def _same(mine: object, given: object) -> bool:
    try:
        return bool(mine == given)
    except Exception:  # noqa: BLE001  an object that cannot be compared is taken as changed
        return False
