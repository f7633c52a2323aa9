"""Opening and closing a store: what is refused, and what it says."""

import pickle
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine

from ctxshrink.errors import ConfigError
from ctxshrink.store import Store, StoreError, _database, _sql


class TestOpening:
    def test_a_new_file_is_the_owners_alone(self, tmp_path: Path, sqlite_url: str) -> None:
        with Store(sqlite_url) as store:
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
            ("oracle://me:hunter2@host/db", "knows SQLite, PostgreSQL, MySQL and MariaDB, not 'oracle'"),
            ("sqlite:///x.db?timeout=soon", "an option that its driver does not take: could not convert .* 'soon'"),
            ("sqlite:///x\0.db", "a path or an option that its driver does not take"),
            ("sqlite:///x\ud800.db", "a path or an option that its driver does not take"),
            ("sqlite:///x.db?plugin=nosuch", "Can't load plugin"),
            ("postgresql+psycopg://me:hunter2@127.0.0.1:9/db?colour=red", 'invalid connection option "colour"'),
        ],
    )
    def test_a_bad_url_says_what_to_do(
        self, bad: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(StoreError, match=says) as caught:
            Store(bad)
        assert "hunter2" not in str(caught.value)

    @pytest.mark.parametrize("url", ["sqlite:///file::memory:?uri=true", "sqlite:///file:x?mode=memory&uri=true"])
    def test_a_database_in_memory_is_one_for_all_threads(self, url: str) -> None:
        with Store(url) as store, ThreadPoolExecutor(4) as pool:
            ids = list(pool.map(lambda i: store.save([f"text {i}"])[0], range(20)))
            assert [store.load(id) for id in ids] == [f"text {i}" for i in range(20)]
            with pytest.raises(TypeError, match="a store in memory cannot be pickled"):
                pickle.dumps(store)

    def test_what_cannot_be_opened_leaves_no_connection(self, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        opened: list[Engine] = []
        connect = _sql.connect
        monkeypatch.setattr(_sql, "connect", lambda url: opened.append(connect(url)) or opened[-1])
        Store(sqlite_url).close()
        with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as raw:
            raw.execute("UPDATE ctxshrink_schema SET version = 99")
        with pytest.raises(StoreError):
            Store(sqlite_url)
        assert [engine.pool.checkedin() for engine in opened] == [0, 0]  # pyright: ignore[reportAttributeAccessIssue]

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

    def test_a_newer_version_is_refused(self, sqlite_url: str) -> None:
        Store(sqlite_url).close()
        with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as raw:
            raw.execute("UPDATE ctxshrink_schema SET version = 99")
        with pytest.raises(StoreError, match="version 99 and this ctxshrink knows up to 2: upgrade ctxshrink"):
            Store(sqlite_url)

    def test_settings_are_checked(self) -> None:
        for ttl in (0, -1, float("nan"), float("inf"), "60"):
            with pytest.raises(ConfigError, match="ttl must be a positive number"):
                Store.memory(ttl=ttl)  # pyright: ignore[reportArgumentType]
        for size in (0, -1, "60"):
            with pytest.raises(ConfigError, match="max_bytes must be positive"):
                Store.memory(max_bytes=size)  # pyright: ignore[reportArgumentType]

    def test_closed_is_closed(self, url: str) -> None:
        with Store(url) as store:
            pass
        with pytest.raises(StoreError, match="closed"):
            store.load("aaaaaaaaaa")

    def test_shows_no_password(self) -> None:
        url = _sql.parse("sqlite:///x.db").set(
            drivername="postgresql",
            username="me",
            password="hunter2",
            host="h",
            query={"sslpassword": ("hunter3", "hunter4")},
        )
        assert "hunter" not in _sql.shown(url)
        with pytest.raises(StoreError) as caught, _database.translated(url, "open"):
            raise OSError("cannot log in with hunter2, hunter3, hunter4")
        assert "hunter" not in str(caught.value)
        assert caught.value.__cause__ is None

    def test_a_copy_in_another_process_opens_the_same(self, url: str) -> None:
        with Store(url, namespace="one", ttl=50) as store:
            (id,) = store.save(["text"])
            with pickle.loads(pickle.dumps(store)) as copy:
                assert (copy.load(id), copy.ttl, copy.namespace) == ("text", 50, "one")
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(Store.memory())
