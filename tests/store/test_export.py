"""Exports: a namespace as JSON lines, into any other namespace of any database, and what is refused."""

import json
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxshrink.distill import Derived
from ctxshrink.store import Store, StoreError, _rows, reference
from tests.store.conftest import Clock, New
from tests.store.material import ANY_TEXT, DERIVED, derived, saying


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exports")


@pytest.fixture
def exported(tmp_path: Path) -> Iterator[Path]:
    """Five rows: two originals, a decided text, two distillates."""
    path = tmp_path / "export.jsonl"
    with Store.memory() as store:
        store.put([derived("one"), derived("two")], originals=["one", "two"])
        store.remember({"key": "decided"})
        assert store.export(path) == 5
    return path


class TestRoundTrip:
    @given(
        st.lists(ANY_TEXT, max_size=3), st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=3), st.lists(DERIVED, max_size=3)
    )
    @settings(max_examples=15, deadline=None)
    def test_is_identity(
        self, kept: Store, folder: Path, originals: list[str], memos: dict[str, str], made: list[Derived]
    ) -> None:
        first, second, other = folder / "first.jsonl", folder / "second.jsonl", kept
        other.clear()
        with Store.memory() as store:
            ids = store.save(originals)
            store.remember(memos)
            store.put(made)
            rows = store.stats().rows
            assert store.export(first) == rows
            assert other.load_export(first) == rows
            assert [other.load(id) for id in ids] == originals
            assert other.recall(list(memos)) == memos
            assert list(other.derived()) == list(store.derived())
            assert other.export(second) == rows
        assert first.read_bytes() == second.read_bytes()
        assert first.read_bytes().decode("utf-8").count("\n") == rows + 2

    def test_between_databases(self, sqlite_url: str, kept: Store, tmp_path: Path) -> None:
        there, back = tmp_path / "there.jsonl", tmp_path / "back.jsonl"
        kept.clear()
        with Store(sqlite_url) as sqlite:
            sqlite.put([derived(f"{i}", uri="\0\ud800\udc00") for i in range(600)], originals=["\ud800\udc00 \r\n"])
            assert (sqlite.export(there), kept.load_export(there), kept.export(back)) == (601, 601, 601)
        assert there.read_bytes() == back.read_bytes()

    def test_page_by_page(self, new: New, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_rows, "PAGE_BYTES", 3000)
        with new() as store, new() as other:
            store.save([f"text {i} " * 20 for i in range(1100)])
            store.put([derived(f"{i}") for i in range(50)])
            assert store.export(tmp_path / "x") == 1150
            assert other.load_export(tmp_path / "x") == 1150
            assert other.load(reference("text 1099 " * 20)) == "text 1099 " * 20

    def test_times_stay(self, new: New, tmp_path: Path, clock: Clock) -> None:
        path = tmp_path / "x"
        with new(ttl=1000) as store, new() as keeper, new(ttl=100) as shorter, new(ttl=5000) as longer:
            (id,) = store.save(["text"])
            clock.now += 500
            (later,) = store.save(["later"])
            assert store.export(path) == 2
            for other in (keeper, shorter, longer):
                other.load_export(path)
                assert other.stats().oldest == 1_000_000.0
            clock.now += 100
            assert [s.load(id) is not None for s in (keeper, shorter, longer)] == [True, False, True]
            clock.now += 400
            assert [s.load(id) is not None for s in (keeper, shorter, longer)] == [False, False, False]
            assert keeper.load(later) == "later"
            keeper.clear()
            assert keeper.load_export(path) == 1, "what has expired meanwhile is left out"

    def test_rows_of_the_file_replace_those_that_are_there(self, new: New, exported: Path) -> None:
        with new() as store:
            store.remember({"key": "other", "more": "stays"})
            store.put([saying(derived("one"), "other")])
            assert store.load_export(exported) == store.load_export(exported) == 5
            assert store.recall(["key", "more"]) == {"key": "decided", "more": "stays"}
            assert {one.distillate.text for one in store.derived()} == {"one", "two"}
            assert store.stats().rows == 6

    def test_a_bound_holds(self, exported: Path) -> None:
        with Store.memory(max_bytes=700) as store:
            assert store.load_export(exported) == 5
            store.purge()
            assert 0 < store.stats().bytes <= 700
        with Store.memory(max_bytes=100) as store, pytest.raises(StoreError, match="do not fit into max_bytes=100"):
            store.load_export(exported)


class TestFile:
    def test_is_the_owners_alone_and_leaves_nothing_beside_it(self, exported: Path) -> None:
        assert [path.name for path in exported.parent.iterdir()] == ["export.jsonl"]
        assert stat.S_IMODE(exported.stat().st_mode) == 0o600

    def test_stays_as_it_was_when_the_export_fails(self, sqlite_url: str, tmp_path: Path) -> None:
        path = tmp_path / "export.jsonl"
        path.write_text("earlier")
        store = Store(sqlite_url)
        store.save(["text"])
        store.close()
        with pytest.raises(StoreError, match="closed"):
            store.export(path)
        assert path.read_text() == "earlier"
        assert not list(tmp_path.glob("*.part"))

    def test_without_a_folder_says_so(self, tmp_path: Path) -> None:
        with Store.memory() as store:
            with pytest.raises(StoreError, match=r"could not be written to .*: No such file"):
                store.export(tmp_path / "nowhere" / "x")
            with pytest.raises(StoreError, match=r"cannot be read: No such file"):
                store.load_export(tmp_path / "x")

    def test_names_no_namespace(self, tmp_path: Path) -> None:
        with Store.memory(namespace="tenant 1") as store:
            store.save(["text"])
            store.export(tmp_path / "x")
        assert "tenant 1" not in (tmp_path / "x").read_text()


def _damage(line: str, **changes: object) -> str:
    return json.dumps(json.loads(line) | changes)


class TestDamage:
    @pytest.mark.parametrize(
        ("number", "change", "says"),
        [
            (1, lambda line: line.replace("ctxshrink_store", "other"), "no export of a store"),
            (1, lambda line: '{"ctxshrink_store":99}', "version 99 and this ctxshrink knows up to 1"),
            (2, lambda line: line[:-9], "JSONDecodeError"),
            (2, lambda line: "", "JSONDecodeError"),
            (2, lambda line: "[1]", "no JSON object"),
            (2, lambda line: "[" * 100_000, "RecursionError"),
            (2, lambda line: "1" * 10_000, "Exceeds the limit"),
            (2, lambda line: '{"base64":"%%"}', "cannot be read"),
            (3, lambda line: _damage(line, text="changed"), "its digest is another"),
            (3, lambda line: _damage(line, kind="spare"), "KeyError"),
            (3, lambda line: _damage(line, used="soon"), "no number of seconds"),
            (3, lambda line: _damage(line, created=10**400), "OverflowError"),
            (4, lambda line: _damage(line, key="00"), "its key has another length"),
            (4, lambda line: _damage(line, text=["decided"]), "keeps texts; got list"),
            (5, lambda line: _damage(line, source="x"), "source must be a content hash"),
            (5, lambda line: _damage(line, provenance={}), "its digest is another"),
            (7, lambda line: '{"rows":4}', "5 rows stand before it"),
            (7, lambda line: line + "\n" + line, "5 rows stand before it"),
            (7, lambda line: "", "JSONDecodeError"),
        ],
    )
    def test_is_refused_with_its_line(
        self, exported: Path, number: int, change: Callable[[str], str], says: str
    ) -> None:
        lines = exported.read_text().split("\n")
        lines[number - 1] = change(lines[number - 1])
        exported.write_text("\n".join(lines))
        with Store.memory() as store:
            with pytest.raises(StoreError, match=f"line {number}: .*({says}).*; 0 rows before it were written"):
                store.load_export(exported)
            assert store.stats().rows == 0, "a batch is written whole or not at all"

    @pytest.mark.parametrize("size", [0, 10, 300, -1])
    def test_a_file_that_was_cut_off_is_refused(self, exported: Path, size: int) -> None:
        exported.write_bytes(exported.read_bytes()[:size])
        with Store.memory() as store, pytest.raises(StoreError, match="the file ends early"):
            store.load_export(exported)

    def test_batches_before_it_stay(self, tmp_path: Path) -> None:
        path = tmp_path / "x"
        with Store.memory() as store:
            store.save([f"text {i}" for i in range(1200)])
            store.export(path)
        lines = path.read_text().split("\n")
        lines[1100] = "damaged"
        path.write_text("\n".join(lines))
        with Store.memory() as store:
            with pytest.raises(StoreError, match=r"line 1101: .*; 1000 rows before it were written"):
                store.load_export(path)
            assert store.stats().rows == 1000

    def test_a_damaged_row_is_left_out(self, sqlite_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        with Store(sqlite_url) as store:
            store.put([derived("one"), derived("two")], originals=["one", "two"])
            with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as raw:
                raw.execute("UPDATE ctxshrink_texts SET text = X'00' WHERE CAST(text AS TEXT) = 'one'")
                raw.execute("UPDATE ctxshrink_derived SET text = X'00' WHERE CAST(text AS TEXT) = 'two'")
            assert store.export(tmp_path / "x") == 2
        assert "the original" in caplog.text
        assert "the derived" in caplog.text
        with Store.memory() as other:
            assert other.load_export(tmp_path / "x") == 2
            assert other.load(reference("two")) == "two"
