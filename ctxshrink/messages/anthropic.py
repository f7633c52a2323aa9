"""Anthropic Messages, as the SDK takes and returns them: dicts, or the SDK's own block objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ctxshrink.messages import locks
from ctxshrink.messages.builder import Builder
from ctxshrink.messages.checks import to_json
from ctxshrink.messages.drafts import Caller
from ctxshrink.messages.parsed import Parsed, Path, Pin, as_parts, is_record, read, read_parts, read_text
from ctxshrink.types import Kind

_KINDS: Final[dict[str, Kind]] = {
    "system": "instruction",  # Usually outside the messages; tolerated inside.
    "developer": "instruction",
    "user": "user",
    "assistant": "assistant",
}
_TOOL_BLOCKS: Final = frozenset({"mcp_tool_listing", "tool_addition", "tool_removal"})
_OWN_BLOCKS: Final = _TOOL_BLOCKS | {
    "thinking",
    "redacted_thinking",
    "search_result",
    "container_upload",
    "compaction",
    "fallback",
}
_OPENAI_ROLES: Final = frozenset({"tool", "developer", "function"})
_OPENAI_PARTS: Final = frozenset({"image_url", "input_audio", "file", "refusal"})


class AnthropicFormat:
    """Anthropic Messages: content as text or typed blocks."""

    name = "anthropic"

    def matches(self, messages: Sequence[Any], /) -> bool:
        """True when a block is present that OpenAI lacks, or ``cache_control`` and nothing that only OpenAI has."""
        cached = openai = False
        for message in messages:
            openai = openai or read_text(message, "role") in _OPENAI_ROLES or bool(read_parts(message, "tool_calls"))
            cached = cached or read(message, "cache_control") is not None
            for block in read_parts(message, "content"):
                if _own(block):
                    return True
                openai = openai or read_text(block, "type") in _OPENAI_PARTS
                cached = cached or read(block, "cache_control") is not None
        return cached and not openai

    def parse(self, messages: Sequence[Any], /, pin: Pin = None) -> Parsed:
        """The conversation as segments; see `MessageFormat.parse`."""
        builder = self.grow(pin)
        builder.feed(messages)
        return builder.build()

    def grow(self, pin: Pin = None) -> Builder:
        """An empty conversation; see `GrowingFormat.grow`."""
        return Builder(walk, pin)


def walk(builder: Builder) -> None:
    """Reports the texts of messages in Anthropic's shape; for formats that can show theirs in it."""
    for message, role in builder.messages():
        kind, lock = locks.of_role(role, _KINDS)
        builder.text((), read(message, "content"), kind, path=("content",), lock=lock)
        for index, block in enumerate(read_parts(message, "content")):
            _block(builder, block, (index,), ("content", index), kind, lock)
        builder.breakpoint(message)


def _own(block: object) -> bool:
    """True for a block that OpenAI's format does not have."""
    kind = read_text(block, "type")
    return kind in _OWN_BLOCKS or kind.endswith(("tool_use", "tool_result")) or (bool(kind) and _has_source(block))


def _has_source(block: object) -> bool:
    return read(block, "source") is not None


def _block(builder: Builder, block: object, where: Path, path: Path, kind: Kind, lock: str | None) -> None:
    """Reports one block of a message. ``where`` names it, ``path`` leads to it."""
    match "text" if isinstance(block, str) else read_text(block, "type"):
        case "text":
            _text(builder, block, where, path, kind, lock)
        case "thinking":
            builder.text(where, read(block, "thinking"), "assistant", lock=locks.REASONING)
        case "redacted_thinking":
            pass  # Encrypted: no text.
        case "tool_result":
            _tool_result(builder, block, where, path, lock)
        case "document" | "search_result":
            _document(builder, block, where, path, "document", lock)
        case name if name.endswith("tool_use"):
            builder.call(where, read(block, "name"), read(block, "input"), read(block, "id"), read(block, "caller"))
        case name if name.endswith("tool_result"):
            builder.opaque(where, block, "tool_result", lock or locks.SERVER_RESULT)
        case "compaction":
            builder.opaque(where, block, "assistant", locks.COMPACTION)
        case name if name in _TOOL_BLOCKS:
            definitions = read(block, "tools") or read(block, "tool")
            builder.text(where, to_json(definitions), "instruction", lock=locks.TOOLS)
        case _:
            builder.opaque(where, block, kind, lock or locks.UNKNOWN_BLOCK)
    builder.breakpoint(block)


def _text(
    builder: Builder,
    block: object,
    where: Path,
    path: Path,
    kind: Kind,
    lock: str | None,
    owner: Caller | None = None,
    title: str = "",
) -> None:
    if isinstance(block, str):  # Not in the specification, but common in hand-written histories.
        builder.text(where, block, kind, path=path, lock=lock, owner=owner, title=title)
        return
    cited = locks.CITED if as_parts(read(block, "citations")) else None
    text = read(block, "text")
    builder.text(where, text, kind, path=(*path, "text"), lock=lock or cited, owner=owner, title=title)


def _tool_result(builder: Builder, block: object, where: Path, path: Path, lock: str | None) -> None:
    call_id = read(block, "tool_use_id")
    lock = lock or (locks.FAILED if read(block, "is_error") else None)
    lock = lock or (locks.PROGRAM if builder.programmatic(call_id) else None)
    owner = builder.caller(call_id)
    builder.text(where, read(block, "content"), "tool_result", path=(*path, "content"), lock=lock, owner=owner)
    for index, part in enumerate(read_parts(block, "content")):
        inner, inner_path = (*where, index), (*path, "content", index)
        part_kind = "text" if isinstance(part, str) else read_text(part, "type")
        if part_kind == "text":
            _text(builder, part, inner, inner_path, "tool_result", lock, owner)
        elif part_kind in ("document", "search_result"):
            _document(builder, part, inner, inner_path, "tool_result", lock, owner)
        else:
            builder.opaque(inner, part, "tool_result", lock or locks.UNKNOWN_BLOCK, owner)
        builder.breakpoint(part)


def _document(
    builder: Builder, block: object, where: Path, path: Path, kind: Kind, lock: str | None, owner: Caller | None = None
) -> None:
    """A ``document`` (text under ``source``) or a ``search_result`` (text blocks under ``content``)."""
    if lock is None and read(read(block, "citations"), "enabled"):
        lock = locks.CITED  # Citations point at character positions and block numbers of this text.
    title = read_text(block, "title")
    for key in ("title", "context", "source"):  # A search_result's source is a URL, a document's is a record.
        builder.text((*where, key), read(block, key), kind, lock=lock or locks.HEADING, owner=owner)
    source = read(block, "source")
    if read(source, "type") == "text":
        data = read(source, "data")
        builder.text(where, data, kind, path=(*path, "source", "data"), lock=lock, title=title, owner=owner)
        return
    holder, steps = (source, ("source", "content")) if is_record(source) else (block, ("content",))
    builder.text(where, read(holder, "content"), kind, path=(*path, *steps), lock=lock, title=title, owner=owner)
    for index, part in enumerate(read_parts(holder, "content")):
        inner: Path = (*where, index)
        if isinstance(part, str) or read_text(part, "type") == "text":
            _text(builder, part, inner, (*path, *steps, index), kind, lock, owner, title)
        else:
            builder.opaque(inner, part, kind, lock or locks.UNKNOWN_BLOCK, owner)
        builder.breakpoint(part)
