"""A database that version 1 wrote opens, keeps its rows, and works; whoever comes first brings it up to date."""

import hashlib
import sqlite3
import time

import pytest
from sqlalchemy import create_engine, inspect, text

from ctxshrink.store import Store, StoreError, reference
from tests.store.workers import context, open_at_once, up_to_date

_TABLES = {
    "sqlite": ("BLOB", "BLOB", "DOUBLE"),
    "postgresql": ("BYTEA", "BYTEA", "DOUBLE PRECISION"),
    "mariadb": ("VARBINARY(255)", "LONGBLOB", "DOUBLE"),
}


def old(url: str) -> None:
    """Write what version 1 wrote: its tables, an original and a decided text."""
    engine = create_engine(url)
    name, data, real = _TABLES[engine.dialect.name]
    quoted = engine.dialect.identifier_preparer.quote("key")
    now = time.time()
    with engine.begin() as connection:
        for statement in f"""
            CREATE TABLE ctxshrink_schema (version INTEGER NOT NULL, PRIMARY KEY (version));
            CREATE TABLE ctxshrink_texts (
                namespace {name} NOT NULL, kind SMALLINT NOT NULL, {quoted} {name} NOT NULL, digest {name} NOT NULL,
                size BIGINT NOT NULL, created {real} NOT NULL, used {real} NOT NULL, expires {real},
                text {data} NOT NULL, PRIMARY KEY (namespace, kind, {quoted}));
            CREATE INDEX ctxshrink_texts_used ON ctxshrink_texts (namespace, used, size);
            CREATE INDEX ctxshrink_texts_expires ON ctxshrink_texts (namespace, expires);
            CREATE TABLE ctxshrink_removed (
                namespace {name} NOT NULL, expired BIGINT NOT NULL, evicted BIGINT NOT NULL, PRIMARY KEY (namespace));
            INSERT INTO ctxshrink_schema (version) VALUES (1)
            """.split(";"):
            connection.execute(text(statement))
        for kind, key, content in [
            (0, reference("an original \0").encode(), b"an original \0"),
            (1, hashlib.blake2b(b"key", digest_size=32).digest(), b"decided \xed\xa0\x80"),
        ]:
            connection.execute(
                text(
                    f"INSERT INTO ctxshrink_texts (namespace, kind, {quoted}, digest, size, created, used, expires, "
                    "text) VALUES (:owner, :kind, :key, :digest, :size, :now, :now, NULL, :text)"
                ),
                {
                    "owner": b"default",
                    "kind": kind,
                    "key": key,
                    "digest": hashlib.blake2b(content, digest_size=32).digest(),
                    "size": len(content),
                    "now": now,
                    "text": content,
                },
            )
    engine.dispose()


def test_rows_stay_and_distillates_can_be_put(url: str) -> None:
    old(url)
    assert up_to_date(url)
    assert up_to_date(url)
    engine = create_engine(url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version FROM ctxshrink_schema")).all() == [(2,)]
    engine.dispose()


def test_it_becomes_what_a_new_one_is(sqlite_url: str) -> None:
    old(sqlite_url)
    Store(sqlite_url).close()
    Store(f"{sqlite_url}.new").close()

    def tables(url: str) -> object:
        found = inspect(create_engine(url))
        return {
            name: ([str(c["type"]) + c["name"] for c in found.get_columns(name)], found.get_indexes(name))
            for name in found.get_table_names()
        }

    assert tables(sqlite_url) == tables(f"{sqlite_url}.new")


def test_many_who_open_it_at_once_migrate_it_once(url: str) -> None:
    old(url)
    many = context()
    begin = many.Barrier(3)
    processes = [many.Process(target=open_at_once, args=(url, begin)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * 3
    with Store(url) as store:
        assert store.stats().rows == 2 + 3
    engine = create_engine(url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version FROM ctxshrink_schema")).all() == [(2,)]
    engine.dispose()


def test_what_was_begun_is_finished(sqlite_url: str) -> None:
    old(sqlite_url)
    Store(sqlite_url).close()
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as raw:  # As after a crash of MySQL between the two.
        raw.execute("UPDATE ctxshrink_schema SET version = 1")
    assert up_to_date(sqlite_url)


def test_one_that_may_only_be_read_says_so(sqlite_url: str) -> None:
    old(sqlite_url)
    path = sqlite_url.removeprefix("sqlite:///")
    with pytest.raises(
        StoreError, match=r"readonly database; an earlier version .* open it once with the right to write"
    ):
        Store(f"sqlite:///file:{path}?mode=ro&uri=true")
