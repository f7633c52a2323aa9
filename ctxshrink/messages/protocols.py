"""What a message format is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ctxshrink.messages.parsed import Parsed, Pin

if TYPE_CHECKING:
    from ctxshrink.messages.builder import Builder


class MessageFormat(Protocol):
    """A shape of chat history.

    Attributes:
        name: Shown in errors and on results.
    """

    name: str

    def matches(self, messages: Sequence[Any], /) -> bool:
        """True when the messages have this shape. Must not raise, whatever the messages are."""
        ...

    def parse(self, messages: Sequence[Any], /, pin: Pin = None) -> Parsed:
        """The conversation as segments.

        Args:
            messages: A list or tuple of messages; never mutated.
            pin: Messages that must come out byte for byte: indices, or a callable that is given each message.

        Raises:
            FormatError: Something is not a message; names its index.
            ConfigError: ``pin`` is out of range.
        """
        ...


@runtime_checkable
class GrowingFormat(Protocol):
    """A format whose conversations can be fed message by message: ``parse`` is `grow`, one `feed`, and ``build``."""

    def grow(self, pin: Pin = None) -> Builder:
        """An empty conversation."""
        ...
