"""LlamaIndex chat messages as lines of a transcript."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from llama_index.core.base.llms.types import (
    BaseContentBlock,
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from ctxshrink._transcript import CALL_CHARS, Line, call_text, left_out
from ctxshrink.messages import locks
from ctxshrink.types import Kind

_KINDS: Final[dict[str, Kind]] = {
    "system": "instruction",
    "developer": "instruction",
    "user": "user",
    "assistant": "assistant",
    "chatbot": "assistant",
    "model": "assistant",
    "tool": "tool_result",
    "function": "tool_result",
}
_LABELS: Final = {"tool_result": "tool result", "instruction": "instruction", "user": "user", "assistant": "assistant"}
_SILENT: Final = (CachePoint, ThinkingBlock, ToolCallBlock)
"""Blocks that are not shown, or elsewhere."""


def lines_of(messages: Sequence[ChatMessage]) -> list[Line]:
    """The texts and tool calls of some messages, in order; other blocks are named, reasoning is not shown."""
    answered = {message.additional_kwargs.get("tool_call_id") for message in messages}
    made: dict[Any, str] = {}
    lines: list[Line] = []
    for message in messages:
        lines += _lines(message, made)
        for call_id, name, arguments in _calls(message):
            text = call_text(name, arguments)
            if call_id is not None and call_id in answered and len(text) <= CALL_CHARS:
                made[call_id] = text
            else:
                lines.append(Line("assistant called", text, "assistant"))
    return lines


def _lines(message: ChatMessage, calls: Mapping[Any, str]) -> Iterator[Line]:
    """The texts of a message; ``calls`` are the tool calls whose results are still to come, by id."""
    role = message.role.value if isinstance(message.role, MessageRole) else str(message.role)
    kind = _KINDS.get(role, "user")
    lock = locks.INSTRUCTION if kind == "instruction" else None
    label = _LABELS[kind]
    if kind == "tool_result":
        label = calls.get(message.additional_kwargs.get("tool_call_id")) or label
    for block in message.blocks:
        if not isinstance(block, _SILENT):
            texts, others = _read(block)
            for text in texts:
                yield Line(label, text, kind, lock)
            yield from left_out(others)


def _read(block: BaseContentBlock) -> tuple[list[str], list[str]]:
    """The texts of a block, and the types of what it holds beside them."""
    if isinstance(block, TextBlock):
        return ([block.text] if block.text else []), []
    if isinstance(block, CitableBlock | CitationBlock):
        inner = block.content if isinstance(block, CitableBlock) else [block.cited_content]
        found = [_read(part) for part in inner]
        return [text for texts, _ in found for text in texts], [name for _, names in found for name in names]
    return [], [str(getattr(block, "block_type", type(block).__name__))]


def _calls(message: ChatMessage) -> Iterator[tuple[Any, Any, Any]]:
    """The tool calls of a message, as blocks or as integrations kept them before: id, name and arguments."""
    shown: set[Any] = set()
    for block in message.blocks:
        if isinstance(block, ToolCallBlock):
            shown.add(block.tool_call_id)
            yield block.tool_call_id, block.tool_name, block.tool_kwargs
    older = message.additional_kwargs.get("tool_calls")
    for call in older if isinstance(older, list | tuple) else ():
        call_id, function = _get(call, "id"), _get(call, "function")
        if function is not None and (call_id is None or call_id not in shown):
            yield call_id, _get(function, "name"), _get(function, "arguments")


def _get(record: Any, key: str) -> Any:
    return record.get(key) if isinstance(record, Mapping) else getattr(record, key, None)
