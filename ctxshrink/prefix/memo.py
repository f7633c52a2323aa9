"""Decisions that outlive a conversation object: for restarts, for other workers, for branches of a conversation."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ctxshrink._lru import LruCache, digest

_log = logging.getLogger("ctxshrink")


class Memory(Protocol):
    """Where decisions are kept: `Memo` in this process, a store beyond it. May raise: work goes on without it then."""

    def remember(self, texts: Mapping[str, str], /) -> None:
        """Keeps each text under its key; a key that is already there gets the new text."""
        ...

    def recall(self, keys: Sequence[str], /) -> Mapping[str, str]:
        """The texts of those keys that are there."""
        ...


@dataclass(frozen=True, slots=True)
class _Text:
    text: str

    @property
    def nbytes(self) -> int:
        return 4 * len(self.text)


class Memo:
    """A `Memory` in this process, bounded: what was unused the longest is forgotten first. Safe between threads.

    Args:
        most: Bytes that it holds at most.
    """

    def __init__(self, most: int = 64_000_000) -> None:
        self._held: LruCache[_Text] = LruCache(most)

    def __repr__(self) -> str:
        return f"Memo({len(self._held)} texts)"

    def remember(self, texts: Mapping[str, str], /) -> None:
        """See `Memory.remember`."""
        for key, text in texts.items():
            self._held.put(digest(key), _Text(text))

    def recall(self, keys: Sequence[str], /) -> dict[str, str]:
        """See `Memory.recall`."""
        found = {key: self._held.get(digest(key)) for key in keys}
        return {key: held.text for key, held in found.items() if held is not None}


class Guarded:
    """A memory that never raises; `warnings` says what went wrong since it was last asked.

    Args:
        memory: The caller's; None remembers nothing.
    """

    def __init__(self, memory: Memory | None) -> None:
        self._memory = memory
        self._failed: dict[str, None] = {}

    def recall(self, keys: Iterable[str]) -> dict[str, str]:
        """The texts of those keys that are there."""
        wanted = list(dict.fromkeys(keys))
        if self._memory is None or not wanted:
            return {}
        try:
            return dict(self._memory.recall(wanted))
        except Exception as error:  # noqa: BLE001  fail open: somebody's database must not end a call
            self._failure("recalled", error)
            return {}

    def remember(self, texts: Mapping[str, str]) -> None:
        """Keeps each text under its key."""
        if self._memory is None or not texts:
            return
        try:
            self._memory.remember(texts)
        except Exception as error:  # noqa: BLE001  fail open, as above
            self._failure("remembered", error)

    def warnings(self) -> list[str]:
        """What went wrong since the last time."""
        found = list(self._failed)
        self._failed.clear()
        return found

    def _failure(self, what: str, error: Exception) -> None:
        _log.warning("memo: nothing was %s: %s", what, type(error).__name__)
        why = f"{type(error).__name__}: {error}"[:200]
        self._failed[f"the memo failed, so that earlier decisions were not {what} ({why})"] = None
