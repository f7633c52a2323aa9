"""What databases get to see: types that compare bytes, statements that each knows, transactions that collide."""

import threading
import time
from collections.abc import Callable

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import OperationalError
from sqlalchemy.schema import CreateIndex, CreateTable

from ctxshrink.store import Store, StoreError, _rows, _sql, reference
from ctxshrink.store._schema import metadata
from tests.store.servers import Server

DIALECTS = {"mysql": mysql.dialect(), "postgresql": postgresql.dialect(), "sqlite": sqlite.dialect()}
BYTES = {"mysql": ("VARBINARY(255)", "LONGBLOB"), "postgresql": ("BYTEA", "BYTEA"), "sqlite": ("BLOB", "BLOB")}


@pytest.mark.parametrize("name", DIALECTS)
def test_all_that_is_compared_is_bytes(name: str) -> None:
    keys, texts = BYTES[name]
    for table in metadata.sorted_tables:
        made = str(CreateTable(table).compile(dialect=DIALECTS[name]))
        assert not any(word in made for word in ("CHAR", " TEXT", "CLOB"))
        for column in table.columns:
            if column.name in ("namespace", "key", "digest", "uri"):
                assert f"{keys} " in made or f"{keys}," in made
            if column.name in ("text", "provenance"):
                assert f"{texts} NOT NULL" in made
        for index in table.indexes:
            assert "CREATE INDEX ctxshrink_" in str(CreateIndex(index).compile(dialect=DIALECTS[name]))


@pytest.mark.parametrize("name", DIALECTS)
def test_all_statements_compile(name: str) -> None:
    for shelf in _rows.SHELVES:
        upsert = str(_sql._upsert(name, shelf.table, shelf.replaced, ()).compile(dialect=DIALECTS[name]))
        assert ("ON DUPLICATE KEY UPDATE" if name == "mysql" else "ON CONFLICT") in upsert
        for statement in (shelf.read, shelf.page, shelf.touch, shelf.make_room, shelf.digests):
            compiled = str(statement.compile(dialect=DIALECTS[name]))
            assert "namespace =" in compiled, "every statement is bound to a namespace"


def test_another_database_is_refused() -> None:
    with pytest.raises(StoreError, match="the store knows SQLite, PostgreSQL, MySQL and MariaDB, not 'oracle'"):
        _sql._upsert("oracle", _rows.DERIVED.table, (), ())


@pytest.mark.parametrize(
    ("original", "found"),
    [
        (type("Psycopg", (Exception,), {"sqlstate": "40P01"})("deadlock"), True),
        (type("Psycopg2", (Exception,), {"pgcode": "40001"})("serialization"), True),
        (Exception({"C": "40P01", "M": "deadlock"}), True),
        (Exception(1213, "Deadlock found"), True),
        (Exception(1064, "syntax"), False),
        (Exception(), False),
        (type("Psycopg", (Exception,), {"sqlstate": "23505"})("unique"), False),
    ],
)
def test_collisions_are_told_from_other_errors(original: Exception, found: bool) -> None:
    assert _sql.collided(OperationalError("statement", {}, original)) is found


def test_a_deadlock_is_tried_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two transactions wait for each other's row: the store's gives way, and is done again."""
    url = server.new_database()
    engine = create_engine(url)
    with engine.begin() as connection:  # Who has waited for two seconds looks for a deadlock, and gives way.
        connection.exec_driver_sql(f"ALTER DATABASE {engine.url.database} SET deadlock_timeout = '2s'")
    seen: list[bool] = []
    collided = _sql.collided
    monkeypatch.setattr(_sql, "collided", lambda error: seen.append(collided(error)) or seen[-1])
    first, second = sorted(["one", "two"], key=reference)
    lock = text("UPDATE ctxshrink_texts SET size = size WHERE key = :key")
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    with Store(url) as store:
        store.save(["one", "two"])
        with engine.connect() as other, engine.connect() as watcher:
            other.exec_driver_sql("SET deadlock_timeout = '1h'")  # It looks for none, and so never gives way.
            other.exec_driver_sql("SET lock_timeout = '60s'")
            other.execute(lock, {"key": reference(second).encode()})
            saving = threading.Thread(target=store.save, args=(["one", "two"],))
            saving.start()
            _until(lambda: watcher.execute(waiting).scalar_one() > 0)
            other.execute(lock, {"key": reference(first).encode()})
            other.rollback()
            saving.join(60)
        assert seen == [True]
        assert (store.load(reference("one")), store.load(reference("two"))) == ("one", "two")
    engine.dispose()


def _until(done: Callable[[], bool]) -> None:
    for _ in range(1000):
        if done():
            return
        time.sleep(0.01)
    pytest.fail("nothing happened for ten seconds")
