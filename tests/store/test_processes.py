"""The store among processes: crowds, forks, and a process that is killed."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading

import pytest

from ctxshrink.store import Store, reference

ROUNDS = 15


def _work(url: str, process: int) -> None:
    """Two threads that write texts of their own and a shared one, and read everything back."""
    failures: list[str] = []
    with Store(url) as store:  # Every process may be the one that creates the file.

        def work(thread: int) -> None:
            for i in range(ROUNDS):
                own, shared = f"{process} {thread} {i} " + "x" * 3000, f"shared {i} " + "y" * 3000
                ids = store.save([own, shared])
                store.remember({own: shared, f"shared {i}": shared})
                if [store.load(id) for id in ids] != [own, shared]:
                    failures.append(f"{process} {thread} {i}: a text")
                if store.recall([own, f"shared {i}"]) != {own: shared, f"shared {i}": shared}:
                    failures.append(f"{process} {thread} {i}: a memo")

        threads = [threading.Thread(target=work, args=(n,)) for n in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    os._exit(1 if failures else 0)


def test_four_processes_with_two_threads_each(url: str) -> None:
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_work, args=(url, number)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    with Store(url) as store:
        assert store.stats().rows == 2 * (4 * 2 * ROUNDS + ROUNDS)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_fork_opens_connections_of_its_own(url: str) -> None:
    fork = multiprocessing.get_context("fork")
    with Store(url) as store, Store.memory() as memory:
        (id,) = store.save(["parent"])
        memory.save(["parent"])

        def child() -> None:
            ok = store.load(id) == "parent" and memory.load(id) == "parent"
            for i in range(20):
                store.save([f"child {i}"])
            store.close()
            os._exit(0 if ok else 1)

        process = fork.Process(target=child)
        process.start()
        for i in range(20):
            store.save([f"parent {i}"])
        process.join(60)
        assert process.exitcode == 0
        assert all(store.load(reference(f"{who} {i}")) for who in ("parent", "child") for i in range(20))
        assert memory.stats().rows == 1


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_what_was_saved_survives_a_kill(url: str) -> None:
    code = """
import os, signal, sys
from ctxshrink.store import Store
store = Store(sys.argv[1])
store.remember({"key": "decided"})
store.save([f"text {i} " * 500 for i in range(50)])
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code, url], check=False)
    assert done.returncode == -signal.SIGKILL
    with Store(url) as store:
        assert all(store.load(reference(f"text {i} " * 500)) == f"text {i} " * 500 for i in range(50))
        assert store.recall(["key"]) == {"key": "decided"}


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_kill_at_any_moment_loses_nothing_that_was_confirmed(url: str) -> None:
    code = """
import sys
from ctxshrink.store import Store
store = Store(sys.argv[1])
for i in range(100_000):
    store.save([f"text {i} " * 100, f"twin {i}"])
    print(i, flush=True)
"""
    child = subprocess.Popen([sys.executable, "-c", code, url], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    confirmed = [int(child.stdout.readline()) for _ in range(20)]
    child.kill()
    confirmed += [int(line) for line in child.stdout.read().split("\n")[:-1]]
    child.wait()
    with Store(url) as store:
        assert all(store.load(reference(f"text {i} " * 100)) for i in confirmed)
        rows = store.stats().rows
        assert rows % 2 == 0, "a batch is written whole or not at all"
        assert rows >= 2 * len(confirmed)
