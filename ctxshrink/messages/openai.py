"""OpenAI Chat Completions messages, as the SDK and compatible servers take and return them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ctxshrink.messages import locks
from ctxshrink.messages.builder import Builder
from ctxshrink.messages.parsed import Parsed, Path, Pin, as_parts, is_record, read, read_parts, read_text
from ctxshrink.types import Kind

_KINDS: Final[dict[str, Kind]] = {
    "system": "instruction",
    "developer": "instruction",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool_result",
    "function": "tool_result",  # The predecessor of "tool".
}
_REASONING_KEYS: Final = ("reasoning_content", "reasoning")
"""Where servers other than OpenAI's own put a model's reasoning."""


class OpenAIFormat:
    """OpenAI Chat Completions: content as text, parts or nothing, ``tool_calls``, ``role: "tool"``.

    ``cache_control`` on parts is read too: gateways to Anthropic models accept it in this format.
    """

    name = "openai"

    def matches(self, messages: Sequence[Any], /) -> bool:
        """True for records that have a role. Ask the Anthropic format first: its plain messages look the same."""
        return all(is_record(message) and isinstance(read(message, "role"), str) for message in messages)

    def parse(self, messages: Sequence[Any], /, pin: Pin = None) -> Parsed:
        """The conversation as segments; see `MessageFormat.parse`."""
        builder = self.grow(pin)
        builder.feed(messages)
        return builder.build()

    def grow(self, pin: Pin = None) -> Builder:
        """An empty conversation; see `GrowingFormat.grow`."""
        return Builder(_walk, pin)


def _walk(builder: Builder) -> None:
    for message, role in builder.messages():
        for key in _REASONING_KEYS:
            builder.text((key,), read(message, key), "assistant", lock=locks.REASONING)
        _content(builder, message, role)
        builder.text(("refusal",), read(message, "refusal"), "assistant", lock=locks.REFUSAL)
        _calls(builder, message)
        builder.breakpoint(message)


def _content(builder: Builder, message: Any, role: str) -> None:
    kind, lock = locks.of_role(role, _KINDS)
    if lock is None and as_parts(read(message, "annotations")):
        lock = locks.CITED  # They point at character positions of the content.
    owner = builder.caller(read(message, "tool_call_id")) if kind == "tool_result" else None
    builder.text((), read(message, "content"), kind, path=("content",), lock=lock, owner=owner)
    for index, part in enumerate(read_parts(message, "content")):
        where: Path = (index,)
        part_kind = read(part, "type")
        if isinstance(part, str):  # Not in the specification, but common in hand-written histories.
            builder.text(where, part, kind, path=("content", index), lock=lock, owner=owner)
        elif part_kind == "text":
            cited = locks.CITED if as_parts(read(part, "annotations")) or as_parts(read(part, "citations")) else None
            path: Path = ("content", index, "text")
            builder.text(where, read(part, "text"), kind, path=path, lock=lock or cited, owner=owner)
        elif part_kind == "refusal":
            builder.text(where, read(part, "refusal"), kind, lock=lock or locks.REFUSAL, owner=owner)
        else:
            builder.opaque(where, part, kind, lock or locks.UNKNOWN_BLOCK, owner)
        builder.breakpoint(part)


def _calls(builder: Builder, message: Any) -> None:
    legacy = read(message, "function_call")
    if is_record(legacy):
        builder.call(("function_call",), read(legacy, "name"), read(legacy, "arguments"))
    for index, call in enumerate(read_parts(message, "tool_calls")):
        where: Path = ("tool_calls", index)
        function, custom = read(call, "function"), read(call, "custom")
        if is_record(function):
            builder.call(where, read(function, "name"), read(function, "arguments"), read(call, "id"))
        elif is_record(custom):
            builder.call(where, read(custom, "name"), read(custom, "input"), read(call, "id"))
        else:
            builder.call(where, read_text(call, "name"), read(call, "arguments"), read(call, "id"))
        builder.breakpoint(call)
