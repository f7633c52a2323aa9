"""The tables of a database: created where they are missing, brought up to date where they are older."""

from __future__ import annotations

import time
from typing import Final

from sqlalchemy import Connection, Engine, insert, inspect, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from ctxshrink.errors import StoreError
from ctxshrink.store import _sql as sql
from ctxshrink.store._schema import VERSION, metadata, schema

_TRIES: Final = 8
_RACE: Final = ("locked", "exist", "concurrent DDL")
"""In the words of SQLite, PostgreSQL and MySQL, and MariaDB: someone else makes the same tables right now."""


def set_up(engine: Engine) -> None:
    """Create the tables where they are missing, migrate older ones, and check their version.

    Raises:
        StoreError: The tables are from a newer version of this package.
        SQLAlchemyError: The database failed.
    """
    for attempt in range(_TRIES):
        try:
            with engine.connect() as connection:  # Reads first: a store may be read-only, or busy.
                ready = _version(connection) == VERSION
            if not ready:
                with sql.writing(engine) as connection:
                    _bring_up(connection)
            return
        except DBAPIError as error:  # Where another process sets up the same database right now, wait for it.
            race = isinstance(error, IntegrityError) or any(word in str(error.orig) for word in _RACE)
            if attempt == _TRIES - 1 or not (race or sql.collided(error)):
                raise
            time.sleep(0.05 * 2**attempt)


def _version(connection: Connection, *, locked: bool = False) -> int:
    """Version of the tables; 0 where there are none. Locked, nobody else changes it until the transaction ends."""
    if not inspect(connection).has_table(schema.name):
        return 0
    wanted = select(schema.c.version)
    # SQLite knows no such lock: there, a transaction that writes has locked everything when it begins.
    found = max(connection.execute(wanted.with_for_update() if locked else wanted).scalars(), default=0)
    if found > VERSION:
        raise StoreError(
            f"the store's tables have version {found} and this ctxshrink knows up to {VERSION}: "
            "upgrade ctxshrink, or give the store another database"
        )
    return found


def _bring_up(connection: Connection) -> None:
    """From any version to the present one; again, as another process may have done it since it was looked at.

    Version 2 added a table and changed none, so creating what is missing is the whole migration. The version is
    written last: MySQL commits with every table, and after a crash in between the rest is done by who comes next.
    """
    found = _version(connection, locked=True)
    if found == VERSION:
        return
    metadata.create_all(connection)
    if found:
        connection.execute(update(schema).values(version=VERSION))
    else:
        connection.execute(insert(schema).values(version=VERSION))
