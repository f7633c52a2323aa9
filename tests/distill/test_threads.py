"""Threads that nobody waits for."""

import subprocess
import sys
import threading

import pytest

from ctxshrink.distill._threads import in_threads


def test_results_stand_in_order_and_no_more_run_at_once_than_asked() -> None:
    running, most, lock = 0, 0, threading.Lock()
    together = threading.Barrier(3)

    def work(item: int, _: threading.Event) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        if item < 3:
            together.wait(60)
        with lock:
            running -= 1
        return -item

    assert in_threads(work, range(40), 3) == [-i for i in range(40)]
    assert most == 3
    assert in_threads(work, [], 3) == []


def test_an_error_is_raised_and_ends_the_others() -> None:
    done: list[int] = []

    def work(item: int, stop: threading.Event) -> None:
        if item == 0:
            raise ValueError("the first")
        stop.wait(60)
        done.append(item)

    with pytest.raises(ValueError, match="the first"):
        in_threads(work, range(100), 2)
    assert len(done) <= 1


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
def test_ctrl_c_ends_the_program_though_a_thread_hangs() -> None:
    code = """
import os, signal, threading
from ctxshrink.distill._threads import in_threads

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background

def work(item, stop):
    if item == 1:
        os.kill(os.getpid(), signal.SIGINT)
    threading.Event().wait(100)

try:
    in_threads(work, [0, 1, 2], 2)
except KeyboardInterrupt:
    print("interrupted")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "interrupted\n"
