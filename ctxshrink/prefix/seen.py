"""Tool results that a conversation already shows, for new ones to refer to."""

from __future__ import annotations

from ctxshrink.structure.repeats import Folded, RepeatIndex


class Seen:
    """The tool results of a conversation as they came out, numbered from 1, and which of them refer to earlier ones."""

    def __init__(self) -> None:
        self._index = RepeatIndex()
        self._count = 0
        self.referring: set[int] = set()
        """Positions of the texts that refer to earlier ones."""

    def fold(self, text: str) -> Folded | None:
        """The text with what earlier results show referred to; None where that is nothing."""
        folded = self._index.fold(text)
        return folded if folded.runs else None

    def add(self, position: int, text: str, *, final: bool) -> None:
        """The next tool result, as it came out; only one whose text is ``final`` can be referred to."""
        self._count += 1
        if final:
            self._index.add(f"tool result {self._count}", text)
        # A replayed text does not say how it was made. One that only looks like it refers costs nothing but care.
        if "the same as" in text and "tool result " in text:
            self.referring.add(position)
