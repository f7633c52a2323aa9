"""Conversations that live in an agent's private state: what was decided is there, whichever process goes on."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from langchain_core.messages import BaseMessage

from ctxshrink.messages.checks import to_json
from ctxshrink.prefix import Conversation, Memo, Memory
from ctxshrink.result import ShrinkResult

from ._plain import born, dressed

_SENT: Final = "sent:"
_BIRTH: Final = "birth:"


class Decided:
    """A `ctxshrink.prefix.Memory` for one conversation, small enough to be written at each step.

    Decisions at birth stand for a text wherever it occurs: they go to a memory that all conversations share. Of the
    marks that say how far a conversation was sent only the newest is kept.

    Args:
        texts: What was decided before.
        shared: Holds the decisions at birth.
        most: Characters that it holds at most; what was decided first is forgotten first, and then comes out whole
            after a restart.
    """

    def __init__(self, texts: Mapping[str, str], shared: Memory, most: int) -> None:
        self._before = dict(texts)
        self._texts: dict[str, str] = {}
        self._sent: list[str] = []
        self._shared = shared
        self._most = most
        self._size = 0

    def remember(self, texts: Mapping[str, str], /) -> None:
        """See `Memory.remember`."""
        self._shared.remember({key: text for key, text in texts.items() if key.startswith(_BIRTH)})
        if any(key.startswith(_SENT) for key in texts):
            while self._sent:
                self._drop(self._sent.pop())
        for key, text in texts.items():
            if not key.startswith(_BIRTH):
                self._set(key, text)
        while self._size > self._most and self._texts:
            self._drop(next(iter(self._texts)))

    def recall(self, keys: Sequence[str], /) -> dict[str, str]:
        """See `Memory.recall`."""
        found = dict(self._shared.recall([key for key in keys if key.startswith(_BIRTH)]))
        for key in keys:
            text = self._texts.get(key, self._before.get(key))
            if text is not None:
                found[key] = text
                self._set(key, text)
        return found

    def _set(self, key: str, text: str) -> None:
        self._drop(key)
        self._texts[key] = text
        self._size += len(key) + len(text)
        if key.startswith(_SENT):
            self._sent.append(key)

    def _drop(self, key: str) -> None:
        text = self._texts.pop(key, None)
        if text is not None:
            self._size -= len(key) + len(text)

    def snapshot(self) -> dict[str, str]:
        """What is known of the texts that this conversation still has: what nobody asked for again is left out."""
        return dict(self._texts)


@dataclass(slots=True)
class Thread:
    """One conversation, in the hands of one request.

    Attributes:
        conversation: Replays and decides.
        decided: What it has decided.
        id: What it was taken by; "" for a new one.
        at: When that was, in seconds since 1970; None where there was none.
        given: Its messages, as they came.
        stripped: The same, as the conversation read them.
        made: What the conversation made of them.
        shown: What the model was shown.
        chain: Their key.
    """

    conversation: Conversation
    decided: Decided
    id: str = ""
    at: float | None = None
    given: Sequence[BaseMessage] = ()
    stripped: Sequence[BaseMessage] = ()
    made: Sequence[BaseMessage] = ()
    shown: Sequence[BaseMessage] = ()
    chain: Chain = field(default_factory=lambda: Chain())

    def send(
        self,
        given: Sequence[BaseMessage],
        strip: Callable[[BaseMessage], BaseMessage],
        *,
        keep: float | None,
        max_tokens: int | None,
        now: float,
    ) -> ShrinkResult[list[Any]]:
        """Shrinks the messages of a request; sets `shown`. Where they go on from the last one, only new ones are read.

        Args:
            given: All messages, as they came.
            strip: Gives the form in which the conversation shall read one.
            keep: See `Conversation.shrink`.
            max_tokens: See `Conversation.shrink`.
            now: The time.
        """
        known = len(self.stripped)
        stripped = [
            self.stripped[index] if index < known and self.given[index] is message else strip(message)
            for index, message in enumerate(given)
        ]
        goes_on = 0 < known < len(given) and all(
            old is new or old == new for old, new in zip(self.stripped, stripped, strict=False)
        )
        idle = None if self.at is None else max(0.0, now - self.at)
        talk = self.conversation
        if goes_on:
            result = talk.extend(stripped[known:], keep=keep, max_tokens=max_tokens, idle=idle, born=born)
        else:
            result = talk.shrink(stripped, keep=keep, max_tokens=max_tokens, idle=idle, born=born)
        made: list[BaseMessage] = result.output
        self.shown = [
            self.shown[index]
            if index < len(self.made) and self.made[index] is made[index] and self.given[index] is message
            else dressed(message, made[index])
            for index, message in enumerate(given)
        ]
        self.given, self.stripped, self.made = given, stripped, made
        self.at = now
        return result


@dataclass(slots=True)
class _Kept:
    """What is known under the id of a state: the conversation, unless it went on, and then how."""

    state: dict[str, Any]
    thread: Thread | None
    next: tuple[bytes, str] = (b"", "")


@dataclass
class Threads:
    """The conversations of an agent. Safe between threads: one conversation is never in two hands at a time.

    The state is what counts. Conversations are also kept in this process, so that a turn costs what is new of it; where
    one is not here (another process, a branch from an earlier checkpoint), it is made from the state. A request that is
    made again, as after a failure, goes on from where the first one ended. Where there is no state (an agent without a
    checkpointer that is called with the whole history), one that was sent the same messages is looked for.

    Args:
        make: An empty conversation with this memory.
        most: Conversations that are kept.
        chars: Characters of decided text that one may have.
    """

    make: Callable[[Memory], Conversation]
    most: int = 128
    chars: int = 4_000_000
    _kept: OrderedDict[str, _Kept] = field(default_factory=OrderedDict)
    _by_messages: OrderedDict[bytes, str] = field(default_factory=OrderedDict)
    _shared: Memo = field(default_factory=lambda: Memo(16_000_000))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, state: object, messages: Sequence[BaseMessage]) -> Thread:
        """The conversation that a request continues; a new one where it continues none.

        Args:
            state: What `give` returned in the step before, from the agent's state; None where there is none.
            messages: The messages of the request.
        """
        saved: Mapping[Any, Any] = state if isinstance(state, Mapping) else {}
        found = str(saved.get("id", "")) or self._known(messages)
        key = Chain().key(messages) if self._went_on(found) else b""
        with self._lock:
            kept = self._kept.get(found)
            if kept is not None and key and kept.next[0] == key and kept.next[1] in self._kept:
                found = kept.next[1]
                kept = self._kept[found]
            thread = None
            if kept is not None:
                thread, kept.thread = kept.thread, None
                saved = kept.state
        if thread is None or len(thread.given) > len(messages):
            texts = saved.get("texts")
            known = {k: t for k, t in texts.items() if isinstance(t, str)} if isinstance(texts, Mapping) else {}
            decided = Decided(known, self._shared, self.chars)
            thread = Thread(self.make(decided), decided)
        at = saved.get("at")
        thread.id, thread.at = found, at if isinstance(at, int | float) else None
        return thread

    def give(self, thread: Thread) -> dict[str, Any]:
        """Keeps a conversation for the next request.

        Args:
            thread: As it is after the request.

        Returns:
            What to write into the agent's state: JSON-ready.
        """
        state: dict[str, Any] = {"id": uuid.uuid4().hex, "texts": thread.decided.snapshot(), "at": thread.at}
        last = thread.chain.key(thread.given)
        with self._lock:
            if thread.id in self._kept:
                self._kept[thread.id].next = last, state["id"]
            self._kept[state["id"]] = _Kept(state, thread)
            self._by_messages[last] = state["id"]
            self._by_messages.move_to_end(last)
            while len(self._kept) > self.most:
                self._kept.popitem(last=False)
            while len(self._by_messages) > self.most:
                self._by_messages.popitem(last=False)
        return state

    def _went_on(self, found: str) -> bool:
        with self._lock:
            return found in self._kept and bool(self._kept[found].next[1])

    def knows(self, messages: Sequence[BaseMessage]) -> bool:
        """True where a conversation was sent the first of these messages before."""
        return bool(self._known(messages))

    def _known(self, messages: Sequence[BaseMessage]) -> str:
        chain = Chain()
        keys = [chain.add(message) for message in messages] if self._by_messages else []
        with self._lock:
            return next((self._by_messages[key] for key in reversed(keys) if key in self._by_messages), "")


class Chain:
    """A key for a list of messages, for its content and order; of a longer list only what is new is read."""

    def __init__(self) -> None:
        self._read: list[BaseMessage] = []
        self._state = hashlib.blake2b(digest_size=16)

    def key(self, messages: Sequence[BaseMessage]) -> bytes:
        """The key."""
        read = len(self._read)
        if read > len(messages) or any(a is not b for a, b in zip(self._read, messages, strict=False)):
            self._read, self._state, read = [], hashlib.blake2b(digest_size=16), 0
        for message in messages[read:]:
            self.add(message)
        return self._state.digest()

    def add(self, message: BaseMessage) -> bytes:
        """Reads one more message; returns the key of all so far."""
        self._read.append(message)
        calls = getattr(message, "tool_calls", None) or ()
        call_id = getattr(message, "tool_call_id", None) or ""
        for part in (message.type, to_json(message.content), to_json(calls), call_id):
            data = part.encode("utf-8", "surrogatepass")
            self._state.update(len(data).to_bytes(8, "little") + data)
        return self._state.digest()
