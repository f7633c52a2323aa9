"""The tables, the same on SQLite, PostgreSQL and MySQL.

Everything that is compared is stored as bytes: MySQL's default collation takes "A" for "a" and drops trailing spaces,
which would let one namespace read another's rows, and PostgreSQL text cannot hold NUL.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
)
from sqlalchemy.dialects.mysql import LONGBLOB, VARBINARY

VERSION: Final = 2
"""Of the tables below; raised with every change to them. `ctxshrink.store._setup` brings older ones up to it."""

MAX_KEY: Final = 255
"""Most bytes of a namespace or key: with both in one index, MySQL's limit of 3,072 bytes is far off."""

ORIGINAL: Final = 0
"""Kind of the rows that `Store.save` writes; their key is the short id."""

MEMO: Final = 1
"""Kind of the rows that `Store.remember` writes; their key is a digest of the caller's."""

_KEY: Final = LargeBinary().with_variant(VARBINARY(MAX_KEY), "mysql", "mariadb")
_TEXT: Final = LargeBinary().with_variant(LONGBLOB(), "mysql", "mariadb")

metadata: Final = MetaData()

schema: Final = Table("ctxshrink_schema", metadata, Column("version", Integer, primary_key=True, autoincrement=False))

# Small columns come first: SQLite then answers from a row's head without reading the pages of its text.
texts: Final = Table(
    "ctxshrink_texts",
    metadata,
    Column("namespace", _KEY, primary_key=True),
    Column("kind", SmallInteger, primary_key=True, autoincrement=False),
    Column("key", _KEY, primary_key=True),
    Column("digest", _KEY, nullable=False, comment="BLAKE2b-256 of text"),
    Column("size", BigInteger, nullable=False, comment="bytes of text"),
    Column("created", Double, nullable=False, comment="seconds since 1970"),
    Column("used", Double, nullable=False, comment="when last written or read, give or take a minute"),
    Column("expires", Double, nullable=True, comment="NULL: never"),
    Column("text", _TEXT, nullable=False, comment="UTF-8, lone surrogates encoded like other code points"),
    Index("ctxshrink_texts_used", "namespace", "used", "size"),
    Index("ctxshrink_texts_expires", "namespace", "expires"),
)

derived: Final = Table(
    "ctxshrink_derived",
    metadata,
    Column("namespace", _KEY, primary_key=True),
    Column("key", _KEY, primary_key=True, comment="recipe, 16 bytes, then source, 32 bytes"),
    Column("uri", _KEY, nullable=True, comment="BLAKE2b-256 of where the source came from; NULL: not known"),
    Column("digest", _KEY, nullable=False, comment="BLAKE2b-256 of provenance, a NUL and text"),
    Column("size", BigInteger, nullable=False, comment="bytes of text and provenance"),
    Column("created", Double, nullable=False, comment="seconds since 1970"),
    Column("used", Double, nullable=False, comment="when last written or read, give or take a minute"),
    Column("expires", Double, nullable=True, comment="NULL: never"),
    Column("provenance", _TEXT, nullable=False, comment="JSON in UTF-8, lone surrogates as in text"),
    Column("text", _TEXT, nullable=False, comment="as in ctxshrink_texts"),
    Index("ctxshrink_derived_uri", "namespace", "uri"),
    Index("ctxshrink_derived_used", "namespace", "used", "size"),
    Index("ctxshrink_derived_expires", "namespace", "expires"),
)

removed: Final = Table(
    "ctxshrink_removed",
    metadata,
    Column("namespace", _KEY, primary_key=True),
    Column("expired", BigInteger, nullable=False, comment="rows removed after their expiry"),
    Column("evicted", BigInteger, nullable=False, comment="rows removed to make room"),
)
