"""A summarizer for `SummarizationMiddleware` that works offline and keeps what was said word for word."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, SystemMessage, ToolMessage
from langchain_core.runnables import Runnable, RunnableConfig

from ctxshrink._transcript import CALL_CHARS, Line, call_text, left_out, lines_from, render, shrink_transcript
from ctxshrink.messages import locks
from ctxshrink.messages.parsed import read_parts, read_text
from ctxshrink.result import ShrinkResult
from ctxshrink.seats import check_goal
from ctxshrink.shrinker import Shrinker
from ctxshrink.types import Kind

_log = logging.getLogger("ctxshrink")

MAX_TOKENS: Final = 2000
"""Tokens of a summary where the caller says nothing."""
TASK_CHARS: Final = 1600
"""Characters up to which the newest thing that the user asked for stays exact."""
_USER: Final = "user"
_KINDS: Final[dict[str, tuple[str, Kind]]] = {
    "human": (_USER, "user"),
    "ai": ("assistant", "assistant"),
    "tool": ("tool result", "tool_result"),
    "function": ("tool result", "tool_result"),
}
_REASONING: Final = frozenset({"thinking", "redacted_thinking", "reasoning"})
_CALLS: Final = frozenset({"tool_use", "tool_call", "input_json_delta", "function_call"})
_SUMMARY: Final = "summarization"
_INTRODUCTION: Final = "Here is a summary of the conversation to date:\n\n"
"""What LangChain puts before a summary, and puts there again."""
_EARLIER: Final = "an earlier summary"


class CtxShrinkSummarizer(Runnable[Sequence[AnyMessage], str]):
    """Stands in for the model that writes summaries: extracts, and calls nothing outside.

    ``SummarizationMiddleware(model, trigger=…, summarizer=CtxShrinkSummarizer(), trim_tokens_to_summarize=None)``: with
    LangChain's default the summarizer sees the newest 4,000 tokens of what is about to be removed; the rest is lost.

    The summary holds sentences and lines of the turns, word for word, in order, under labels; what was left out is
    counted in place, and can be had again where the shrinker has a store. The newest thing that the user asked for
    stays exact, and is what the rest is read for. Of images and files it says that there were some; the model's
    reasoning is not shown. Under ``keep`` an earlier summary stays exact; under ``max_tokens`` it is shortened like the
    rest. Where the shrinker fails, the summary is the whole transcript.

    Args:
        shrinker: Does the work; default `Shrinker()`.
        keep: Share of the tokens to keep, in (0, 1]. The summary then grows with the conversation.
        max_tokens: Most tokens of the summary; give this or ``keep``. Without either it is `MAX_TOKENS`.
        on_result: Called with each result.

    Raises:
        ConfigError: A setting is wrong.
    """

    def __init__(
        self,
        shrinker: Shrinker | None = None,
        *,
        keep: float | None = None,
        max_tokens: int | None = None,
        on_result: Callable[[ShrinkResult[str]], None] | None = None,
    ) -> None:
        check_goal(keep, max_tokens)
        self.shrinker = Shrinker() if shrinker is None else shrinker
        self._keep = keep
        self._max_tokens = MAX_TOKENS if keep is None and max_tokens is None else max_tokens
        self._on_result = on_result

    def invoke(self, input: Sequence[AnyMessage], config: RunnableConfig | None = None, **kwargs: Any) -> str:
        """The summary of some messages.

        Args:
            input: The messages that are about to be removed, all of them.
            config: As LangChain hands it on.
            kwargs: Not used; part of LangChain's interface.
        """
        return self._call_with_config(self._summary, input, config)

    async def ainvoke(self, input: Sequence[AnyMessage], config: RunnableConfig | None = None, **kwargs: Any) -> str:
        """The async twin of `invoke`; works in a thread."""

        async def work(messages: Sequence[AnyMessage]) -> str:
            return await asyncio.to_thread(self._summary, messages)

        return await self._acall_with_config(work, input, config)

    def _summary(self, messages: Sequence[AnyMessage]) -> str:
        lines = _transcript(messages, exact=self._keep is not None)
        task = next((line.text for line in reversed(lines) if line.lock_reason == locks.NEWEST_USER), None)
        try:
            result = shrink_transcript(lines, self.shrinker, query=task, keep=self._keep, max_tokens=self._max_tokens)
        except Exception as error:  # noqa: BLE001  the messages are about to be removed: nothing may be lost here
            _log.warning("CtxShrinkSummarizer: %s; the summary is the whole transcript", type(error).__name__)
            return render(lines, [line.text for line in lines])
        if self._on_result is not None:
            try:
                self._on_result(result)
            except Exception as error:  # noqa: BLE001  an observer; the summary is done
                _log.warning("CtxShrinkSummarizer: on_result failed (%s)", type(error).__name__)
        return result.output


def _transcript(messages: Sequence[BaseMessage], *, exact: bool) -> list[Line]:
    """The messages as lines; the newest thing that the user asked for is locked, unless it is long."""
    answered = {message.tool_call_id for message in messages if isinstance(message, ToolMessage)}
    made: dict[str, str] = {}
    lines: list[Line] = []
    for message in messages:
        lines += _lines(message, made, exact=exact)
        for call in [*message.tool_calls, *message.invalid_tool_calls] if isinstance(message, AIMessage) else []:
            text = call_text(call["name"], call["args"])
            if call["id"] in answered and len(text) <= CALL_CHARS:
                made[call["id"] or ""] = text
            else:
                lines.append(Line("assistant called", text, "assistant"))
    for index in reversed(range(len(lines))):
        line = lines[index]
        asked = line.label == _USER or (not line.label and line.text.startswith(f"{_USER}: "))
        if asked and line.kind == "user" and line.lock_reason is None:
            if len(line.text) <= TASK_CHARS:
                lines[index] = replace(line, lock_reason=locks.NEWEST_USER)
            break
    return lines


def _lines(message: BaseMessage, calls: Mapping[str, str], *, exact: bool) -> Iterator[Line]:
    """The texts of a message, in order; ``calls`` are the tool calls whose results are still to come, by id."""
    label, kind = _KINDS.get(message.type, (message.type, "user"))
    lock = None
    if isinstance(message, SystemMessage):
        label, kind, lock = "instruction", "instruction", locks.INSTRUCTION
    elif isinstance(message, ToolMessage):
        label = calls.get(message.tool_call_id) or (f"{label} ({message.name})" if message.name else label)
    if message.additional_kwargs.get("lc_source") == _SUMMARY:
        said = message.text.removeprefix(_INTRODUCTION)
        yield from [Line("", said, "user", _EARLIER)] if exact else lines_from(said)
        return
    content = message.content
    for block in [content] if isinstance(content, str) else content:
        name = "text" if isinstance(block, str) else str(block.get("type") or "block")
        texts = [block] if isinstance(block, str) else [read_text(block, "text")] if name == "text" else []
        if name in ("search_result", "document"):
            texts = [read_text(part, "text") for part in read_parts(block, "content")]
        yield from (Line(label, text, kind, lock) for text in texts if text)
        if not texts and name not in _REASONING | _CALLS:
            yield from left_out([name])
