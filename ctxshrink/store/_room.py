"""Room: what a namespace holds, and how rows go that have expired or that a newer one needs the place of."""

from __future__ import annotations

import heapq
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Table, bindparam, delete, func, select

from ctxshrink.store._rows import BATCH, expired, live
from ctxshrink.store._schema import derived, removed, texts


@dataclass(frozen=True, slots=True)
class StoreStats:
    """What a store's namespace holds.

    Attributes:
        rows: Originals, decided texts and distillates that have not expired.
        bytes: Size of their texts in UTF-8, and of the provenance of distillates.
        oldest: When the oldest of them was written, in seconds since 1970; None without rows.
        expired: Rows that have been removed after their expiry since the namespace began, those included that have
            expired and are not removed yet.
        evicted: Rows that have been removed to stay within ``max_bytes``.
        derived: Distillates among the rows.
    """

    rows: int
    bytes: int
    oldest: float | None
    expired: int
    evicted: int
    derived: int = 0


_TABLES: Final = (texts, derived)
_OWNED: Final = {table: table.c.namespace == bindparam("owner") for table in _TABLES}
_PURGE: Final = [delete(table).where(_OWNED[table], expired(table)) for table in _TABLES]
_CLEAR: Final = [delete(table).where(_OWNED[table]) for table in _TABLES]
_FORGET: Final = delete(removed).where(removed.c.namespace == bindparam("owner"))
_COUNT_LIVE: Final = [
    select(func.count(), func.coalesce(func.sum(table.c.size), 0), func.min(table.c.created)).where(
        _OWNED[table], live(table)
    )
    for table in _TABLES
]
_COUNT_EXPIRED: Final = [select(func.count()).where(_OWNED[table], expired(table)) for table in _TABLES]
_REMOVED: Final = select(removed.c.expired, removed.c.evicted).where(removed.c.namespace == bindparam("owner"))
_SIZES: Final = [select(func.coalesce(func.sum(table.c.size), 0)).where(_OWNED[table]) for table in _TABLES]
_OLDEST: Final = [
    select(table.c.used, table.c.size, *table.primary_key.columns)
    .where(_OWNED[table])
    .order_by(table.c.used, table.c.key)
    .limit(BATCH)
    for table in _TABLES
]


def count(connection: Connection, owner: bytes) -> StoreStats:
    """Figures of a namespace."""
    mine = {"owner": owner, "now": time.time()}
    held = [connection.execute(statement, mine).one() for statement in _COUNT_LIVE]
    pending = sum(int(connection.execute(statement, mine).scalar_one()) for statement in _COUNT_EXPIRED)
    gone, evicted = connection.execute(_REMOVED, {"owner": owner}).one_or_none() or (0, 0)
    return StoreStats(
        rows=sum(int(number) for number, _, _ in held),
        bytes=sum(int(size) for _, size, _ in held),
        oldest=min((oldest for _, _, oldest in held if oldest is not None), default=None),
        expired=int(gone) + pending,
        evicted=int(evicted),
        derived=int(held[_TABLES.index(derived)][0]),
    )


def purge(connection: Connection, owner: bytes) -> int:
    """Remove a namespace's rows that have expired. Returns how many."""
    mine = {"owner": owner, "now": time.time()}
    return sum(connection.execute(statement, mine).rowcount for statement in _PURGE)


def clear(connection: Connection, owner: bytes) -> int:
    """Remove all of a namespace's rows, and what is known about earlier ones. Returns how many."""
    connection.execute(_FORGET, {"owner": owner})
    return sum(connection.execute(statement, {"owner": owner}).rowcount for statement in _CLEAR)


def evict(connection: Connection, owner: bytes, max_bytes: int) -> int:
    """Remove a namespace's rows, the longest unused first, until what they hold fits. Returns how many."""
    mine = {"owner": owner}
    excess = sum(int(connection.execute(statement, mine).scalar_one()) for statement in _SIZES) - max_bytes
    evicted = 0
    while excess > 0:
        found = [[(row[0], place, row) for row in connection.execute(s, mine)] for place, s in enumerate(_OLDEST)]
        # Beyond the end of a full batch its table may hold rows that are older than the other's next one.
        ends = [rows[-1][0] for rows in found if len(rows) == BATCH]
        chosen: list[list[Any]] = [[] for _ in _TABLES]
        for used, place, row in heapq.merge(*found, key=lambda item: item[0]):
            if excess <= 0 or (ends and used > min(ends)):
                break
            chosen[place].append(row)
            excess -= row.size
        if not any(chosen):
            break
        for table, rows in zip(_TABLES, chosen, strict=True):
            evicted += _remove(connection, table, owner, rows)
    return evicted


def _remove(connection: Connection, table: Table, owner: bytes, rows: Sequence[Any]) -> int:
    number = 0
    kinds = {row.kind for row in rows} if "kind" in table.c else {None}
    for kind in kinds if rows else ():
        keys = [row.key for row in rows if kind is None or row.kind == kind]
        these = [table.c.namespace == owner, table.c.key.in_(keys), *([] if kind is None else [table.c.kind == kind])]
        number += connection.execute(delete(table).where(*these)).rowcount
    return number
