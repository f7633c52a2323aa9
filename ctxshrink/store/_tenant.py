"""One namespace of a database: every statement on rows is bound to it here."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, RowMapping, delete

from ctxshrink.errors import StoreError
from ctxshrink.store import _codec as codec
from ctxshrink.store import _room as room
from ctxshrink.store import _rows as rows
from ctxshrink.store import _sql as sql
from ctxshrink.store._database import Database
from ctxshrink.store._room import StoreStats
from ctxshrink.store._rows import Shelf
from ctxshrink.store._schema import removed

_log = logging.getLogger("ctxshrink")

_TOUCH_SECONDS: Final = 60.0
_PURGE_SECONDS: Final = 60.0
_PURGE_SHARE: Final = 1 / 16
"""Writing looks for rows to purge after this share of ``max_bytes`` was written, or once a minute."""


class Tenant:
    """The rows of a namespace.

    Args:
        database: Where they are.
        namespace: Whose they are.
        max_bytes: About the most bytes they may have; None is no limit.
    """

    def __init__(self, database: Database, namespace: str, max_bytes: int | None) -> None:
        self.database = database
        self.namespace = namespace
        self.max_bytes = max_bytes
        self._owner = codec.encode(namespace)
        self._purged_at = float("-inf")
        self._unpurged = 0

    def write(self, new: Mapping[Shelf, Sequence[Mapping[str, Any]]], ttl: float | None) -> None:
        """Write rows, all or none. Of those with equal keys the last one counts; it replaces what is there.

        An original's key stands for its text: there an equal row is renewed, and another one refused.

        Args:
            new: Their columns, by where they belong; what is missing is stamped.
            ttl: Seconds until they expire, where a row does not say it.
        """
        ordered: dict[Shelf, list[dict[str, Any]]] = {}
        for shelf, given in new.items():
            whole = [rows.stamp(row, self._owner, ttl, shelf.kind) for row in given]
            unique = {row["key"]: row for row in whole}
            if shelf is rows.ORIGINALS:
                for row in whole:
                    _check(row["key"], row["digest"], unique)
            if unique:
                ordered[shelf] = [unique[key] for key in sorted(unique)]
        size = sum(row["size"] for some in ordered.values() for row in some)
        if self.max_bytes is not None and size > self.max_bytes:
            raise StoreError(f"{size} bytes at once do not fit into max_bytes={self.max_bytes}: raise it")
        if ordered:
            self._unpurged += size
            self._logged(*self.database.write(lambda connection: self._write(connection, ordered)))

    def digests(self, shelf: Shelf, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """What the rows under these keys hold, those included that have expired."""
        with self.database.reading() as connection:
            found = [
                row for batch in rows.batches(keys) for row in connection.execute(shelf.digests, self._chosen(batch))
            ]
        return {bytes(key): bytes(digest) for key, digest in found}

    def read(self, shelf: Shelf, keys: Sequence[bytes]) -> list[RowMapping]:
        """The live rows under these keys, in no order; that they were used is noted."""
        now = time.time()
        with self.database.reading() as connection:
            found = [row for batch in rows.batches(keys) for row in self._read(connection, shelf, batch, now)]
        self._touch(shelf, sorted(bytes(row["key"]) for row in found if abs(now - row["used"]) > _TOUCH_SECONDS), now)
        return found

    def pages(
        self, shelf: Shelf, conditions: Sequence[ColumnElement[bool]] = (), after: bytes = b"", until: bytes = rows.LAST
    ) -> Iterator[list[RowMapping]]:
        """All live rows with keys between these two, in order of their keys, a few megabytes at a time.

        No transaction is open in between: rows that come and go meanwhile may be among them or not.
        """
        statement = shelf.page.where(*conditions)
        while True:
            now = time.time()
            limits = {"owner": self._owner, "now": now, "after": after, "until": until}
            with self.database.reading() as connection:
                found = [(bytes(key), int(size)) for key, size in connection.execute(statement, limits)]
            if not found:
                return
            for keys in _parts(found):
                with self.database.reading() as connection:
                    page = self._read(connection, shelf, keys, now)
                yield sorted(page, key=lambda row: bytes(row["key"]))
            after = found[-1][0]

    def remove(self, shelf: Shelf, choices: Sequence[Sequence[ColumnElement[bool]]]) -> int:
        """Remove the rows for which all conditions of one of the choices hold. Returns how many."""
        statements = [delete(shelf.table).where(shelf.mine, *conditions) for conditions in choices]
        return self.database.write(
            lambda connection: sum(connection.execute(each, {"owner": self._owner}).rowcount for each in statements)
        )

    def clear(self) -> int:
        """Remove all rows, those included that have expired. Returns how many."""
        return self.database.write(lambda connection: room.clear(connection, self._owner))

    def purge(self) -> int:
        """Remove what has expired, then what was not used for longest until the bound holds. Returns how many."""
        gone = self.database.write(self._purge)
        self._logged(*gone)
        return sum(gone)

    def count(self) -> StoreStats:
        """Figures."""
        with self.database.reading() as connection:
            return room.count(connection, self._owner)

    def _read(self, connection: Connection, shelf: Shelf, keys: Sequence[bytes], now: float) -> Sequence[RowMapping]:
        return connection.execute(shelf.read, self._chosen(keys) | {"now": now}).mappings().all()

    def _chosen(self, keys: Sequence[bytes]) -> dict[str, Any]:
        return {"owner": self._owner, "keys": keys}

    def _write(self, connection: Connection, new: Mapping[Shelf, Sequence[Mapping[str, Any]]]) -> tuple[int, int]:
        for shelf, ordered in new.items():
            for batch in rows.batches(ordered):
                self._write_batch(connection, shelf, batch)
        full = self.max_bytes is not None and self._unpurged > _PURGE_SHARE * self.max_bytes
        due = time.monotonic() - self._purged_at > _PURGE_SECONDS
        return self._purge(connection) if full or due else (0, 0)

    def _write_batch(self, connection: Connection, shelf: Shelf, batch: Sequence[Mapping[str, Any]]) -> None:
        if shelf is not rows.ORIGINALS:
            sql.upsert(connection, shelf.table, batch, replaced=shelf.replaced)
            return
        new = {row["key"]: row for row in batch}
        chosen = self._chosen(list(new))
        # An expired text gives way to another one with its id.
        connection.execute(shelf.make_room, chosen | {"now": time.time()})
        sql.upsert(connection, shelf.table, batch, replaced=("used", "expires"))
        for key, digest in connection.execute(shelf.digests, chosen):
            _check(bytes(key), bytes(digest), new)

    def _purge(self, connection: Connection) -> tuple[int, int]:
        self._purged_at, self._unpurged = time.monotonic(), 0
        expired = room.purge(connection, self._owner)
        evicted = 0 if self.max_bytes is None else room.evict(connection, self._owner, self.max_bytes)
        if expired or evicted:
            counts = {"namespace": self._owner, "expired": expired, "evicted": evicted}
            sql.upsert(connection, removed, [counts], added=("expired", "evicted"))
        return expired, evicted

    def _logged(self, expired: int, evicted: int) -> None:
        if expired or evicted:
            _log.info(
                "store %s, namespace %r: %d rows had expired and %d made room for newer ones; they were removed",
                self.database,
                self.namespace,
                expired,
                evicted,
            )

    def _touch(self, shelf: Shelf, keys: Sequence[bytes], now: float) -> None:
        """Note that rows were used. Reading works without it, in a read-only database for example."""
        if not keys:
            return

        def work(connection: Connection) -> None:
            for batch in rows.batches(keys):
                connection.execute(shelf.touch, self._chosen(batch) | {"now": now})

        try:
            self.database.write(work)
        except StoreError as error:
            _log.debug("the use of %d rows was not noted: %s", len(keys), error)


def _check(key: bytes, digest: bytes, new: Mapping[bytes, Mapping[str, Any]]) -> None:
    if new[key]["digest"] != digest:
        raise StoreError(f"the id {key.decode()} already stands for another text: give this one another namespace")


def _parts(found: Sequence[tuple[bytes, int]]) -> Iterator[list[bytes]]:
    keys: list[bytes] = []
    held = 0
    for key, size in found:
        if keys and held + size > rows.PAGE_BYTES:
            yield keys
            keys, held = [], 0
        keys.append(key)
        held += size
    yield keys
