"""OpenAI Responses: what a request's input items must be.

Sources: the API reference, "Create a model response" (``input``: item types, roles, parts, ``call_id``, arguments in
JSON), the guide "Function calling" (each output names its call), and the guide "Reasoning models" (reasoning items go
back together with the items that followed them). Where a call may be in a stored response (``previous_response_id``,
``item_reference``), its output stands alone rightly; references are honoured here, stored responses cannot be seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ctxshrink.messages._rules_openai import arguments_problems
from ctxshrink.messages.parsed import as_parts, read, read_parts, read_text

_ROLES: Final = frozenset({"user", "assistant", "system", "developer"})
_ANSWERED: Final = frozenset(
    {
        "function_call",
        "custom_tool_call",
        "computer_call",
        "shell_call",
        "local_shell_call",
        "apply_patch_call",
    }
)
"""Calls that the caller answers, by an item of the type with ``_output`` after it."""
_BY_MODEL: Final = _ANSWERED | {"reasoning", "compaction", "item_reference", "program", "mcp_approval_request"}


def problems(items: Sequence[Any]) -> list[str]:
    """See `ctxshrink.messages.validate.problems`."""
    found: list[str] = []
    calls: dict[tuple[str, str], int] = {}  # (type, call id) -> index
    answered: set[tuple[str, str]] = set()
    ids: set[str] = set()
    references = any(_kind(item) == "item_reference" for item in items)
    for index, item in enumerate(items):
        kind = _kind(item)
        item_id = read(item, "id")
        if isinstance(item_id, str) and item_id and kind != "local_shell_call_output":
            found += [f"item {index}: the id {item_id!r} occurs twice"] if item_id in ids else []
            ids.add(item_id)
        if kind == "message":
            found += _message(item, index)
        elif kind in _ANSWERED:
            key = (kind, _call_id(item))
            found += [] if key[1] else [f"item {index}: {kind} has no call_id"]
            found += [f"item {index}: the call_id {key[1]!r} occurs twice"] if key in calls else []
            calls[key] = index
            found += _arguments(item, index, kind)
        elif kind.removesuffix("_output") in _ANSWERED:
            key = (kind.removesuffix("_output"), _call_id(item))
            if key not in calls and not references:
                found.append(f"item {index}: no {key[0]} before has the call_id {key[1]!r}")
            found += [f"item {index}: the call {key[1]!r} is answered twice"] if key in answered else []
            answered.add(key)
            found += _output(item, index, kind)
        elif kind == "reasoning" and not _by_model(items, index + 1):
            found.append(f"item {index}: a reasoning item without the item that followed it")
    missing = [(index, key) for key, index in calls.items() if key not in answered]
    return found + [f"item {index}: no output for {kind} {call_id!r}" for index, (kind, call_id) in missing]


def _kind(item: object) -> str:
    kind = read_text(item, "type")
    if kind:
        return kind
    return "message" if read(item, "role") is not None else "item_reference"


def _call_id(item: object) -> str:
    return read_text(item, "call_id") or read_text(item, "id")


def _by_model(items: Sequence[Any], index: int) -> bool:
    if index >= len(items):
        return False
    kind = _kind(items[index])
    return kind in _BY_MODEL or kind.endswith("_call") or read(items[index], "role") == "assistant"


def _message(item: object, index: int) -> list[str]:
    role, content = read_text(item, "role"), read(item, "content")
    found = [] if role in _ROLES else [f"item {index}: unknown role {role!r:.40}"]
    if isinstance(content, str):
        return found
    parts = as_parts(content)
    if not parts:
        return [*found, f"item {index}: content must be a text or a non-empty list of parts"]
    for number, part in enumerate(parts):
        kind = read_text(part, "type")
        if not kind:
            found.append(f"item {index}: content part {number} has no type")
        elif kind.startswith("input_") if role == "assistant" else kind in ("output_text", "refusal"):
            found.append(f"item {index}: content part {number}: {kind} cannot be in a message of the role {role}")
    return found


def _arguments(item: object, index: int, kind: str) -> list[str]:
    if kind not in ("function_call", "custom_tool_call"):
        return []
    found = [] if read_text(item, "name") else [f"item {index}: {kind} has no name"]
    if kind == "custom_tool_call":
        return found + ([] if isinstance(read(item, "input"), str) else [f"item {index}: input must be a text"])
    return found + [f"item {index}: {problem}" for problem in arguments_problems(read(item, "arguments"))]


def _output(item: object, index: int, kind: str) -> list[str]:
    if kind not in ("function_call_output", "custom_tool_call_output"):
        return []
    good = isinstance(read(item, "output"), str) or bool(read_parts(item, "output"))
    return [] if good else [f"item {index}: output must be a text or a non-empty list of parts"]
