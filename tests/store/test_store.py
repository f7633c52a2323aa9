"""What the store promises to one process; what goes wrong is in test_failures.py, crowds in test_processes.py."""

import logging
import sqlite3
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxshrink.errors import ConfigError, CtxShrinkError
from ctxshrink.store import Store, StoreError, _codec, reference
from tests.store.conftest import Clock, New
from tests.store.material import ANY_TEXT


class TestOriginals:
    @given(st.lists(ANY_TEXT, max_size=5))
    @settings(deadline=None, max_examples=40)
    def test_come_back_exactly(self, kept: Store, originals: list[str]) -> None:
        kept.clear()
        ids = kept.save(originals)
        assert [kept.load(i) for i in ids] == originals
        assert ids == [reference(text) for text in originals]
        assert kept.stats().rows == len(set(originals))

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
    def test_an_unknown_id_gives_none(self, id: str, new: New) -> None:
        with new() as store:
            store.save(["a text"])
            assert store.load(id) is None

    def test_one_text_instead_of_a_list_is_refused(self, new: New) -> None:
        with new() as store, pytest.raises(ConfigError, match="a list of texts"):
            store.save("text")

    def test_what_is_no_text_is_refused(self, new: New) -> None:
        with new() as store, pytest.raises(ConfigError, match="keeps texts; got bytes"):
            store.save(["text", b"bytes"])  # pyright: ignore[reportArgumentType]

    def test_a_collision_is_refused_and_nothing_is_written(self, monkeypatch: pytest.MonkeyPatch, new: New) -> None:
        with new() as store:
            monkeypatch.setattr(_codec, "short_id", lambda content: "a" * 10)
            store.save(["first"])
            for texts in (["second"], ["first", "second"]):
                with pytest.raises(StoreError, match="already stands for another text"):
                    store.save(texts)
            assert store.load("a" * 10) == "first"

    def test_more_than_a_statement_holds(self, new: New) -> None:
        texts = [f"text {i}" for i in range(1201)]
        with new() as store:
            ids = store.save(texts)
            assert store.stats().rows == 1201
            assert [store.load(i) for i in ids[::100]] == texts[::100]
            store.remember({text: text[::-1] for text in texts})
            assert store.recall(texts) == {text: text[::-1] for text in texts}


class TestMemo:
    @given(st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=5), st.lists(ANY_TEXT, max_size=3))
    @settings(deadline=None, max_examples=40)
    def test_recalls_what_was_remembered(self, kept: Store, entries: dict[str, str], others: list[str]) -> None:
        kept.clear()
        kept.remember(entries)
        assert kept.recall([*entries, *others]) == entries

    def test_the_last_text_counts(self, new: New) -> None:
        with new() as store:
            store.remember({"key": "early"})
            store.remember({"key": "late"})
            assert store.recall(["key"]) == {"key": "late"}

    def test_is_apart_from_originals(self, new: New) -> None:
        with new() as store:
            (id,) = store.save(["original"])
            store.remember({id: "decided"})
            assert (store.load(id), store.recall([id])) == ("original", {id: "decided"})


def test_a_damaged_text_is_left_out(sqlite_url: str, caplog: pytest.LogCaptureFixture) -> None:
    with Store(sqlite_url) as store:
        torn, other, whole = store.save(["torn", "other", "whole"])
        store.remember({"torn": "decided", "whole": "decided too"})
        with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as raw:
            raw.execute("UPDATE ctxshrink_texts SET text = x'ff' WHERE text IN (x'746f726e', x'64656369646564')")
            raw.execute("UPDATE ctxshrink_texts SET text = x'4f74686572' WHERE text = x'6f74686572'")
        assert (store.load(torn), store.load(other), store.load(whole)) == (None, None, "whole")
        assert store.recall(["torn", "whole"]) == {"whole": "decided too"}
        assert caplog.text.count("is damaged and left out: its digest is another") == 3
        assert "torn" not in caplog.text.replace(sqlite_url, "")


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

    def test_saving_again_renews(self, clock: Clock, new: New) -> None:
        with new(ttl=100) as store:
            (id,) = store.save(["text"])
            clock.now += 90
            assert store.save(["text"]) == [id]
            clock.now += 90
            assert store.load(id) == "text"
            clock.now += 90
            assert store.save(["text"]) == [id], "an expired row makes room for the same id"
            assert store.load(id) == "text"

    def test_without_ttl_rows_stay(self, clock: Clock, new: New) -> None:
        with new() as store:
            (id,) = store.save(["text"])
            clock.now += 1e9
            store.save(["another"])
            assert store.load(id) == "text"

    def test_writing_purges_now_and_then(self, clock: Clock, sqlite_url: str) -> None:
        with Store(sqlite_url, ttl=100) as store:
            store.save([f"text {i}" for i in range(10)])
            clock.now += 200
            store.save(["another"])
        with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as raw:
            assert raw.execute("SELECT count(*) FROM ctxshrink_texts").fetchone() == (1,)


class TestBound:
    def test_the_longest_unused_goes_first(self, clock: Clock, new: New) -> None:
        with new(max_bytes=350) as store:
            ids = []
            for letter in "abc":
                ids += store.save([letter * 100])
                clock.now += 61
            store.load(ids[0])
            clock.now += 61
            ids += store.save(["d" * 100])
            assert [store.load(i) is not None for i in ids] == [True, False, True, True]
            assert (store.stats().bytes, store.stats().evicted) == (300, 1)

    def test_holds_about_while_writing_and_exactly_after_a_purge(self, new: New) -> None:
        with new(max_bytes=100_000) as store:
            for i in range(200):
                store.save([f"{i:04d}" * 500])
                assert store.stats().bytes <= 110_000
            store.purge()
            assert store.stats().bytes <= 100_000
            assert store.load(reference("0199" * 500)) is not None

    def test_more_than_the_bound_at_once_is_refused(self, new: New) -> None:
        with new(max_bytes=100) as store:
            with pytest.raises(StoreError, match="101 bytes at once do not fit into max_bytes=100"):
                store.save(["x" * 60, "y" * 41])
            with pytest.raises(StoreError, match="do not fit"):
                store.remember({"key": "x" * 101})
            assert store.stats().rows == 0


def test_threads_share_a_store(new: New) -> None:
    failures: list[BaseException] = []
    with new() as store:

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
