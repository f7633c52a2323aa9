"""Databases: how they are named, opened and written to."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Final, cast

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Insert,
    Table,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import QueuePool

from ctxshrink.errors import StoreError

_log = logging.getLogger("ctxshrink")

BUSY_SECONDS: Final = 30
"""How long SQLite waits for another writer, unless the URL says ``?timeout=…``."""

_WRITES: Final = "ctxshrink_writes"
_KNOWN: Final = ("sqlite", "postgresql", "mysql", "mariadb")
_COLLISIONS: Final = {"40P01", "40001", 1213, 1205}
"""PostgreSQL's deadlock and serialization failure, MySQL's deadlock and lock wait timeout."""


def parse(url: str) -> URL:
    """Read a database URL.

    Raises:
        StoreError: It is none, names an unknown database, or its driver is not installed. The message does not repeat
            the URL: what cannot be parsed may hold a password anywhere.
    """
    hint = 'write it as "sqlite:///file.db" or "postgresql+psycopg://user:password@host/database"'
    try:
        parsed = make_url(url)
        dialect = parsed.get_dialect()
        if parsed.get_backend_name() not in _KNOWN:
            raise _unknown(parsed.get_backend_name())
        dialect.import_dbapi()
    except NoSuchModuleError:
        raise StoreError(f"the store's url names an unknown database; {hint}") from None
    except (ArgumentError, ValueError):
        raise StoreError(f"the store's url is not a database URL; {hint}") from None
    except ImportError as error:
        raise StoreError(
            f"the driver that the store's url names is not installed ({error.name}): install it with pip, or name "
            'another after a "+", as in "postgresql+psycopg://…"'
        ) from None
    if dialect.is_async:
        raise StoreError(f"the store's url names an asynchronous driver, {parsed.drivername!r}; name a synchronous one")
    return parsed


def shown(url: URL) -> str:
    """The URL without its password and options."""
    return url.set(query={}).render_as_string(hide_password=True)


def in_memory(url: URL) -> bool:
    """True for a database that lives in this process only."""
    if url.get_backend_name() != "sqlite":
        return False
    path = url.database or ":memory:"
    return path == ":memory:" or (
        path.startswith("file:") and (":memory:" in path or url.query.get("mode") == "memory")
    )


def connect(url: URL) -> Engine:
    """An engine whose SQLite connections are safe among threads and processes.

    SQLite runs in WAL mode, so that readers and one writer never wait for each other, and a writer takes the write lock
    when it begins: a transaction that reads first and writes later could not wait for the lock. ``synchronous=NORMAL``
    keeps what was committed when the process dies; when the machine does, the last commits may be missing.
    """
    if url.get_backend_name() != "sqlite":
        return create_engine(url, hide_parameters=True, pool_pre_ping=True)
    if in_memory(url):
        # One connection that everyone waits for: another one would open another, empty database.
        engine = create_engine(
            url,
            hide_parameters=True,
            poolclass=QueuePool,
            pool_size=1,
            max_overflow=0,
            connect_args={"check_same_thread": False},
        )
    else:
        _create_private(url)
        wait = {} if "timeout" in url.query else {"timeout": BUSY_SECONDS}
        engine = create_engine(url, hide_parameters=True, connect_args=wait)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _create_private(url: URL) -> None:
    """Create the file before SQLite does: it holds prompts, so it is the owner's alone."""
    path = str(url.database)
    if path.startswith("file:"):
        return
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        return
    except OSError:
        _log.debug("the store's file could not be created; opening it will say why", exc_info=True)


def _prepare(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # The driver's own BEGIN comes too late and takes no write lock.
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def writing(engine: Engine) -> Generator[Connection]:
    """A transaction that writes: committed at the end, rolled back on an error."""
    with engine.connect().execution_options(**{_WRITES: True}) as connection, connection.begin():
        yield connection


def collided(error: DBAPIError) -> bool:
    """True where two transactions stood in each other's way and this one was rolled back: it may be tried again."""
    found: Any = error.orig
    codes = [getattr(found, "sqlstate", None), getattr(found, "pgcode", None)]
    first: Any = next(iter(getattr(found, "args", ())), None)
    # MySQL's drivers give a number, pg8000 a mapping.
    codes.append(cast("dict[str, Any]", first).get("C") if isinstance(first, dict) else first)
    return any(isinstance(code, (str, int)) and code in _COLLISIONS for code in codes)


def upsert(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    replaced: tuple[str, ...] = (),
    added: tuple[str, ...] = (),
) -> None:
    """Insert rows; where one with the same primary key exists, change that one.

    Args:
        connection: In a transaction that writes.
        table: The table.
        rows: All columns of each row. Sorted by primary key they cannot deadlock with another batch.
        replaced: Columns that an existing row takes over.
        added: Columns that are added to those of an existing row.
    """
    connection.execute(_upsert(connection.dialect.name, table, replaced, added), list(rows))


@cache
def _upsert(dialect: str, table: Table, replaced: tuple[str, ...], added: tuple[str, ...]) -> Insert:
    def changes(new: Any) -> dict[str, Any]:
        return {name: new[name] for name in replaced} | {name: table.c[name] + new[name] for name in added}

    if dialect in ("mysql", "mariadb"):
        insertion = mysql.insert(table)
        return insertion.on_duplicate_key_update(changes(insertion.inserted))
    if dialect in ("postgresql", "sqlite"):
        insertion = (postgresql if dialect == "postgresql" else sqlite).insert(table)
        key = [column.name for column in table.primary_key]
        return insertion.on_conflict_do_update(index_elements=key, set_=changes(insertion.excluded))
    raise _unknown(dialect)


def _unknown(dialect: str) -> StoreError:
    return StoreError(f"the store knows SQLite, PostgreSQL, MySQL and MariaDB, not {dialect!r}")
