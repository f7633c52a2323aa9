"""What the store promises to one process; crashes and crowds are in test_processes.py."""

import logging
import pickle
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxshrink.errors import ConfigError, CtxShrinkError
from ctxshrink.store import Store, StoreError, _database, _rows, _sql, reference

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)
"""Lone surrogates and NUL included."""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.db"


class _Clock:
    """Stands for the time module in the store: `time` can be set forward."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000_000.0
        for module in ("ctxshrink.store.time", "ctxshrink.store._rows.time"):
            monkeypatch.setattr(module, self)

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    return _Clock(monkeypatch)


class TestOriginals:
    @given(st.lists(ANY_TEXT, max_size=5))
    @settings(deadline=None, max_examples=40)
    def test_come_back_exactly(self, originals: list[str]) -> None:
        with Store.memory() as store:
            ids = store.save(originals)
            assert [store.load(i) for i in ids] == originals
            assert ids == [reference(text) for text in originals]
            assert store.stats().rows == len(set(originals))

    def test_survive_closing(self, url: str) -> None:
        text = "\r\n\0\ud800\u2028 end" * 1000
        with Store(url) as store:
            (id,) = store.save([text])
        with Store(url) as store:
            assert store.load(id) == text

    def test_an_id_is_short_and_known(self) -> None:
        assert reference("") == "bzlvdqbg4v"
        assert reference("a") != reference("b")

    @pytest.mark.parametrize("id", ["", "aaaaaaaaaa", "\0", "\ud800", "x" * 5000, "%", "' OR 1=1 --"])
    def test_an_unknown_id_gives_none(self, id: str) -> None:
        with Store.memory() as store:
            store.save(["a text"])
            assert store.load(id) is None

    def test_one_text_instead_of_a_list_is_refused(self) -> None:
        with Store.memory() as store, pytest.raises(ConfigError, match="a list of texts"):
            store.save("text")

    def test_what_is_no_text_is_refused(self) -> None:
        with Store.memory() as store, pytest.raises(ConfigError, match="keeps texts; got bytes"):
            store.save(["text", b"bytes"])  # pyright: ignore[reportArgumentType]

    def test_a_collision_is_refused_and_nothing_is_written(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with Store.memory() as store:
            monkeypatch.setattr(_rows, "short_id", lambda content: "a" * 10)
            store.save(["first"])
            for texts in (["second"], ["first", "second"]):
                with pytest.raises(StoreError, match="already stands for another text"):
                    store.save(texts)
            assert store.load("a" * 10) == "first"

    def test_more_than_a_statement_holds(self) -> None:
        texts = [f"text {i}" for i in range(1201)]
        with Store.memory() as store:
            assert [store.load(i) for i in store.save(texts)] == texts
            store.remember({text: text[::-1] for text in texts})
            assert store.recall(texts) == {text: text[::-1] for text in texts}


class TestMemo:
    @given(st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=5), st.lists(ANY_TEXT, max_size=3))
    @settings(deadline=None, max_examples=40)
    def test_recalls_what_was_remembered(self, entries: dict[str, str], others: list[str]) -> None:
        with Store.memory() as store:
            store.remember(entries)
            assert store.recall([*entries, *others]) == entries

    def test_the_last_text_counts(self) -> None:
        with Store.memory() as store:
            store.remember({"key": "early"})
            store.remember({"key": "late"})
            assert store.recall(["key"]) == {"key": "late"}

    def test_is_apart_from_originals(self) -> None:
        with Store.memory() as store:
            (id,) = store.save(["original"])
            store.remember({id: "decided"})
            assert (store.load(id), store.recall([id])) == ("original", {id: "decided"})


_NAMES = st.sampled_from(["a", "A", "a ", "\0", "ä", "a\u0308", "\ud800"])
_WORDS = st.sampled_from(["x", "y", "z"])
_STEPS = st.tuples(_NAMES, st.sampled_from(["save", "remember", "purge"]), _WORDS)


class TestNamespaces:
    @given(st.lists(_STEPS, max_size=12))
    @settings(deadline=None, max_examples=30)
    def test_no_call_sees_or_changes_anothers_rows(self, steps: list[tuple[str, str, str]]) -> None:
        names = ["a", "A", "a ", "\0", "ä", "a\u0308", "\ud800"]
        base = Store.memory()
        stores = {name: _sibling(base, name) for name in names}
        saved: dict[str, set[str]] = {name: set() for name in names}
        memo: dict[str, dict[str, str]] = {name: {} for name in names}
        for name, action, word in steps:
            if action == "save":
                stores[name].save([word])
                saved[name].add(word)
            elif action == "remember":
                stores[name].remember({word: name})
                memo[name][word] = name
            else:
                assert stores[name].purge() == 0
        for name, store in stores.items():
            assert {w for w in "xyz" if store.load(reference(w)) is not None} == saved[name]
            assert store.recall(list("xyz")) == memo[name]
            assert store.stats().rows == len(saved[name]) + len(memo[name])
        base.close()

    def test_a_bound_takes_only_its_own_rows(self, url: str) -> None:
        with Store(url, namespace="one") as one, Store(url, namespace="two", max_bytes=10) as two:
            (id,) = one.save(["x" * 1000])
            two.save(["y" * 10])
            two.save(["z" * 10])
            two.purge()
            assert one.load(id) == "x" * 1000
            assert two.stats().bytes == 10

    @pytest.mark.parametrize("name", ["", "x" * 256, "ä" * 128])
    def test_a_name_has_a_length(self, name: str) -> None:
        with pytest.raises(ConfigError, match="namespace must have 1 to 255 bytes"):
            Store.memory(namespace=name)


def _sibling(base: Store, name: str) -> Store:
    """Another namespace of the same database in memory."""
    store = Store.memory(namespace=name)
    store._database = base._database
    return store


class TestExpiry:
    def test_expired_rows_are_gone_and_counted(self, clock: _Clock, url: str, caplog: pytest.LogCaptureFixture) -> None:
        store = Store(url, ttl=100)
        (id,) = store.save(["text"])
        store.remember({"key": "decided"})
        clock.now += 99
        assert store.load(id) == "text"
        clock.now += 1
        assert store.load(id) is None
        assert store.recall(["key"]) == {}
        stats = store.stats()
        assert (stats.rows, stats.bytes, stats.oldest, stats.expired) == (0, 0, None, 2)
        with caplog.at_level(logging.INFO, "ctxshrink"):
            assert store.purge() == 2
        assert "2 rows had expired and 0 made room" in caplog.text
        assert (store.purge(), store.stats().expired) == (0, 2)

    def test_saving_again_renews(self, clock: _Clock) -> None:
        with Store.memory(ttl=100) as store:
            (id,) = store.save(["text"])
            clock.now += 90
            assert store.save(["text"]) == [id]
            clock.now += 90
            assert store.load(id) == "text"
            clock.now += 90
            assert store.save(["text"]) == [id], "an expired row makes room for the same id"
            assert store.load(id) == "text"

    def test_without_ttl_rows_stay(self, clock: _Clock) -> None:
        with Store.memory() as store:
            (id,) = store.save(["text"])
            clock.now += 1e9
            store.save(["another"])
            assert store.load(id) == "text"

    def test_writing_purges_now_and_then(self, clock: _Clock, url: str) -> None:
        with Store(url, ttl=100) as store:
            store.save([f"text {i}" for i in range(10)])
            clock.now += 200
            store.save(["another"])
        with sqlite3.connect(url.removeprefix("sqlite:///")) as raw:
            assert raw.execute("SELECT count(*) FROM ctxshrink_texts").fetchone() == (1,)


class TestBound:
    def test_the_longest_unused_goes_first(self, clock: _Clock) -> None:
        with Store.memory(max_bytes=350) as store:
            ids = []
            for letter in "abc":
                ids += store.save([letter * 100])
                clock.now += 61
            store.load(ids[0])
            clock.now += 61
            ids += store.save(["d" * 100])
            assert [store.load(i) is not None for i in ids] == [True, False, True, True]
            assert (store.stats().bytes, store.stats().evicted) == (300, 1)

    def test_holds_about_while_writing_and_exactly_after_a_purge(self) -> None:
        with Store.memory(max_bytes=100_000) as store:
            for i in range(200):
                store.save([f"{i:04d}" * 500])
                assert store.stats().bytes <= 110_000
            store.purge()
            assert store.stats().bytes <= 100_000
            assert store.load(reference("0199" * 500)) is not None

    def test_more_than_the_bound_at_once_is_refused(self) -> None:
        with Store.memory(max_bytes=100) as store:
            with pytest.raises(StoreError, match="101 bytes at once do not fit into max_bytes=100"):
                store.save(["x" * 60, "y" * 41])
            with pytest.raises(StoreError, match="do not fit"):
                store.remember({"key": "x" * 101})
            assert store.stats().rows == 0


class TestOpening:
    def test_a_new_file_is_the_owners_alone(self, tmp_path: Path, url: str) -> None:
        with Store(url) as store:
            store.save(["text"])
            modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()}
        assert set(modes.values()) == {0o600}
        assert "store.db" in modes

    @pytest.mark.parametrize(
        ("bad", "says"),
        [
            ("nonsense", "not a database URL"),
            ("postgresql://me:hunter2@host:port/db", "not a database URL"),
            ("nosuchdatabase://me:hunter2@host/db", "unknown database"),
            ("sqlite+aiosqlite:///x.db", "not installed|asynchronous"),
            ("sqlite:////nosuchfolder/x.db", "the folder must exist"),
        ],
    )
    def test_a_bad_url_says_what_to_do(self, bad: str, says: str) -> None:
        with pytest.raises(StoreError, match=says) as caught:
            Store(bad)
        assert "hunter2" not in str(caught.value)

    def test_a_missing_driver_is_named(self) -> None:
        # A None in sys.modules makes an import fail as if the package were not there.
        code = (
            "import sys; sys.modules['pymysql'] = None\n"
            "from ctxshrink.store import Store; Store('mysql+pymysql://me:hunter2@host/db')"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert "StoreError: the driver that the store's url names is not installed (pymysql)" in done.stderr
        assert "hunter2" not in done.stderr.replace(code, "")

    def test_without_sqlalchemy_the_extra_is_named(self) -> None:
        code = "import sys; sys.modules['sqlalchemy'] = None; import ctxshrink; import ctxshrink.store"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert 'pip install "ctxshrink[store]"' in done.stderr

    def test_the_package_does_not_import_it(self) -> None:
        code = "import sys, ctxshrink, ctxshrink.expand; sys.exit('sqlalchemy' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

    def test_a_file_that_is_no_database(self, tmp_path: Path) -> None:
        path = tmp_path / "notes.txt"
        path.write_text("notes " * 1000)
        with pytest.raises(StoreError, match="file is not a database"):
            Store(f"sqlite:///{path}")
        assert path.read_text() == "notes " * 1000

    def test_a_newer_version_is_refused(self, url: str) -> None:
        Store(url).close()
        with sqlite3.connect(url.removeprefix("sqlite:///")) as raw:
            raw.execute("UPDATE ctxshrink_schema SET version = 99")
        with pytest.raises(StoreError, match="version 99 and this ctxshrink knows up to 1: upgrade ctxshrink"):
            Store(url)

    def test_settings_are_checked(self) -> None:
        for ttl in (0, -1, float("nan"), float("inf")):
            with pytest.raises(ConfigError, match="ttl must be a positive number"):
                Store.memory(ttl=ttl)
        with pytest.raises(ConfigError, match="max_bytes must be positive"):
            Store.memory(max_bytes=0)

    def test_closed_is_closed(self, url: str) -> None:
        with Store(url) as store:
            pass
        with pytest.raises(StoreError, match="closed"):
            store.load("aaaaaaaaaa")

    def test_shows_no_password(self) -> None:
        url = _sql.parse("sqlite:///x.db").set(
            drivername="postgresql", username="me", password="hunter2", host="h", query={"sslpassword": "hunter3"}
        )
        assert "hunter" not in _sql.shown(url)
        with pytest.raises(StoreError) as caught, _database.translated(url, "open"):
            raise OSError("cannot log in with hunter2, hunter3")
        assert "hunter" not in str(caught.value)
        assert caught.value.__cause__ is None

    def test_a_copy_in_another_process_opens_the_same(self, url: str) -> None:
        with Store(url, namespace="one", ttl=50) as store:
            (id,) = store.save(["text"])
            with pickle.loads(pickle.dumps(store)) as copy:
                assert (copy.load(id), copy.ttl, copy.namespace) == ("text", 50, "one")
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(Store.memory())


class TestFailures:
    def test_a_locked_database(self, url: str) -> None:
        store = Store(f"{url}?timeout=0.05")
        (id,) = store.save(["text"])
        raw = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        raw.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="database is locked; another process holds it") as caught:
            store.save(["other"])
        assert "other" not in str(caught.value.__cause__), "texts stay out of messages"
        assert store.load(id) == "text", "readers do not wait for writers"
        raw.execute("ROLLBACK")
        raw.close()
        store.save(["other"])

    def test_reading_goes_on_where_use_cannot_be_noted(self, url: str, clock: _Clock) -> None:
        store = Store(f"{url}?timeout=0.05")
        (id,) = store.save(["text"])
        clock.now += 1000
        raw = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        raw.execute("BEGIN IMMEDIATE")
        assert store.load(id) == "text"
        raw.close()

    def test_a_database_that_may_only_be_read(self, url: str, clock: _Clock) -> None:
        with Store(url) as store:
            (id,) = store.save(["text"])
            clock.now += 1000
            path = url.removeprefix("sqlite:///")
            with Store(f"sqlite:///file:{path}?mode=ro&uri=true") as reader:
                assert reader.load(id) == "text"
                with pytest.raises(StoreError, match="readonly"):
                    reader.save(["other"])

    def test_a_full_database(self, url: str) -> None:
        with Store(url) as store:
            (id,) = store.save(["text"])
            with store._database.reading() as connection:
                connection.exec_driver_sql("PRAGMA max_page_count = 20")
            with pytest.raises(StoreError, match="full; free some space"):
                store.save(["x" * 1_000_000])
            assert store.load(id) == "text"
            assert store.stats().rows == 1


def test_threads_share_a_store_in_memory() -> None:
    failures: list[BaseException] = []
    with Store.memory() as store:

        def work(number: int) -> None:
            try:
                for i in range(30):
                    text = f"{number} {i}"
                    assert store.load(store.save([text])[0]) == text
            except (AssertionError, CtxShrinkError) as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        assert store.stats().rows == 180
