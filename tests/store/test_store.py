"""What the store promises to one process; what goes wrong is in test_failures.py, crowds in test_processes.py."""

import logging
import sqlite3
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxshrink.errors import ConfigError, CtxShrinkError
from ctxshrink.store import Store, StoreError, _rows, reference
from tests.store.conftest import Clock

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)
"""Lone surrogates and NUL included."""


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
    def test_expired_rows_are_gone_and_counted(self, clock: Clock, url: str, caplog: pytest.LogCaptureFixture) -> None:
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

    def test_saving_again_renews(self, clock: Clock) -> None:
        with Store.memory(ttl=100) as store:
            (id,) = store.save(["text"])
            clock.now += 90
            assert store.save(["text"]) == [id]
            clock.now += 90
            assert store.load(id) == "text"
            clock.now += 90
            assert store.save(["text"]) == [id], "an expired row makes room for the same id"
            assert store.load(id) == "text"

    def test_without_ttl_rows_stay(self, clock: Clock) -> None:
        with Store.memory() as store:
            (id,) = store.save(["text"])
            clock.now += 1e9
            store.save(["another"])
            assert store.load(id) == "text"

    def test_writing_purges_now_and_then(self, clock: Clock, url: str) -> None:
        with Store(url, ttl=100) as store:
            store.save([f"text {i}" for i in range(10)])
            clock.now += 200
            store.save(["another"])
        with sqlite3.connect(url.removeprefix("sqlite:///")) as raw:
            assert raw.execute("SELECT count(*) FROM ctxshrink_texts").fetchone() == (1,)


class TestBound:
    def test_the_longest_unused_goes_first(self, clock: Clock) -> None:
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
