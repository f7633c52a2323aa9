"""What the processes of the store's benchmark write and read, and how they are started, noted and killed."""

from __future__ import annotations

import hashlib
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

from ctxshrink.distill.types import Derived, Distillate, content_hash, recipe_key
from ctxshrink.store import Store, reference

SHARED_EVERY: Final = 10
"""Of so many writes one also replaces a row that all processes of the tenant write."""
SETTINGS: Final = {"method": "bench", "keep": 0.4}
RECIPE: Final = recipe_key(SETTINGS)
_LINE: Final = "{:8d}{:11.3f}{:11.3f}\n"
_WIDTH: Final = 31
NOT_FOUND: Final = 3
"""Exit code of a process whose read did not find what it had written."""
FOREIGN: Final = 4
"""Exit code of a process that read another tenant's row."""
PATIENCE: Final = 600.0
"""Seconds that nothing may happen for."""


def source(tenant: int, process: int, number: int) -> str:
    """The text of a write, about 1,500 characters."""
    seed = f"tenant {tenant}, process {process}, row {number}"
    words = hashlib.shake_128(seed.encode()).hexdigest(400)
    return f"{seed}: " + " ".join(words[i : i + 7] for i in range(0, len(words), 7)) + " \0\u2028é\n" * 100


def made(tenant: int, process: int, number: int) -> Derived:
    """Its distillate, about 500 characters."""
    original = source(tenant, process, number)
    spans = tuple((start, start + 50) for start in range(0, 500, 50))
    distillate = Distillate(original[:500], "bench", "the first of it", 300, 100, {"coverage": 0.5}, spans)
    place = f"bench://{tenant}/{process}/{number}"
    id = reference(original)
    return Derived(content_hash(original), RECIPE, distillate, SETTINGS, "embedded", place, id, 1.0 + number)


def work(url: str, namespace: str, tenant: int, process: int, numbers: Sequence[int], log: str) -> None:
    """One process: writes rows, notes each that was confirmed, and reads back an earlier one."""
    with Store(url, namespace=namespace) as store, open(log, "ab", buffering=0) as confirmed:
        for number in numbers:
            rows = [made(tenant, process, number)]
            if number % SHARED_EVERY == 0:
                rows.append(made(tenant, -1, number))
            originals = [source(tenant, process, number)]
            earlier = made(tenant, process, numbers[0] + (number * 7919) % (number - numbers[0] + 1))
            begun = time.perf_counter()
            store.put(rows, originals=originals)
            written = time.perf_counter()
            found, original = store.get([earlier.source], RECIPE), store.load(earlier.original)
            read = time.perf_counter()
            if found != {earlier.source: earlier} or content_hash(original or "") != earlier.source:
                raise SystemExit(NOT_FOUND)
            if store.get([made(1 - tenant, process, number).source], RECIPE):
                raise SystemExit(FOREIGN)
            confirmed.write(_LINE.format(number, 1e3 * (written - begun), 1e3 * (read - written)).encode())


def _context() -> Any:
    """Processes that share nothing with this one; where the system can, forked from one that has imported this module.

    They start at once then, and the benchmark's first seconds are not those of imports.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


class Job:
    """A process, the one that goes on after it was killed, and their notes.

    Args:
        url: The database.
        namespace: Of its tenant.
        tenant: By number.
        process: By number.
        rows: How many it writes.
        folder: For its notes.
    """

    def __init__(self, url: str, namespace: str, tenant: int, process: int, rows: int, folder: Path) -> None:
        self.tenant, self.process, self.rows = tenant, process, rows
        self.log = folder / f"{process}.log"
        self.log.touch()
        self._known = (url, namespace, tenant, process)
        self._running: BaseProcess | None = None

    def start(self, numbers: Sequence[int]) -> None:
        """Start a process that writes these rows."""
        running = _context().Process(target=work, args=(*self._known, numbers, str(self.log)), daemon=True)
        running.start()
        self._running = running

    def stop(self) -> int | None:
        """Kill it where it still runs. Returns its exit code."""
        if self._running is None:
            return None
        self._running.kill()
        self._running.join(PATIENCE)
        return self._running.exitcode

    def code(self) -> int | None:
        """Of the process's end; None while it runs."""
        return None if self._running is None else self._running.exitcode

    def confirmed(self) -> int:
        """Writes that were confirmed so far."""
        return self.log.stat().st_size // _WIDTH

    def lines(self) -> Iterator[tuple[int, float, float]]:
        """The number of each of them, and the milliseconds of the write and of the read after it."""
        data = self.log.read_bytes()
        for start in range(0, len(data) - _WIDTH + 1, _WIDTH):
            number, written, read = data[start : start + _WIDTH].split()
            yield int(number), float(written), float(read)
