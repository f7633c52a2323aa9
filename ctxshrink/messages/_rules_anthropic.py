"""Anthropic Messages: what a request's messages must be.

Sources, by section of the documentation: API reference, "Create a Message" (roles, merged turns, content blocks, no
empty text); "Handle tool calls" (results directly after their calls, first in their message); "Programmatic tool
calling" (nothing beside results); "Extended thinking" (thinking goes back unchanged, before the calls it led to);
"Prompt caching" (at most four breakpoints); "Prefill" (no trailing white space). System prompt and tools are not seen
here, and their breakpoints count too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from ctxshrink.messages.parsed import as_parts, read, read_parts, read_text

MOST_BREAKPOINTS: Final = 4
_ROLES: Final = ("user", "assistant", "system")
_THINKING: Final = ("thinking", "redacted_thinking")
_BEFORE_THINKING: Final = (*_THINKING, "compaction", "fallback", "mcp_tool_listing")
_Turn = tuple[str, list[tuple[str, object]]]
"""A role, and the blocks of all its messages in a row, each with where it is."""


def problems(messages: Sequence[Any]) -> list[str]:
    """See `ctxshrink.messages.validate.problems`."""
    found = [
        f"message {index}: unknown role {read(message, 'role')!r:.40}"
        for index, message in enumerate(messages)
        if read(message, "role") not in _ROLES
    ]
    if messages and read(messages[0], "role") not in ("user", "system"):
        found.append("message 0: the first message must be the user's")
    for index, message in enumerate(messages):
        found += _content(message, index, last=index == len(messages) - 1)
    found += _pairs(_turns(messages))
    marks = sum(read(record, "cache_control") is not None for record in _records(messages))
    if marks > MOST_BREAKPOINTS:
        found.append(f"{marks} cache_control breakpoints; at most {MOST_BREAKPOINTS} are allowed")
    return found


def _content(message: object, index: int, last: bool) -> list[str]:
    content, assistant = read(message, "content"), read(message, "role") == "assistant"
    at = f"message {index}"
    if isinstance(content, str):
        blocks: Sequence[object] = [{"type": "text", "text": content}] if content else []
    else:
        blocks = as_parts(content)
    if not blocks:
        return [] if last and assistant and content is not None else [f"{at}: content is empty"]
    found: list[str] = []
    for number, block in enumerate(blocks):
        found += _block(block, f"{at}, block {number}")
    if last and assistant and _text(blocks[-1]) != _text(blocks[-1]).rstrip():
        found.append(f"{at}: the final assistant message ends with white space")
    return found


def _text(block: object) -> str:
    return read_text(block, "text") if read(block, "type") == "text" else ""


def _block(block: object, at: str) -> list[str]:
    match read(block, "type"):
        case "thinking":
            return [] if read_text(block, "signature") else [f"{at}: a thinking block without its signature"]
        case "tool_result":
            found = [p for n, part in enumerate(read_parts(block, "content")) for p in _part(part, f"{at}, part {n}")]
            if read(block, "is_error") and not read(block, "content"):
                found.append(f"{at}: a failed tool_result needs content")
            return found
        case _:
            return _part(block, at)


def _part(block: object, at: str) -> list[str]:
    """A block that can also stand in a tool_result."""
    match read(block, "type"):
        case "text":
            return [] if read_text(block, "text").strip() else [f"{at}: an empty text block"]
        case "search_result":
            texts = read_parts(block, "content")
            found = [] if texts else [f"{at}: a search_result needs content"]
            empty = [n for n, part in enumerate(texts) if not read_text(part, "text").strip()]
            return found + [f"{at}, part {n}: an empty text block" for n in empty]
        case str():
            return []
        case _:
            return [f"{at}: a block without a type"]


def _turns(messages: Sequence[Any]) -> list[_Turn]:
    """Messages of one role in a row are one turn; system messages are no turn of their own."""
    turns: list[_Turn] = []
    for index, message in enumerate(messages):
        role, content = read_text(message, "role"), read(message, "content")
        if role == "system":
            continue
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else as_parts(content)
        blocks: list[tuple[str, object]] = [(f"message {index}", part) for part in parts]
        if turns and turns[-1][0] == role:
            turns[-1][1].extend(blocks)
        else:
            turns.append((role, blocks))
    return turns


def _pairs(turns: list[_Turn]) -> list[str]:
    """Calls and results: every tool_use is answered in the very next turn, and nothing else is."""
    found: list[str] = []
    used: set[str] = set()
    hosted: set[str] = set()  # Ids of server and MCP tool calls.
    calls: dict[str, object] = {}  # Those of the turn before.
    for role, blocks in turns:
        found += _results(role, blocks, calls)
        calls = {}
        for at, block in blocks:
            kind, call_id = read_text(block, "type"), read_text(block, "id")
            if kind == "tool_use":
                found += [] if call_id else [f"{at}: a tool_use without an id"]
                found += [f"{at}: the tool_use id {call_id!r} occurs twice"] if call_id in used else []
                used.add(call_id)
                calls[call_id] = block
                found += [] if role == "assistant" else [f"{at}: a tool_use outside an assistant message"]
            elif kind in ("server_tool_use", "mcp_tool_use"):
                hosted.add(call_id)
            elif kind.endswith("_tool_result") and read_text(block, "tool_use_id") not in hosted:
                found.append(f"{at}: no hosted tool call before has the id {read_text(block, 'tool_use_id')!r}")
        found += _thinking_first(blocks) if calls else []
    return found + [f"the tool_use {call_id!r} has no tool_result in the next message" for call_id in calls]


def _results(role: str, blocks: list[tuple[str, object]], calls: dict[str, object]) -> list[str]:
    found: list[str] = []
    answered: set[str] = set()
    others = False
    for at, block in blocks:
        if read(block, "type") != "tool_result":
            others = True
            continue
        call_id = read_text(block, "tool_use_id")
        if role != "user":
            found.append(f"{at}: a tool_result outside a user message")
        elif call_id not in calls:
            found.append(f"{at}: no tool_use in the message before has the id {call_id!r}")
        elif call_id in answered:
            found.append(f"{at}: the tool_use {call_id!r} is answered twice")
        if others:
            found.append(f"{at}: a tool_result after other content; results come first")
        answered.add(call_id)
    missing = [call_id for call_id in calls if call_id not in answered]
    found += [f"the tool_use {call_id!r} has no tool_result in the next message" for call_id in missing]
    by_program = any(read_text(read(call, "caller"), "type") not in ("", "direct") for call in calls.values())
    if by_program and others:
        found.append(f"{blocks[0][0]}: beside the results of a program's calls nothing else is allowed")
    return found


def _thinking_first(blocks: list[tuple[str, object]]) -> list[str]:
    kinds = [read_text(block, "type") for _, block in blocks]
    if not any(kind in _THINKING for kind in kinds) or kinds[0] in _BEFORE_THINKING:
        return []
    return [f"{blocks[0][0]}: a turn with thinking and tool_use must start with the thinking"]


def _records(messages: Sequence[Any]) -> Iterator[object]:
    """The messages, their blocks, and the blocks in those: wherever a breakpoint can be."""
    for message in messages:
        yield message
        for block in read_parts(message, "content"):
            yield block
            yield from read_parts(block, "content")
            yield from read_parts(read(block, "source"), "content")
