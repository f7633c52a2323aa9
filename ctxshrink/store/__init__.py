"""The store: originals under short ids, and decided texts under the caller's keys, in an SQL database.

SQLite by default; PostgreSQL, MySQL and MariaDB through SQLAlchemy, each with a driver that the user installs.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

from ctxshrink.errors import ConfigError, MissingExtraError, StoreError

try:
    from sqlalchemy import Connection
except ImportError as error:
    raise MissingExtraError("The store", "store") from error

from ctxshrink.store import _rows as rows
from ctxshrink.store import _sql as sql
from ctxshrink.store._database import Database
from ctxshrink.store._schema import MAX_KEY, MEMO, ORIGINAL, removed, texts

__all__ = ["Store", "StoreError", "StoreStats", "reference"]

_log = logging.getLogger("ctxshrink")

_TOUCH_SECONDS: Final = 60.0
_PURGE_SECONDS: Final = 60.0
_PURGE_SHARE: Final = 1 / 16
"""`Store.save` looks for rows to purge after this share of ``max_bytes`` was written, or once a minute."""


def reference(text: str) -> str:
    """The short id of a text: the first 10 characters of its BLAKE2b-256 in lower-case base32 (a-z, 2-7)."""
    return rows.short_id(rows.digest(rows.encode(text)))


@dataclass(frozen=True, slots=True)
class StoreStats:
    """What a store's namespace holds.

    Attributes:
        rows: Originals and decided texts that have not expired.
        bytes: Size of their texts in UTF-8.
        oldest: When the oldest of them was written, in seconds since 1970; None without rows.
        expired: Rows that have been removed after their expiry since the namespace began, those included that have
            expired and are not removed yet.
        evicted: Rows that have been removed to stay within ``max_bytes``.
    """

    rows: int
    bytes: int
    oldest: float | None
    expired: int
    evicted: int


class Store:
    """Originals and decided texts, kept until they expire. Safe among threads, processes and after a fork.

    What was written is there when the call returns, whatever happens to the process then. Another namespace's rows
    cannot be read, changed or purged. A store in memory is that of its process: a forked child has its own copy.

    Args:
        url: A database URL as SQLAlchemy reads it. A new SQLite file is readable by its owner only.
        namespace: Whose rows these are; up to 255 bytes. Compared exactly.
        ttl: Seconds after which a row that was not written again expires; None keeps rows. Applies to what this store
            writes.
        max_bytes: About the most bytes of text that the namespace may hold, originals and decided texts together; what
            was not used for longest goes first. None is no limit.

    Raises:
        ConfigError: A setting is out of range.
        StoreError: The database cannot be opened, or was written by a newer version of this package. So does every
            method when the database fails.
    """

    def __init__(
        self,
        url: str = "sqlite:///ctxshrink.db",
        *,
        namespace: str = "default",
        ttl: float | None = None,
        max_bytes: int | None = None,
    ) -> None:
        if not 0 < len(rows.encode(namespace)) <= MAX_KEY:
            raise ConfigError(f"namespace must have 1 to {MAX_KEY} bytes; got {namespace!r}")
        if ttl is not None and not 0 < ttl < float("inf"):
            raise ConfigError(f"ttl must be a positive number of seconds, or None to keep everything; got {ttl!r}")
        if max_bytes is not None and max_bytes <= 0:
            raise ConfigError(f"max_bytes must be positive, or None for no limit; got {max_bytes!r}")
        self.namespace = namespace
        self.ttl = ttl
        self.max_bytes = max_bytes
        self._url = url
        self._owner = rows.encode(namespace)
        self._purged_at = float("-inf")
        self._unpurged = 0
        self._database = Database(url)

    @classmethod
    def memory(cls, *, namespace: str = "default", ttl: float | None = None, max_bytes: int | None = None) -> Store:
        """A store that lives in this process and goes with it: for tests and short conversations."""
        return cls("sqlite://", namespace=namespace, ttl=ttl, max_bytes=max_bytes)

    def save(self, texts: Sequence[str]) -> list[str]:
        """Keep originals, all or none of them.

        Args:
            texts: Any texts. One that is already there keeps its id and gets a new expiry.

        Returns:
            The id of each text; equal texts have equal ids, in any store.

        Raises:
            ConfigError: ``texts`` is one text.
            StoreError: They alone are larger than ``max_bytes``, or a text has the id of another one.
        """
        if isinstance(texts, str):
            raise ConfigError("save takes a list of texts; got one text")
        new = [rows.row(self._owner, ORIGINAL, None, text, self.ttl) for text in texts]
        self._write(new, originals=True)
        return [row["key"].decode() for row in new]

    def load(self, id: str) -> str | None:
        """The original under an id; None where there is none: never saved here, expired, or another namespace's."""
        return self._read(ORIGINAL, [rows.encode(id)]).get(rows.encode(id))

    def remember(self, entries: Mapping[str, str]) -> None:
        """Keep decided texts under the caller's keys, all or none of them. An earlier text of a key is replaced.

        Raises:
            StoreError: They alone are larger than ``max_bytes``.
        """
        digests = {rows.digest(rows.encode(key)): text for key, text in entries.items()}
        new = [rows.row(self._owner, MEMO, key, text, self.ttl) for key, text in digests.items()]
        self._write(new, originals=False)

    def recall(self, keys: Sequence[str]) -> dict[str, str]:
        """The texts that are remembered under these keys; a key without one is missing."""
        digests = {key: rows.digest(rows.encode(key)) for key in keys}
        found = self._read(MEMO, list(digests.values()))
        return {key: found[digest] for key, digest in digests.items() if digest in found}

    def purge(self) -> int:
        """Remove what has expired, then what was not used for longest until ``max_bytes`` holds. Logged with counts.

        `save` and `remember` do the same now and then.

        Returns:
            Rows removed.
        """
        with self._database.writing() as connection:
            return self._purge(connection)

    def stats(self) -> StoreStats:
        """Figures of this namespace."""
        mine = {"owner": self._owner, "now": time.time()}
        with self._database.reading() as connection:
            number, size, oldest = connection.execute(rows.COUNT_LIVE, mine).one()
            pending = connection.execute(rows.COUNT_EXPIRED, mine).scalar_one()
            expired, evicted = connection.execute(rows.REMOVED, {"owner": self._owner}).one_or_none() or (0, 0)
        return StoreStats(int(number), int(size), oldest, int(expired) + int(pending), int(evicted))

    def close(self) -> None:
        """Close the connections; of a store in memory nothing is left. Later calls raise `StoreError`."""
        self._database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Store({str(self._database)!r}, namespace={self.namespace!r})"

    def __getstate__(self) -> dict[str, Any]:
        if self._database.in_memory:
            raise TypeError("a store in memory cannot be pickled: its content belongs to this process")
        return {"url": self._url, "namespace": self.namespace, "ttl": self.ttl, "max_bytes": self.max_bytes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["url"], namespace=state["namespace"], ttl=state["ttl"], max_bytes=state["max_bytes"])

    def _write(self, new: Sequence[dict[str, Any]], *, originals: bool) -> None:
        unique = {row["key"]: row for row in new}
        ordered = [unique[key] for key in sorted(unique)]
        size = sum(row["size"] for row in ordered)
        if self.max_bytes is not None and size > self.max_bytes:
            raise StoreError(f"{size} bytes at once do not fit into max_bytes={self.max_bytes}: raise it")
        for row in new:
            _check(row["key"], row["digest"], unique)
        replaced = ("used", "expires") if originals else ("digest", "size", "created", "used", "expires", "text")
        if not ordered:
            return
        with self._database.writing() as connection:
            for batch in rows.batches(ordered):
                chosen = self._chosen(batch[0]["kind"], [row["key"] for row in batch])
                connection.execute(rows.MAKE_ROOM, chosen | {"now": time.time()})
                sql.upsert(connection, texts, batch, replaced=replaced)
                if originals:
                    for key, digest in connection.execute(rows.DIGESTS, chosen):
                        _check(bytes(key), bytes(digest), unique)
            self._purge_now_and_then(connection, size)

    def _read(self, kind: int, keys: Sequence[bytes]) -> dict[bytes, str]:
        found: dict[bytes, str] = {}
        stale: list[bytes] = []
        now = time.time()
        with self._database.reading() as connection:
            for batch in rows.batches(keys):
                chosen = self._chosen(kind, batch) | {"now": now}
                for key, text, used in connection.execute(rows.READ, chosen):
                    found[bytes(key)] = rows.decode(bytes(text))
                    if abs(now - used) > _TOUCH_SECONDS:
                        stale.append(bytes(key))
        self._touch(kind, sorted(stale), now)
        return found

    def _chosen(self, kind: int, keys: Sequence[bytes]) -> dict[str, Any]:
        return {"owner": self._owner, "of_kind": kind, "keys": keys}

    def _touch(self, kind: int, keys: Sequence[bytes], now: float) -> None:
        """Note that rows were used. Reading works without it, in a read-only database for example."""
        if not keys:
            return
        try:
            with self._database.writing() as connection:
                for batch in rows.batches(keys):
                    connection.execute(rows.TOUCH, self._chosen(kind, batch) | {"now": now})
        except StoreError as error:
            _log.debug("the use of %d rows was not noted: %s", len(keys), error)

    def _purge_now_and_then(self, connection: Connection, size: int) -> None:
        self._unpurged += size
        now = time.monotonic()
        full = self.max_bytes is not None and self._unpurged > _PURGE_SHARE * self.max_bytes
        if full or now - self._purged_at > _PURGE_SECONDS:
            self._purge(connection)

    def _purge(self, connection: Connection) -> int:
        self._purged_at, self._unpurged = time.monotonic(), 0
        expired = connection.execute(rows.PURGE, {"owner": self._owner, "now": time.time()}).rowcount
        evicted = 0 if self.max_bytes is None else rows.evict(connection, self._owner, self.max_bytes)
        if expired or evicted:
            counts = {"namespace": self._owner, "expired": expired, "evicted": evicted}
            sql.upsert(connection, removed, [counts], added=("expired", "evicted"))
            _log.info(
                "store %s, namespace %r: %d rows had expired and %d made room for newer ones; they were removed",
                self._database,
                self.namespace,
                expired,
                evicted,
            )
        return expired + evicted


def _check(key: bytes, digest: bytes, new: Mapping[bytes, Mapping[str, Any]]) -> None:
    if new[key]["digest"] != digest:
        raise StoreError(f"the id {key.decode()} already stands for another text: give this one another namespace")
