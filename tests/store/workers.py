"""What processes of the tests run; imports little, because each of them imports it anew."""

from __future__ import annotations

import multiprocessing
import os
import threading
from typing import Any

from ctxshrink.distill.types import Derived, Distillate, content_hash, recipe_key
from ctxshrink.store import Store, reference

ROUNDS = 10
RECIPE = recipe_key({"method": "test"})


def context() -> Any:
    """Processes that share nothing with this one: forked from one that has imported all they need, once for all."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload([__name__])
    return found


def derived(source: str) -> Derived:
    made = Distillate(source[:9], "test", "it fits", 9, 5)
    return Derived(content_hash(source), RECIPE, made, {"method": "test"}, "embedded", created=1.0)


def write_and_read(url: str, process: int) -> None:
    """Two threads that write texts of their own and a shared one, and read everything back."""
    failures: list[str] = []
    with Store(url) as store:  # Every process may be the one that creates the file.

        def work(thread: int) -> None:
            for i in range(ROUNDS):
                own, shared = f"{process} {thread} {i} " + "x" * 3000, f"shared {i} " + "y" * 3000
                rows = [derived(own), derived(shared)]
                ids = store.save([own, shared])
                store.remember({own: shared, f"shared {i}": shared})
                store.put(rows)
                if [store.load(id) for id in ids] != [own, shared]:
                    failures.append(f"{process} {thread} {i}: a text")
                if store.recall([own, f"shared {i}"]) != {own: shared, f"shared {i}": shared}:
                    failures.append(f"{process} {thread} {i}: a memo")
                if list(store.get([row.source for row in rows], RECIPE).values()) not in (rows, rows[::-1]):
                    failures.append(f"{process} {thread} {i}: a distillate")

        threads = [threading.Thread(target=work, args=(n,)) for n in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    os._exit(1 if failures else 0)


def up_to_date(url: str) -> bool:
    """Whether a store that began as version 1 has its rows and takes distillates; see test_migration.py."""
    with Store(url) as store:
        one = derived(f"source {os.getpid()}")
        store.put([one])
        return (
            store.load(reference("an original \0")) == "an original \0"
            and store.recall(["key"]) == {"key": "decided \ud800"}
            and store.get([one.source], RECIPE) == {one.source: one}
        )


def open_at_once(url: str, begin: Any) -> None:
    """Wait for the others, then open it."""
    begin.wait()
    os._exit(0 if up_to_date(url) else 1)
