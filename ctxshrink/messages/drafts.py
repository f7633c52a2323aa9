"""What a `Builder` keeps of each text."""

from __future__ import annotations

from dataclasses import dataclass

from ctxshrink.messages.parsed import Path
from ctxshrink.types import ContentType, Kind


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asked for a tool result.

    Attributes:
        index: The message that made the call; its turn gives the result its age.
        tool: The name of the tool; "" where no such call is known.
    """

    index: int
    tool: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """What is known of a segment for good."""

    id: str
    index: int
    owner: Caller
    text: str
    kind: Kind
    path: Path | None
    lock: str | None
    title: str
    content_type: ContentType
