"""Message formats: the only place, with the integrations, that knows how chat histories are written.

`detect` recognises a history by its shape; a format's ``parse`` gives a `Parsed`: segments, and the way back. A new
format walks its messages with `builder.Builder` and is made known with `register`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ctxshrink.errors import ConfigError, FormatError
from ctxshrink.messages.anthropic import AnthropicFormat
from ctxshrink.messages.builder import Builder, MessageFormat, check_messages, describe
from ctxshrink.messages.openai import OpenAIFormat
from ctxshrink.messages.parsed import Parsed, Pin, Place

__all__ = [
    "AnthropicFormat",
    "Builder",
    "MessageFormat",
    "OpenAIFormat",
    "Parsed",
    "Pin",
    "Place",
    "check_messages",
    "detect",
    "formats",
    "register",
]

_OPENAI = OpenAIFormat()
_registered: dict[str, MessageFormat] = {"anthropic": AnthropicFormat(), "openai": _OPENAI}


def formats() -> tuple[MessageFormat, ...]:
    """The known formats, in the order in which they are asked."""
    return tuple(_registered.values())


def register(message_format: MessageFormat) -> None:
    """Makes a format known to `detect`; it is asked before those that are already known.

    Raises:
        ConfigError: Another format has that name.
    """
    global _registered
    known = _registered.get(message_format.name)
    if known is not None and type(known) is not type(message_format):
        raise ConfigError(f"a message format named {message_format.name!r} is already registered")
    _registered = {message_format.name: message_format, **_registered}


def detect(messages: Sequence[Any]) -> MessageFormat:
    """The format of a history, recognised by its shape.

    Plain text messages look the same in OpenAI's and Anthropic's format and are read as OpenAI's; so is an empty
    list. A block that OpenAI's format lacks (``tool_use``, ``tool_result``, ``thinking``, a block with a ``source``,
    …) makes it Anthropic's.

    Raises:
        FormatError: No known format matches; says what was seen and which formats are known.
    """
    if not isinstance(messages, list | tuple):  # pyright: ignore[reportUnnecessaryIsInstance]
        check_messages(messages)
    if not messages:
        return _OPENAI
    for message_format in _registered.values():
        if message_format.matches(messages):
            return message_format
    known = ", ".join(_registered)
    try:
        check_messages(messages)
    except FormatError as error:
        raise FormatError(f"{error}. Known message formats: {known}") from None
    raise FormatError(f"the messages match no known format ({known}); the first is {describe(messages[0])}")
