"""A memory block: what leaves the chat history is compressed once and stays in the prompt."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any, Final

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.bridge.pydantic import BaseModel, ConfigDict, Field, PrivateAttr
from llama_index.core.memory import BaseMemoryBlock

from ctxshrink._lru import LruCache, digest
from ctxshrink._transcript import Line, render, shrink_transcript
from ctxshrink.errors import ConfigError
from ctxshrink.result import ShrinkResult
from ctxshrink.seats import check_goal
from ctxshrink.shrinker import Shrinker

from ._lines import lines_of

_log = logging.getLogger("ctxshrink")

_BREAK: Final = "\n\n"
_MARGIN: Final = 1.25
"""LlamaIndex asks for a number of its own tokens; this much more of ours, because the counters differ."""
_LARGE: Final = 0.5
"""A truncation by more than this share is taken as passing (one huge message) and is not kept."""


class Flushed(BaseModel):
    """What left the chat history together.

    Attributes:
        lines: The original turns.
        text: What they came out as.
    """

    lines: list[Line]
    text: str


class CompressedHistoryBlock(BaseMemoryBlock[str]):
    """Turns that no longer fit into a `Memory`'s chat history, compressed when they leave it.

    ``Memory(memory_blocks=[CompressedHistoryBlock()], insert_method=InsertMethod.USER)``: with LlamaIndex's default the
    block would rewrite the system message whenever something is flushed, and no prompt cache could be used.

    What was flushed once keeps its bytes; later flushes are added after it. Only when the memory, or ``max_tokens``,
    leaves too little room is all of it decided anew from the original turns, down to a mark that leaves ``headroom``
    for later ones. The originals stay in the block and in the memory's own store. Sessions are kept apart by the
    ``session_id`` of the memory; `forget` drops one, which ``Memory.reset`` does not do for any block.

    LlamaIndex does not serialise the blocks of a memory. ``block.model_dump_json()`` holds everything but the shrinker
    and the hook; ``CompressedHistoryBlock.model_validate({**json.loads(data), "shrinker": shrinker})`` has it back.

    Raises:
        pydantic.ValidationError: A setting is wrong; names it. It is a ValueError.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    name: str = Field(default="history", description="The name of the block, a tag in the prompt.")
    priority: int = Field(default=1, description="0 is never truncated; higher numbers are truncated later.")
    shrinker: Shrinker = Field(default_factory=Shrinker, exclude=True, description="Does the work.")
    keep: float | None = Field(default=None, description="Share of the tokens of a flush to keep, in (0, 1].")
    max_tokens: int | None = Field(default=None, description="Most tokens of the whole block, beside keep.")
    headroom: float = Field(default=0.3, description="Share of the room that a rewriting step leaves free, in [0, 1).")
    on_result: Callable[[ShrinkResult[str]], None] | None = Field(
        default=None, exclude=True, description="Called with the result of each flush and each rewriting step."
    )
    sessions: dict[str, list[Flushed]] = Field(default_factory=dict, description="What was flushed, by session.")

    _lock: Any = PrivateAttr(default_factory=threading.Lock)
    _given: Any = PrivateAttr(default_factory=lambda: LruCache(1_000_000))

    def model_post_init(self, context: Any, /) -> None:
        """Check the settings now and not at the first flush."""
        super().model_post_init(context)
        check_goal(self.keep, None)
        check_goal(None, self.max_tokens)
        if not 0 <= self.headroom < 1:
            raise ConfigError(f"headroom must be a share in [0, 1); got {self.headroom!r}")

    @classmethod
    def class_name(cls) -> str:
        """The name that LlamaIndex uses for the component."""
        return "CompressedHistoryBlock"

    def forget(self, session_id: str = "") -> None:
        """Drop what was flushed of a session."""
        with self._lock:
            self.sessions.pop(session_id, None)

    async def _aput(self, messages: list[ChatMessage]) -> None:
        by_session: dict[str, list[ChatMessage]] = {}
        for message in messages:
            by_session.setdefault(str(message.additional_kwargs.get("session_id") or ""), []).append(message)
        for session, flushed in by_session.items():
            await asyncio.to_thread(self._put, session, flushed)

    async def _aget(self, messages: list[ChatMessage] | None = None, **block_kwargs: Any) -> str:
        session = str(block_kwargs.get("session_id") or "")
        text = self._text(session)
        self._given.put(digest(text), _Session(session))
        return text

    async def atruncate(self, content: str, tokens_to_truncate: int) -> str | None:
        """Make the block's content smaller, from the original turns.

        Args:
            content: What the block gave.
            tokens_to_truncate: Tokens, by the memory's tokenizer, to save at least.

        Returns:
            The smaller content; None where nothing of it is left.
        """
        if tokens_to_truncate <= 0 or not content:
            return content or None
        return await asyncio.to_thread(self._truncate, content, tokens_to_truncate) or None

    def _text(self, session: str) -> str:
        with self._lock:
            return _BREAK.join(part.text for part in self.sessions.get(session, ()) if part.text)

    def _put(self, session: str, messages: list[ChatMessage]) -> None:
        lines = lines_of(messages)
        if not lines:
            return
        text = self._shrink(lines, self.keep, None)
        with self._lock:
            self.sessions.setdefault(session, []).append(Flushed(lines=lines, text=text))
        if self.max_tokens is not None and self._count(self._text(session)) > self.max_tokens:
            self._rewrite(session, round(self.max_tokens * (1 - self.headroom)))

    def _truncate(self, content: str, tokens: int) -> str:
        size = self._count(content)
        target = max(0, round((size - _MARGIN * tokens) * (1 - self.headroom)))
        session = self._given.get(digest(content))
        if session is not None and self._text(session.id) == content:
            if tokens <= _LARGE * size:
                return self._rewrite(session.id, target)
            with self._lock:
                lines = [line for part in self.sessions.get(session.id, ()) for line in part.lines]
            return self._smaller(self._shrink(lines, None, target), content)
        return self._smaller(self._shrink([Line("", content, "user")], None, target), content)

    def _rewrite(self, session: str, target: int) -> str:
        """Decides a whole session anew, and keeps that."""
        with self._lock:
            parts = list(self.sessions.get(session, ()))
        lines = [line for part in parts for line in part.lines]
        text = self._smaller(self._shrink(lines, None, target), _BREAK.join(part.text for part in parts if part.text))
        with self._lock:
            held = self.sessions.get(session, [])
            if len(held) >= len(parts) and all(a is b for a, b in zip(parts, held, strict=False)):
                self.sessions[session] = [Flushed(lines=lines, text=text), *held[len(parts) :]]
        return self._text(session)  # Where somebody else rewrote or forgot the session meanwhile, that stands.

    def _shrink(self, lines: list[Line], keep: float | None, max_tokens: int | None) -> str:
        try:
            result = shrink_transcript(lines, self.shrinker, keep=keep, max_tokens=max_tokens)
        except Exception as error:  # noqa: BLE001  the messages have left the chat history: they must not be lost here
            _log.warning("%s: %s; these turns stay whole", self.class_name(), type(error).__name__)
            return render(lines, [line.text for line in lines])
        try:
            if self.on_result is not None:
                self.on_result(result)
        except Exception as error:  # noqa: BLE001  an observer; the turns are compressed
            _log.warning("%s: on_result failed (%s)", self.class_name(), type(error).__name__)
        return result.output

    def _smaller(self, text: str, before: str) -> str:
        """The new text, or the old one where that is as short: the note of what is gone may be longer than a turn."""
        return text if self._count(text) < self._count(before) else before

    def _count(self, text: str) -> int:
        return self.shrinker.counter.count([text])[0]


class _Session:
    """A session's id, as a value of an `LruCache`."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.nbytes = 4 * len(id)
