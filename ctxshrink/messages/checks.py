"""Is this a list of messages? Errors for what is not, with what to do about it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from ctxshrink.errors import FormatError
from ctxshrink.messages.parsed import is_record, read, read_parts, read_text

_CHAT: Final = (
    "accumulate the stream first (with client.chat.completions.stream(...) as stream: stream.get_final_completion()) "
    "and append choices[0].message of that"
)
_RESPONSES: Final = (
    "accumulate the stream first (with client.responses.stream(...) as stream: stream.get_final_response()) and extend "
    "the list with the output of that"
)
_ANTHROPIC: Final = (
    "accumulate the stream first (with client.messages.stream(...) as stream: stream.get_final_message()) and append "
    '{"role": "assistant", "content": …} with the content of that'
)
_CHAT_EVENTS: Final = ("chunk", "content.delta", "content.done", "refusal.delta", "refusal.done")
_ANTHROPIC_EVENTS: Final = frozenset(
    f"{what}_{when}" for what in ("message", "content_block") for when in ("start", "delta", "stop")
)


def check_messages(
    messages: object, first: int = 0, typed: Callable[[object], bool] = lambda message: False
) -> Sequence[Any]:
    """The messages, when they are a list or tuple of records that have a role.

    Args:
        messages: What was given.
        first: Index of the first one in its conversation, for the error.
        typed: True for a record that needs no role, because its type says what it is.

    Raises:
        FormatError: They are not; says what was given, where, and what to do.
    """
    if not isinstance(messages, list | tuple):
        seen = type(messages).__name__
        hint = "put it in a list" if isinstance(messages, Mapping) else "pass a list of messages"
        hint = "use shrink_text for a plain text" if isinstance(messages, str) else hint
        if hasattr(cast("object", messages), "__aiter__") or hasattr(cast("object", messages), "__next__"):
            hint = "a stream goes to its reader as it is; " + hint
        raise FormatError(f"messages must be a list of dicts with a role; got {seen}: {hint}")
    items = cast("Sequence[Any]", messages)
    for index, item in enumerate(items, first):
        if not is_record(item):
            raise FormatError(f"message {index} must be a dict with a role; got {type(item).__name__}")
        wrong = misplaced(item)
        if wrong:
            raise FormatError(f"message {index} is {wrong}")
        role = read(item, "role")
        if not isinstance(role, str) and not typed(item):
            seen = f"has the role {role!r:.40}" if isinstance(role, int | float | bool) else "has no role"
            raise FormatError(f"message {index} {seen}; it is {describe(item)}")
    return items


def misplaced(item: object) -> str | None:
    """For a piece of a stream, or a whole response, in the place of a message: what it is and what to do; else None.

    Streams themselves need nothing from this package: what it shortens is on the way to a model, and a stream is on
    the way back. Pieces of one are no history until they are put together.
    """
    made, kind = read_text(item, "object"), read_text(item, "type")
    if isinstance(read(item, "role"), str):
        return None
    if made == "chat.completion.chunk" or kind in _CHAT_EVENTS or kind.startswith("tool_calls.function.arguments."):
        return f"a chunk of a Chat Completions stream: {_CHAT}"
    if made == "chat.completion" or (read_parts(item, "choices") and not kind):
        return "a whole Chat Completions response: append its choices[0].message"
    if made == "response":
        return "a whole Responses response: extend the list with its output"
    if kind.startswith("response."):
        return f"an event of a Responses stream: {_RESPONSES}"
    if kind in _ANTHROPIC_EVENTS or kind == "ping":
        return f"an event of an Anthropic stream: {_ANTHROPIC}"
    return None


def describe(item: object) -> str:
    """A short description of a message for errors: its type and keys, never its text."""
    name = type(item).__name__
    if not isinstance(item, Mapping):
        return f"of type {name}"
    keys = [repr(key)[:40] for key in list(cast("Mapping[object, object]", item))[:6] if isinstance(key, str)]
    return f"a {name} with the keys {', '.join(keys) or '(none)'}"


def to_json(value: object) -> str:
    """Compact JSON of a tool call's arguments; "" for None and for what JSON cannot hold (cycles, extreme depth)."""
    if value is None:
        return ""
    try:
        return json.dumps(value, ensure_ascii=False, skipkeys=True, default=_plain)
    except (TypeError, ValueError, RecursionError):
        return ""


def _plain(thing: object) -> object:
    """A pydantic object's fields. Others show as their type: a repr may hold an address, which differs by process."""
    if not is_record(thing) or not hasattr(thing, "__dict__"):
        return type(thing).__name__
    return {name: value for name, value in vars(thing).items() if value is not None}
