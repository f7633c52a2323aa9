"""A database that threads, processes and forked children share, and what its errors say."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from typing import Final, TypeVar

from sqlalchemy import URL, Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ctxshrink.errors import StoreError
from ctxshrink.store import _sql as sql
from ctxshrink.store._setup import set_up

T = TypeVar("T")

_TRIES: Final = 8
_SECRETS: Final = ("pass", "pwd", "secret", "token", "key")


class Database:
    """Connections to one database, with the tables in place.

    Args:
        url: As SQLAlchemy reads it.

    Raises:
        StoreError: It cannot be opened. So do reading and writing when it fails.
    """

    def __init__(self, url: str) -> None:
        self._url = sql.parse(url)
        self.in_memory = sql.in_memory(self._url)
        self._inherited: list[Engine] = []
        self._closed = False
        try:
            with translated(self._url, "open"):
                self._open()
                try:
                    set_up(self._engine)
                except BaseException:
                    self._engine.dispose()
                    raise
        except (TypeError, ValueError) as error:  # A driver gets the URL's options as arguments, and SQLite its path.
            said = _hidden(str(error), _secrets(self._url))
            raise StoreError(f"the store's url has a path or an option that its driver does not take: {said}") from None

    def __str__(self) -> str:
        return sql.shown(self._url)

    @contextmanager
    def reading(self) -> Generator[Connection]:
        """A transaction that only reads."""
        with translated(self._url, "read"), self._connected().connect() as connection:
            yield connection

    def write(self, work: Callable[[Connection], T]) -> T:
        """Do something in a transaction that writes: committed at the end, rolled back on an error.

        Args:
            work: Is called again where another transaction stood in the way, after what it did was rolled back.
        """
        engine = self._connected()
        # Threads queue here: SQLite polls for its lock with growing pauses, and some would wait for a second.
        with self._turn, translated(self._url, "write to"):
            for attempt in range(_TRIES):
                try:
                    with sql.writing(engine) as connection:
                        return work(connection)
                except DBAPIError as error:
                    if attempt == _TRIES - 1 or not sql.collided(error):
                        raise
                    time.sleep(random.uniform(0.5, 1) * 0.02 * 2**attempt)
        raise AssertionError("the last try returns or raises")

    def close(self) -> None:
        """Close the connections of this process."""
        self._closed = True
        if self._pid == os.getpid():
            self._engine.dispose()

    def _open(self) -> None:
        self._engine = sql.connect(self._url)
        polls = self._url.get_backend_name() == "sqlite" and not self.in_memory
        self._turn = threading.Lock() if polls else nullcontext()
        self._pid = os.getpid()

    def _connected(self) -> Engine:
        if self._closed:
            raise StoreError("the store is closed")
        if self._pid != os.getpid() and not self.in_memory:
            # A connection must not be used, nor closed, on the other side of a fork: closing would drop the parent's
            # file locks. Held here, it is never collected.
            self._inherited.append(self._engine)
            self._open()
        return self._engine


@contextmanager
def translated(url: URL, doing: str) -> Generator[None]:
    """Turn the errors of drivers and of the file system into `StoreError`, without secrets.

    Args:
        url: What was opened.
        doing: What failed, to follow "could not".
    """
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        detail = str(error.orig if isinstance(error, DBAPIError) else error).strip()
        secrets = [s for s in _secrets(url) if s in str(error) or s in detail]
        detail = _hidden(detail, secrets)
        message = f"could not {doing} the store at {sql.shown(url)}: {detail}{_advice(detail, doing)}"
        raise StoreError(message) from (None if secrets else error)


def _secrets(url: URL) -> list[str]:
    named = [v for k, v in url.query.items() if any(s in k.lower() for s in _SECRETS)]
    options = [text for v in named for text in ((v,) if isinstance(v, str) else v)]
    return [s for s in (str(url.password or ""), *options) if s]


def _hidden(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _advice(detail: str, doing: str) -> str:
    if "database is locked" in detail:
        return "; another process holds it, raise the waiting time with ?timeout=seconds"
    if "unable to open database file" in detail:
        return "; the folder must exist and be writable, and the path must name a file"
    if doing == "open" and ("readonly" in detail or "read-only" in detail or "permission denied" in detail):
        return "; an earlier version of ctxshrink wrote it, or nobody yet: open it once with the right to write to it"
    if "disk is full" in detail:
        return "; free some space, or bound the store with max_bytes"
    return ""
