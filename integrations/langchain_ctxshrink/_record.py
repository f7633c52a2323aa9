"""What a middleware did, and what went wrong: for those who look, safely between threads."""

from __future__ import annotations

import functools
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from langgraph.config import get_config

from ctxshrink.result import ShrinkResult

_log = logging.getLogger("ctxshrink")

T = TypeVar("T")

REMEMBERED: Final = 32
"""Results and problems that are remembered, of all conversations together."""


class Record:
    """The newest results and problems of a middleware.

    Args:
        on_result: Called with each result.
    """

    def __init__(self, on_result: Callable[[ShrinkResult[Any]], None] | None) -> None:
        self._on_result = on_result
        self._results: deque[tuple[str | None, ShrinkResult[Any]]] = deque(maxlen=REMEMBERED)
        self._problems: deque[str] = deque(maxlen=REMEMBERED)
        self._logged: set[str] = set()
        self._lock = threading.Lock()

    def results(self, thread_id: str | None) -> tuple[ShrinkResult[Any], ...]:
        """The newest results of a LangGraph thread, or of all."""
        with self._lock:
            found = list(self._results)
        return tuple(result for thread, result in found if thread_id in (None, thread))

    def problems(self) -> tuple[str, ...]:
        """The newest problems."""
        with self._lock:
            return tuple(self._problems)

    def add(self, results: Sequence[ShrinkResult[Any]]) -> None:
        """Remembers results and tells whoever wants to know."""
        thread = _thread_id()
        with self._lock:
            self._results.extend((thread, result) for result in results)
        if self._on_result is None:
            return
        for result in results:
            self.guard(functools.partial(self._on_result, result), None, "on_result failed")

    def guard(self, work: Callable[[], T], instead: T, meaning: str) -> T:
        """Does some work; where it raises, notes why and gives something else.

        Args:
            work: What to do.
            instead: What to give where it raises.
            meaning: What that means for the user; logged once for each kind of error.
        """
        try:
            return work()
        except Exception as error:  # noqa: BLE001  fail open: an agent goes on with what it would have had without us
            kind = f"{meaning} ({type(error).__name__})"
            with self._lock:
                self._problems.append(f"{kind}: {error}"[:500])
                known = kind in self._logged
                self._logged.add(kind)
            if not known:
                _log.warning("%s; logged once, see CtxShrinkMiddleware.problems", kind)
            return instead


def _thread_id() -> str | None:
    try:
        found = get_config().get("configurable", {}).get("thread_id")
    except RuntimeError:  # Not called by LangGraph.
        return None
    return None if found is None else str(found)
