"""The callers' marks of a cached prefix: they move from request to request and are no change of what is said."""

from __future__ import annotations

from typing import Any, Final, TypeGuard

from ctxshrink.messages.parsed import as_parts, read

BREAKPOINTS: Final = ("cache_control", "prompt_cache_breakpoint")
"""Keys that mark the end of a prefix that the provider caches: Anthropic's, and OpenAI's."""

_NESTED: Final = ("content", "output")
"""Where messages, items and tool results have blocks, which may be marked too."""
_LEVELS: Final = 3
"""A message, a tool result in it, a text in that."""


def count_marks(message: object, levels: int = _LEVELS) -> int:
    """Marks of a message and of its blocks."""
    found = int(any(read(message, key) is not None for key in BREAKPOINTS))
    if levels > 1:
        found += sum(count_marks(part, levels - 1) for key in _NESTED for part in as_parts(read(message, key)))
    return found


def without_marks(message: Any, levels: int = _LEVELS) -> Any:
    """The message without its marks; plain dicts and lists are copied, other objects come back as they are."""
    if not _is_dict(message) or not levels:
        return message
    made = {key: value for key, value in message.items() if key not in BREAKPOINTS}
    for key in _NESTED:
        if type(made.get(key)) is list:
            made[key] = [without_marks(part, levels - 1) for part in as_parts(made[key])]
    return made


def unmarked_form(message: Any) -> Any:
    """What is the same for two messages that differ in nothing but marks.

    A mark needs a block to stand on, so that one block of text is the same as the text.
    """
    made = without_marks(message)
    parts = as_parts(read(made, "content"))
    block: Any = parts[0] if len(parts) == 1 else None
    if _is_dict(made) and _is_dict(block) and {*block} == {"type", "text"} and block["type"] in ("text", "input_text"):
        return {**made, "content": block["text"]}
    return made


def _is_dict(value: Any) -> TypeGuard[dict[Any, Any]]:
    return type(value) is dict
