"""Rows: what a text is stored as, which rows are one's own, and how those go that nobody needs."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Connection, and_, bindparam, delete, func, or_, select, tuple_, update

from ctxshrink.errors import ConfigError
from ctxshrink.store._schema import removed, texts

ID_LENGTH: Final = 10
"""Characters of an id: 50 bits. Among a million texts the chance of any collision is 1 in 2,000."""

_BATCH: Final = 500


def encode(text: str) -> bytes:
    """UTF-8; lone surrogates, which it has no place for, come out like other code points."""
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]  callers without a type checker
        raise ConfigError(f"the store keeps texts; got {type(text).__name__}")
    return text.encode("utf-8", "surrogatepass")


def decode(data: bytes) -> str:
    """The inverse of `encode`."""
    return data.decode("utf-8", "surrogatepass")


def digest(data: bytes) -> bytes:
    """BLAKE2b-256."""
    return hashlib.blake2b(data, digest_size=32).digest()


def short_id(content: bytes) -> str:
    """The id of a text with this digest."""
    return base64.b32encode(content).decode()[:ID_LENGTH].lower()


def row(owner: bytes, kind: int, key: bytes | None, text: str, ttl: float | None) -> dict[str, Any]:
    """A row of `texts`; without a key it gets the text's own id."""
    data, now = encode(text), time.time()
    content = digest(data)
    return {
        "namespace": owner,
        "kind": kind,
        "key": short_id(content).encode() if key is None else key,
        "digest": content,
        "size": len(data),
        "created": now,
        "used": now,
        "expires": None if ttl is None else now + ttl,
        "text": data,
    }


def batches(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Parts that are small enough for one statement."""
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]


_MINE: Final = texts.c.namespace == bindparam("owner")
_CHOSEN: Final = and_(_MINE, texts.c.kind == bindparam("of_kind"), texts.c.key.in_(bindparam("keys", expanding=True)))
_EXPIRED: Final = texts.c.expires <= bindparam("now")
_LIVE: Final = or_(texts.c.expires.is_(None), texts.c.expires > bindparam("now"))

# Statements are built once; building one costs more than running it. Each is bound to an ``owner``, the namespace.
READ: Final = select(texts.c.key, texts.c.text, texts.c.used).where(_CHOSEN, _LIVE)
"""The live rows of ``of_kind`` under ``keys`` at ``now``."""
DIGESTS: Final = select(texts.c.key, texts.c.digest).where(_CHOSEN)
"""What the rows of ``of_kind`` under ``keys`` hold."""
MAKE_ROOM: Final = delete(texts).where(_CHOSEN, _EXPIRED)
"""Removes those of them that have expired."""
TOUCH: Final = update(texts).where(_CHOSEN).values(used=bindparam("now"))
"""Notes that they are used ``now``."""
PURGE: Final = delete(texts).where(_MINE, _EXPIRED)
"""Removes all rows that have expired."""
COUNT_LIVE: Final = select(func.count(), func.coalesce(func.sum(texts.c.size), 0), func.min(texts.c.created)).where(
    _MINE, _LIVE
)
"""Number, bytes and oldest of the live rows."""
COUNT_EXPIRED: Final = select(func.count()).where(_MINE, _EXPIRED)
"""Number of the expired rows that are still there."""
REMOVED: Final = select(removed.c.expired, removed.c.evicted).where(removed.c.namespace == bindparam("owner"))
"""What was removed so far."""


def evict(connection: Connection, owner: bytes, max_bytes: int) -> int:
    """Remove a namespace's rows, the longest unused first, until their texts fit. Returns how many."""
    mine = texts.c.namespace == owner
    total = connection.execute(select(func.coalesce(func.sum(texts.c.size), 0)).where(mine)).scalar_one()
    excess, evicted = int(total) - max_bytes, 0
    oldest = select(texts.c.kind, texts.c.key, texts.c.size).where(mine).order_by(texts.c.used, texts.c.key)
    while excess > 0:
        batch: list[tuple[int, bytes]] = []
        for kind, key, size in connection.execute(oldest.limit(_BATCH)):
            if excess > 0:
                batch.append((kind, key))
                excess -= size
        if not batch:
            break
        evicted += connection.execute(delete(texts).where(mine, tuple_(texts.c.kind, texts.c.key).in_(batch))).rowcount
    return evicted
