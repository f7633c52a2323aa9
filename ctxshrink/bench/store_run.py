"""A store under load: processes that write and read at once, some of them killed, and a count of what is left."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from ctxshrink.errors import ConfigError, MissingExtraError, StoreError

try:
    from sqlalchemy import create_engine, make_url, text
except ImportError as error:
    raise MissingExtraError("bench store", "store") from error

from ctxshrink.store import Store

from .store_work import FOREIGN, NOT_FOUND, PATIENCE, RECIPE, SHARED_EVERY, Job, made, source

TENANTS: Final = 2
"""Namespaces that the processes belong to by turns."""
_AT_ONCE: Final = 200
_TABLES: Final = ("ctxshrink_texts", "ctxshrink_derived")


@dataclass(frozen=True, slots=True)
class Load:
    """What was done to a store, and what was found in it then.

    A write is one transaction of an original and its distillate; a read fetches both of an earlier one.

    Attributes:
        database: SQLAlchemy's name of it.
        processes: How many wrote and read at once.
        writes: Writes that were confirmed to a process.
        reads: Reads.
        killed: Processes that were killed by SIGKILL in the middle; another one goes on behind the write in flight.
        lost: Confirmed writes of which something was not there in the end.
        torn: Rows that were there with other text or provenance, and writes in flight at a kill of which one half was
            there.
        foreign: Rows of a namespace that nobody wrote there.
        seconds: From the first confirmed write to the last.
        writes_per_second: ``writes`` by ``seconds``.
        reads_per_second: ``reads`` by ``seconds``.
        write_ms: Median and 99th percentile of a write, in milliseconds.
        read_ms: The same of a read.
        rows: Rows in the end: originals and distillates.
        text_bytes: Bytes of text and provenance by row.
        disk_bytes: Bytes that the database grew by, by row, indexes and dead rows included.
    """

    database: str
    processes: int
    writes: int
    reads: int
    killed: int
    lost: int
    torn: int
    foreign: int
    seconds: float
    writes_per_second: float
    reads_per_second: float
    write_ms: tuple[float, float]
    read_ms: tuple[float, float]
    rows: int
    text_bytes: float
    disk_bytes: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def measure(
    url: str, folder: Path, *, processes: int = 8, rows: int = 1000, progress: Callable[[int], None] | None = None
) -> Load:
    """Put a load on a store: processes write and read, and a quarter of them is killed on its way.

    Args:
        url: The database; two namespaces of it are used, and emptied before and afterwards.
        folder: Empty; for the notes of the processes.
        processes: How many.
        rows: Writes of each of them.
        progress: Called now and then with the number of confirmed writes.

    Raises:
        ConfigError: A number is too small.
        StoreError: The database failed, or a process did.
    """
    if processes < 2 or rows < 20:
        raise ConfigError(f"at least 2 processes with 20 rows each; got {processes} and {rows}")
    names = [f"ctxshrink bench {tenant}" for tenant in range(TENANTS)]
    _clear(url, names)
    empty = _size(url)
    jobs = [Job(url, names[p % TENANTS], p % TENANTS, p, rows, folder) for p in range(processes)]
    victims = {jobs[(i * 4 + 1) % processes]: rows * (3 + i % 5) // 10 for i in range(max(1, processes // 4))}
    try:
        for job in jobs:
            job.start(range(rows))
        skipped, seconds = _watch(jobs, victims, progress)
    finally:
        for job in jobs:
            job.stop()
    lines = [line for job in jobs for line in job.lines()]
    kept = [_check(url, name, jobs, tenant, skipped) for tenant, name in enumerate(names)]
    found, size = sum(k.rows for k in kept), sum(k.size for k in kept)
    grown = _size(url) - empty
    _clear(url, names)
    return Load(
        database=make_url(url).get_backend_name(),
        processes=processes,
        writes=len(lines),
        reads=len(lines),
        killed=len(skipped),
        lost=sum(k.lost for k in kept),
        torn=sum(k.torn for k in kept),
        foreign=sum(k.foreign for k in kept),
        seconds=seconds,
        writes_per_second=len(lines) / seconds,
        reads_per_second=len(lines) / seconds,
        write_ms=_percentiles([line[1] for line in lines]),
        read_ms=_percentiles([line[2] for line in lines]),
        rows=found,
        text_bytes=size / max(1, found),
        disk_bytes=grown / max(1, found),
    )


def _watch(
    jobs: Sequence[Job], victims: dict[Job, int], progress: Callable[[int], None] | None
) -> tuple[set[tuple[int, int]], float]:
    """Wait until all is written; kill each victim after so many writes.

    Returns:
        The writes that were in flight then, as process and number, and the seconds from the first write to the last.
    """
    skipped: set[tuple[int, int]] = set()
    left, last = dict(victims), time.monotonic()
    first, before = last, 0
    while any(job.code() is None for job in jobs):
        for job, number in list(left.items()):
            if job.confirmed() >= number:
                del left[job]
                if job.stop() == -signal.SIGKILL:
                    done = max((line[0] for line in job.lines()), default=-1)
                    skipped.add((job.process, done + 1))
                    job.start(range(done + 2, job.rows))
        now = sum(job.confirmed() for job in jobs)
        if now != before:
            last = time.monotonic()
            first, before = last if before == 0 else first, now
            if progress is not None:
                progress(now)
        elif time.monotonic() - last > PATIENCE:
            raise StoreError(f"no write was confirmed for {PATIENCE:.0f} seconds")
        time.sleep(0.002)
    bad = [job.process for job in jobs if job.code() != 0]
    if bad:
        codes = {job.code() for job in jobs}
        why = "it read a row that is not its own" if FOREIGN in codes else "the database failed"
        why = "a read did not find what had been written" if NOT_FOUND in codes else why
        raise StoreError(f"processes {bad} ended early: {why}")
    return skipped, max(last - first, 1e-9)


@dataclass(slots=True)
class _Found:
    rows: int
    size: int
    lost: int = 0
    torn: int = 0
    foreign: int = 0


def _check(url: str, namespace: str, jobs: Sequence[Job], tenant: int, skipped: set[tuple[int, int]]) -> _Found:
    with Store(url, namespace=namespace) as store:
        stats = store.stats()
        found = _Found(stats.rows, stats.bytes)
        mine = {job.process: job for job in jobs if job.tenant == tenant}
        places = {f"bench://{tenant}/{p}/{i}": (p, i) for p, job in mine.items() for i in range(job.rows)}
        places |= {f"bench://{tenant}/-1/{i}": (-1, i) for i in range(0, max(j.rows for j in jobs), SHARED_EVERY)}
        for one in store.derived():
            place = places.get(one.uri)
            found.foreign += place is None
            found.torn += place is not None and one != made(tenant, *place)
        originals = 0
        for process, job in mine.items():
            confirmed = {line[0] for line in job.lines()}
            for start in range(0, job.rows, _AT_ONCE):
                numbers = range(start, min(start + _AT_ONCE, job.rows))
                expected = {number: made(tenant, process, number) for number in numbers}
                there = store.get([one.source for one in expected.values()], RECIPE)
                for number, one in expected.items():
                    original = store.load(one.original) == source(tenant, process, number)
                    originals += original
                    found.lost += number in confirmed and not (original and one.source in there)
                    found.torn += (process, number) in skipped and original != (one.source in there)
        found.foreign += stats.rows - stats.derived - originals
        return found


def _percentiles(values: Sequence[float]) -> tuple[float, float]:
    ordered = sorted(values)
    return ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]


def _clear(url: str, names: Sequence[str]) -> None:
    for name in names:
        with Store(url, namespace=name) as store:
            store.clear()


def _size(url: str) -> int:
    """Bytes of the store's tables and indexes; of SQLite, which does not tell them apart, those of the database."""
    engine = create_engine(url, hide_parameters=True)
    kind = engine.dialect.name
    with engine.connect() as connection:
        if kind == "sqlite":
            pages, size = (connection.execute(text(f"PRAGMA {p}")).scalar_one() for p in ("page_count", "page_size"))
            found = pages * size
        elif kind == "postgresql":
            names = [f"pg_total_relation_size('{name}')" for name in _TABLES]
            found = connection.execute(text(f"SELECT {' + '.join(names)}")).scalar_one()
        else:
            for name in _TABLES:  # What it knows of sizes is brought up to date.
                connection.execute(text(f"ANALYZE TABLE {name}")).all()
            statement = "SELECT SUM(data_length + index_length) FROM information_schema.tables WHERE table_schema = "
            found = connection.execute(text(f"{statement}DATABASE() AND table_name IN {_TABLES}")).scalar_one()
    engine.dispose()
    return int(found)
