"""Waiting for plug-ins no longer than the caller wants to."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from .types import Call

T = TypeVar("T")


class DeadlineExceeded(Exception):
    """The call's deadline passed while a plug-in was at work. Never leaves this package."""


def within_deadline(work: Callable[[], T], call: Call) -> T:
    """Run ``work``; with a deadline, stop waiting for it when the time is up (the abandoned thread ends by itself)."""
    if call.deadline is None:
        return work()
    left = call.deadline - time.monotonic()
    if left <= 0:
        raise DeadlineExceeded
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:  # noqa: BLE001  raised again in the waiting thread
            failed.append(error)

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(run,), daemon=True, name="ctxshrink-deadline")
    thread.start()
    thread.join(left)
    if failed:
        raise failed[0]
    if not done:
        raise DeadlineExceeded
    return done[0]


def describe(error: BaseException) -> str:
    """An exception in a line, cut to 300 characters."""
    return f"{type(error).__name__}: {error}"[:300]
