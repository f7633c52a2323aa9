"""OpenAI Chat Completions: what a request's messages must be.

Sources: the API reference, "Create chat completion" (message types: roles, required content, ``tool_calls``,
``tool_call_id``, arguments in JSON), and the guide "Function calling" (results answer the calls of the assistant
message before them). That no other message may stand between a call and its results is what the API's own errors say.
Empty texts are allowed; an absent content is not.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from ctxshrink.messages.parsed import as_parts, is_record, read, read_parts, read_text

_ROLES: Final = frozenset({"system", "developer", "user", "assistant", "tool", "function"})


def problems(messages: Sequence[Any]) -> list[str]:
    """See `ctxshrink.messages.validate.problems`."""
    found: list[str] = []
    open_calls: dict[str, int] = {}  # Unanswered calls of the newest assistant message, with its index.
    made: set[str] = set()  # All calls of that message.
    for index, message in enumerate(messages):
        role = read_text(message, "role")
        if role not in _ROLES:
            found.append(f"message {index}: unknown role {role!r:.40}")
        if role == "tool":
            call_id = read(message, "tool_call_id")
            if not isinstance(call_id, str) or not call_id:
                found.append(f"message {index}: a tool message needs a tool_call_id")
            elif call_id not in made:
                found.append(f"message {index}: no assistant message directly before has a tool call {call_id!r}")
            elif open_calls.pop(call_id, None) is None:
                found.append(f"message {index}: tool call {call_id!r} is answered twice")
        else:
            found += _unanswered(open_calls)
            open_calls, made = {}, set()
        if role == "assistant":
            found += _calls(message, index, open_calls)
            made = set(open_calls)
        found += _content(message, index, role)
    return found + _unanswered(open_calls)


def _unanswered(open_calls: dict[str, int]) -> list[str]:
    return [
        f"message {index}: tool call {call_id!r} has no tool message directly after it"
        for call_id, index in open_calls.items()
    ]


def _content(message: object, index: int, role: str) -> list[str]:
    content = read(message, "content")
    if role == "function" and not read_text(message, "name"):
        return [f"message {index}: a function message needs a name"]
    if content is None:
        other = any(read(message, key) for key in ("tool_calls", "function_call", "refusal", "audio"))
        return [] if role == "assistant" and other else [f"message {index}: content is missing"]
    if isinstance(content, str):
        return []
    parts = as_parts(content)
    if not parts:
        return [f"message {index}: content must be a text or a non-empty list of parts"]
    odd = [n for n, part in enumerate(parts) if not is_record(part) or not read_text(part, "type")]
    return [f"message {index}: content part {n} has no type" for n in odd]


def _calls(message: object, index: int, open_calls: dict[str, int]) -> list[str]:
    found: list[str] = []
    calls = read(message, "tool_calls")
    if calls is not None and not as_parts(calls):
        found.append(f"message {index}: tool_calls must be left out or be a non-empty list")
    for number, call in enumerate(read_parts(message, "tool_calls")):
        at = f"message {index}: tool call {number}"
        call_id = read(call, "id")
        if not isinstance(call_id, str) or not call_id:
            found.append(f"{at} has no id")
        elif call_id in open_calls:
            found.append(f"{at} repeats the id {call_id!r}")
        else:
            open_calls[call_id] = index
        custom = read(call, "custom")
        if is_record(custom):
            found += [] if isinstance(read(custom, "input"), str) else [f"{at} needs an input text"]
            continue
        function = read(call, "function")
        found += [] if read_text(function, "name") else [f"{at} has no function name"]
        found += [f"{at}: {problem}" for problem in arguments_problems(read(function, "arguments"))]
    return found


def arguments_problems(arguments: object) -> list[str]:
    """What is wrong with a call's arguments, which are a JSON text."""
    if not isinstance(arguments, str):
        return ["arguments must be a JSON text"]
    try:
        json.loads(arguments)
    except (ValueError, RecursionError):
        return ["arguments are not valid JSON"]
    return []
