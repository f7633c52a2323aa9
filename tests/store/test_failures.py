"""Databases that are locked, full, or may only be read."""

import sqlite3

import pytest

from ctxshrink.store import Store, StoreError
from tests.store.conftest import Clock


class TestFailures:
    def test_a_locked_database(self, sqlite_url: str) -> None:
        store = Store(f"{sqlite_url}?timeout=0.05")
        (id,) = store.save(["text"])
        raw = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
        raw.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="database is locked; another process holds it") as caught:
            store.save(["other"])
        assert "other" not in str(caught.value.__cause__), "texts stay out of messages"
        assert store.load(id) == "text", "readers do not wait for writers"
        raw.execute("ROLLBACK")
        raw.close()
        store.save(["other"])

    def test_reading_goes_on_where_use_cannot_be_noted(self, sqlite_url: str, clock: Clock) -> None:
        store = Store(f"{sqlite_url}?timeout=0.05")
        (id,) = store.save(["text"])
        clock.now += 1000
        raw = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
        raw.execute("BEGIN IMMEDIATE")
        assert store.load(id) == "text"
        raw.close()

    def test_a_database_that_may_only_be_read(self, sqlite_url: str, clock: Clock) -> None:
        with Store(sqlite_url) as store:
            (id,) = store.save(["text"])
            clock.now += 1000
            path = sqlite_url.removeprefix("sqlite:///")
            with Store(f"sqlite:///file:{path}?mode=ro&uri=true") as reader:
                assert reader.load(id) == "text"
                with pytest.raises(StoreError, match="readonly"):
                    reader.save(["other"])

    def test_a_full_database(self, sqlite_url: str) -> None:
        with Store(sqlite_url) as store:
            (id,) = store.save(["text"])
            with store._database.reading() as connection:
                connection.exec_driver_sql("PRAGMA max_page_count = 20")
            with pytest.raises(StoreError, match="full; free some space"):
                store.save(["x" * 1_000_000])
            assert store.load(id) == "text"
            assert store.stats().rows == 1
