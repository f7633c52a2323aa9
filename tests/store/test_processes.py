"""The store among processes: crowds, forks, and a process that is killed."""

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ctxshrink.bench.store_run import measure
from ctxshrink.store import Store, reference
from tests.store.workers import ROUNDS, context, write_and_read


def test_four_processes_with_two_threads_each(url: str) -> None:
    processes = [context().Process(target=write_and_read, args=(url, number)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    with Store(url) as store:
        assert store.stats().rows == 3 * (4 * 2 * ROUNDS + ROUNDS)


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
def test_processes_that_are_killed_lose_and_tear_nothing(url: str, tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    load = measure(url, folder, processes=4, rows=60)
    assert load.killed == 1
    assert 4 * 60 - 1 <= load.writes <= 4 * 60
    assert (load.lost, load.torn, load.foreign) == (0, 0, 0)
    assert load.rows >= 2 * load.writes
    assert 0 < load.text_bytes < load.disk_bytes < 10 * load.text_bytes
    with Store(url, namespace="ctxshrink bench 0") as store:
        assert store.stats().rows == 0


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
