"""Work on several threads that an interrupted program does not wait for."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_threads(work: Callable[[T, threading.Event], R], items: Sequence[T], most: int) -> list[R]:
    """The results of some work, in order.

    Not a `concurrent.futures` pool: Python waits for its threads when it ends, so that Ctrl-C would take as long as a
    language model and its retries do.

    Args:
        work: Gets an item, and an event that is set when the results are no longer wanted.
        items: What it is done with.
        most: Most threads.

    Raises:
        BaseException: What the work raised first.
    """
    waiting = deque(enumerate(items))
    found: dict[int, R] = {}
    failed: list[BaseException] = []
    stop = threading.Event()

    def run() -> None:
        while waiting and not stop.is_set():
            try:
                at, item = waiting.popleft()
            except IndexError:  # another thread was faster
                return
            try:
                found[at] = work(item, stop)
            except BaseException as error:  # noqa: BLE001  raised again in the waiting thread
                failed.append(error)
                stop.set()

    threads = [
        threading.Thread(target=run, name="ctxshrink-distill", daemon=True) for _ in range(min(most, len(items)))
    ]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        stop.set()
    if failed:
        raise failed[0]
    return [found[at] for at in range(len(items))]
