"""Message formats: the only place, with the integrations, that knows how chat histories are written.

`detect` recognises a history by its shape; a format's ``parse`` gives a `Parsed`: segments, and the way back. Formats
that can ``grow`` give a `Builder` that is fed as a conversation goes on and reads each message once. A new format walks
its messages with a `Builder` and is made known with `register`.

Pieces of streams (chunks, deltas, events) are no messages: hand a stream on as it is, and put its accumulated message
into the history.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ctxshrink.errors import ConfigError, FormatError
from ctxshrink.messages.anthropic import AnthropicFormat
from ctxshrink.messages.builder import Builder
from ctxshrink.messages.checks import check_messages, describe
from ctxshrink.messages.openai import OpenAIFormat
from ctxshrink.messages.openai_responses import OpenAIResponsesFormat
from ctxshrink.messages.parsed import Parsed, Pin, Place
from ctxshrink.messages.protocols import GrowingFormat, MessageFormat

__all__ = [
    "AnthropicFormat",
    "Builder",
    "GrowingFormat",
    "MessageFormat",
    "OpenAIFormat",
    "OpenAIResponsesFormat",
    "Parsed",
    "Pin",
    "Place",
    "check_messages",
    "detect",
    "formats",
    "register",
]

_OPENAI = OpenAIFormat()
_FORMATS: tuple[MessageFormat, ...] = (OpenAIResponsesFormat(), AnthropicFormat(), _OPENAI)
_registered: dict[str, MessageFormat] = {known.name: known for known in _FORMATS}


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


def detect(messages: Sequence[Any], known: MessageFormat | None = None) -> MessageFormat:
    """The format of a history, recognised by its shape.

    Plain text messages look the same in all formats and are read as OpenAI Chat Completions; so is an empty list. An
    item or part that only OpenAI Responses has (``function_call``, ``reasoning``, ``input_text``, …) makes it that; a
    block that OpenAI's formats lack (``tool_use``, ``tool_result``, ``thinking``, a block with a ``source``, …) makes
    it Anthropic's.

    Args:
        messages: The history, or the part of it that comes after messages of the ``known`` format.
        known: The format so far. It is the answer unless the new messages have the mark of another one: detect the
            whole history anew then.

    Raises:
        FormatError: No known format matches; says what was seen and which formats are known.
    """
    if not isinstance(messages, list | tuple):  # pyright: ignore[reportUnnecessaryIsInstance]
        check_messages(messages)
    fallback = known or _OPENAI
    if not messages:
        return fallback
    for message_format in _registered.values():
        if message_format.matches(messages):
            return fallback if message_format is _OPENAI else message_format
    if known is not None:
        return known
    names = ", ".join(_registered)
    try:
        check_messages(messages)
    except FormatError as error:
        raise FormatError(f"{error}. Known message formats: {names}") from None
    raise FormatError(f"the messages match no known format ({names}); the first is {describe(messages[0])}")
