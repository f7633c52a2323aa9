"""Rows: what they are made of, which are one's own, and what is asked of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from sqlalchemy import ColumnElement, RowMapping, Table, and_, bindparam, delete, or_, select, true, update

from ctxshrink.store import _codec as codec
from ctxshrink.store._schema import MEMO, ORIGINAL, derived, texts

Columns: TypeAlias = Mapping[str, Any] | RowMapping
"""A row, by the names of its columns."""
BATCH: Final = 500
"""Rows of one statement."""
PAGE_BYTES: Final = 4 << 20
"""About the most bytes of text that are held at once when all rows are gone through, unless one row is larger."""

LAST: Final = b"\xff" * 256
"""Comes after every key."""


class Shelf:
    """Rows of one kind, and the statements that they are asked with.

    Statements are built once; building one costs more than running it. Each is bound to an ``owner``, the namespace;
    ``keys`` are some keys, ``now`` is the time.

    Args:
        name: What its rows are called in an export.
        table: Where they are.
        kind: Of those rows in a table that has several kinds.
    """

    def __init__(self, name: str, table: Table, kind: int | None) -> None:
        self.name = name
        self.table = table
        self.kind = kind
        columns = table.c
        mine = and_(columns.namespace == bindparam("owner"), true() if kind is None else columns.kind == kind)
        chosen = and_(mine, columns.key.in_(bindparam("keys", expanding=True)))
        page = and_(columns.key > bindparam("after"), columns.key < bindparam("until"))
        held = [column for column in columns if column.name not in ("namespace", "kind")]
        self.read: Final = select(*held).where(chosen, live(table))
        self.digests: Final = select(columns.key, columns.digest).where(chosen)
        self.make_room: Final = delete(table).where(chosen, expired(table))
        self.touch: Final = update(table).where(chosen).values(used=bindparam("now"))
        self.replaced: Final = tuple(column.name for column in held if column.name != "key")
        self.mine: Final = mine
        self.page: Final = (
            select(columns.key, columns.size).where(mine, page, live(table)).order_by(columns.key).limit(BATCH)
        )


def expired(table: Table) -> ColumnElement[bool]:
    """Whether a row has expired."""
    return table.c.expires <= bindparam("now")


def live(table: Table) -> ColumnElement[bool]:
    """Whether it has not."""
    return or_(table.c.expires.is_(None), table.c.expires > bindparam("now"))


ORIGINALS: Final = Shelf("original", texts, ORIGINAL)
"""What `Store.save` writes."""
MEMOS: Final = Shelf("memo", texts, MEMO)
"""What `Store.remember` writes."""
DERIVED: Final = Shelf("derived", derived, None)
"""What `Store.put` writes."""
SHELVES: Final = (ORIGINALS, MEMOS, DERIVED)


def text_row(key: bytes | None, text: str) -> dict[str, Any]:
    """The columns that hold an original or a decided text; without a key it gets the text's own id."""
    data = codec.encode(text)
    content = codec.digest(data)
    return {
        "key": codec.short_id(content).encode() if key is None else key,
        "digest": content,
        "size": len(data),
        "text": data,
    }


def text_of(row: Columns) -> str:
    """The text of an original or a decided text.

    Raises:
        ValueError: The row is damaged.
    """
    data = bytes(row["text"])
    if codec.digest(data) != bytes(row["digest"]):
        raise ValueError("its digest is another")
    return codec.decode(data)


def stamp(row: Mapping[str, Any], owner: bytes, ttl: float | None, kind: int | None = None) -> dict[str, Any]:
    """A row with whose it is, when it was written and until when it is there."""
    now = time.time()
    whose = {"namespace": owner} if kind is None else {"namespace": owner, "kind": kind}
    return whose | {"created": now, "used": now, "expires": None if ttl is None else now + ttl} | dict(row)


def batches(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Parts that are small enough for one statement."""
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]
