"""Distillates in the store: what comes back, what is replaced, forgotten, and taken for absent."""

import logging
import math
import sqlite3
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxshrink.distill import Derived, content_hash, recipe_key
from ctxshrink.errors import ConfigError
from ctxshrink.store import Store, StoreError, _codec, _rows, reference
from tests.store.conftest import Clock, New
from tests.store.material import DERIVED, FACTS, HALF, derived, saying

KEY, FACTS_KEY = recipe_key(HALF), recipe_key(FACTS)


class TestPut:
    @given(st.lists(DERIVED, max_size=4))
    @settings(max_examples=40, deadline=None)
    def test_comes_back_exactly(self, kept: Store, made: list[Derived]) -> None:
        kept.clear()
        kept.put(made)
        last = {(one.recipe, one.source): one for one in made}
        for recipe, source in last:
            assert kept.get([source], recipe) == {source: last[recipe, source]}
        assert list(kept.derived()) == [last[place] for place in sorted(last)]
        stats = kept.stats()
        assert stats.derived == stats.rows == len(last)

    def test_survives_closing(self, url: str) -> None:
        one = saying(derived("source", uri="\ud800"), "\r\n\0\ud800\udc00\u2028 end" * 1000)
        with Store(url) as store:
            store.put([one])
        with Store(url) as store:
            assert store.get([one.source], KEY) == {one.source: one}

    def test_replaces_that_of_the_same_source_and_recipe(self, new: New) -> None:
        one, other = derived("source"), derived("source", recipe=FACTS)
        with new() as store:
            store.put([one, other])
            store.put([saying(one, "better")])
            assert store.get([one.source], KEY)[one.source].distillate.text == "better"
            assert store.get([one.source], FACTS_KEY) == {one.source: other}

    def test_more_than_a_statement_holds(self, new: New) -> None:
        made = [derived(f"source {i}") for i in range(1201)]
        with new() as store:
            store.put(made)
            assert store.get([one.source for one in made], KEY) == {one.source: one for one in made}

    def test_notes_when(self, new: New, clock: Clock) -> None:
        one = replace(derived("source"), created=0.0)
        with new() as store:
            assert store.put([one]) == list(store.derived()) == [replace(one, created=clock.now)]

    @pytest.mark.parametrize(
        ("bad", "says"),
        [
            (replace(derived("x"), source="x"), "source must be a content hash"),
            (replace(derived("x"), source=content_hash("x").upper()), "source must be a content hash"),
            (replace(derived("x"), recipe="0" * 31 + "\n"), "recipe must be a key of 32"),
            (replace(derived("x"), settings={"n": math.inf}), "scores finite numbers"),
            (replace(derived("x"), settings={"n": b""}), "settings must be plain values"),
        ],
    )
    def test_what_cannot_be_kept_is_refused_with_all_others(self, new: New, bad: Derived, says: str) -> None:
        with new() as store:
            with pytest.raises(ConfigError, match=says):
                store.put([derived("good"), bad])
            assert store.stats().rows == 0

    def test_one_text_instead_of_a_list_is_refused(self, new: New) -> None:
        with new() as store:
            with pytest.raises(ConfigError, match="a list of sources"):
                store.get(content_hash("source"), KEY)
            with pytest.raises(ConfigError, match="a list of originals"):
                store.put([derived("source")], originals="source")
            with pytest.raises(ConfigError, match="a list"):
                store.forget(sources=content_hash("source"))


class TestOriginals:
    def test_are_kept_with_it(self, new: New) -> None:
        with new() as store:
            written = store.put([derived("source"), derived("other")], originals=["source"])
            found = store.get([content_hash("source"), content_hash("other")], KEY)
            assert [one.original for one in written] == [reference("source"), ""]
            assert found == {one.source: one for one in written}
            assert (store.load(reference("source")), store.stats().rows) == ("source", 3)

    def test_an_id_that_the_caller_gave_stays(self, new: New) -> None:
        with new() as store:
            store.put([replace(derived("source"), original="elsewhere")], originals=["source"])
            assert store.get([content_hash("source")], KEY)[content_hash("source")].original == "elsewhere"

    def test_an_id_that_stands_for_another_text_is_no_failure(self, new: New, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_codec, "short_id", lambda content: "a" * 10)
        with new() as store:
            store.put([derived("first"), derived("second")], originals=["first", "second"])
            store.put([derived("third")], originals=["third"])
            found = {one.source: one.original for one in store.derived()}
            assert found == {content_hash("first"): "a" * 10, content_hash("second"): "", content_hash("third"): ""}
            assert store.load("a" * 10) == "first"

    def test_all_or_nothing(self, new: New) -> None:
        with new(max_bytes=300) as store:
            with pytest.raises(StoreError, match="do not fit into max_bytes=300"):
                store.put([derived("source")], originals=["source" * 40])
            assert store.stats().rows == 0


class TestForget:
    def test_what_was_made_of_a_place(self, new: New) -> None:
        with new() as store:
            store.put([derived("old", uri="a.txt"), derived("new", uri="a.txt"), derived("else", uri="b.txt")])
            assert [one.source for one in store.derived(uri="b.txt")] == [content_hash("else")]
            assert store.forget(uri="a.txt", sources=[content_hash("old"), content_hash("else")]) == 1
            assert {one.source for one in store.derived()} == {content_hash("new"), content_hash("else")}
            assert (store.forget(uri="a.txt"), store.forget(uri="a.txt")) == (1, 0)

    def test_what_a_recipe_made(self, new: New) -> None:
        with new() as store:
            store.put([derived(f"{i}", recipe=recipe) for i in range(3) for recipe in (HALF, FACTS)])
            assert {one.recipe for one in store.derived(FACTS_KEY)} == {FACTS_KEY}
            assert store.forget(recipe=FACTS_KEY, sources=[content_hash("0")]) == 1
            assert store.forget(recipe=FACTS_KEY) == 2
            assert [one.recipe for one in store.derived()] == [KEY] * 3
            assert list(store.derived(FACTS_KEY)) == []

    def test_what_was_made_of_a_source(self, new: New) -> None:
        with new() as store:
            store.put([derived(f"{i}", recipe=recipe) for i in range(600) for recipe in (HALF, FACTS)])
            assert store.forget(sources=[content_hash(f"{i}") for i in range(590)]) == 1180
            assert store.forget(sources=[]) == 0
            assert store.stats().rows == 20

    def test_originals_and_memos_stay(self, new: New) -> None:
        with new() as store:
            store.put([derived("source")], originals=["source"])
            store.remember({"key": "decided"})
            assert store.forget(recipe=KEY) == 1
            assert (store.load(reference("source")), store.recall(["key"])) == ("source", {"key": "decided"})
            assert (store.clear(), store.stats().rows) == (2, 0)

    def test_nothing_said_removes_nothing(self, new: New) -> None:
        with new() as store:
            store.put([derived("source")])
            with pytest.raises(ConfigError, match="say what to forget"):
                store.forget()
            for call in (store.forget, store.derived):
                with pytest.raises(ConfigError, match="a place that is not known"):
                    call(uri="")
            with pytest.raises(ConfigError, match="recipe must be a key"):
                store.derived("extractive")
            assert store.stats().rows == 1


class TestListing:
    def test_goes_page_by_page(self, new: New, monkeypatch: pytest.MonkeyPatch) -> None:
        made = [saying(derived(f"{i}"), "x" * 100) for i in range(1100)]
        monkeypatch.setattr(_rows, "PAGE_BYTES", 2000)
        with new() as store:
            store.put(made)
            seen = list(store.derived(KEY))
        assert seen == sorted(made, key=lambda one: one.source)

    def test_the_store_can_be_written_to_meanwhile(self, new: New) -> None:
        with new() as store:
            store.put([derived(f"{i}") for i in range(10)])
            for one in store.derived():
                store.put([saying(one, "changed")])
            assert {one.distillate.text for one in store.derived()} == {"changed"}


class TestExpiryAndBound:
    def test_expires(self, new: New, clock: Clock) -> None:
        one = derived("source")
        with new(ttl=100) as store:
            store.put([one])
            clock.now += 99
            assert store.get([one.source], KEY) == {one.source: one}
            clock.now += 1
            assert (store.get([one.source], KEY), list(store.derived())) == ({}, [])
            assert (store.stats().rows, store.stats().expired, store.purge()) == (0, 1, 1)

    def test_shares_the_bound_with_the_others(self, new: New, clock: Clock) -> None:
        one, other = derived("one"), derived("other")
        with new(max_bytes=1400) as store:
            store.save(["a" * 500])
            clock.now += 61
            store.put([one])
            clock.now += 61
            store.remember({"key": "c" * 500})
            clock.now += 61
            assert store.get([one.source], KEY) == {one.source: one}, "and so it is not the longest unused"
            clock.now += 61
            store.put([other])
            store.purge()
            assert store.load(reference("a" * 500)) is None
            assert {each.source for each in store.derived()} == {one.source, other.source}
            assert store.stats().bytes <= 1400
            assert store.stats().evicted == 1

    def test_many_rows_go_in_the_order_of_their_use(self, new: New, clock: Clock) -> None:
        with new() as store:
            for i in range(0, 1400, 200):
                store.put([saying(derived(f"{i + j}"), "x" * 200) for j in range(200)])
                clock.now += 61
                store.save([f"{i} {j} " * 20 for j in range(200)])
                clock.now += 61
            store._tenant.max_bytes = store.stats().bytes // 3
            store.purge()
            left = {one.source for one in store.derived()}
            gone = {i for i in range(1400) if content_hash(f"{i}") not in left}
            assert set(range(800)) < gone < set(range(1000))
            assert store.load(reference(f"{600} {1} " * 20)) is None
            assert store.load(reference(f"{1200} {1} " * 20)) is not None


class TestDamage:
    @pytest.mark.parametrize(
        "change",
        [
            "text = CAST('torn' AS BLOB)",
            "provenance = CAST('{}' AS BLOB)",
            "provenance = substr(provenance, 1, 50)",
            "digest = CAST('x' AS BLOB)",
        ],
    )
    def test_is_absent_and_logged(self, sqlite_url: str, caplog: pytest.LogCaptureFixture, change: str) -> None:
        one, whole = derived("source"), derived("whole")
        with Store(sqlite_url) as store:
            store.put([one, whole])
            with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as raw:
                raw.execute(f"UPDATE ctxshrink_derived SET {change} WHERE hex(key) LIKE ?", (f"%{one.source}",))
            with caplog.at_level(logging.WARNING, "ctxshrink"):
                assert store.get([one.source, whole.source], KEY) == {whole.source: whole}
            assert f"the row {KEY}{one.source} is damaged and left out" in caplog.text
            assert list(store.derived()) == [whole]
            store.put([one])
            assert store.get([one.source], KEY) == {one.source: one}

    @pytest.mark.parametrize(
        "told", ["{}", "[]", "0", "nonsense", '{"tokens": [1]}', "[" * 100_000, '{"created": 1e999}', "\udcff"]
    )
    def test_provenance_that_is_none_is_absent(self, sqlite_url: str, told: str) -> None:
        from ctxshrink.store import _derived

        one = derived("source")
        with Store(sqlite_url) as store:
            store.put([one])
            provenance = _codec.encode(told)
            digest = _derived.seal(provenance, _codec.encode(one.distillate.text))
            with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as raw:
                raw.execute("UPDATE ctxshrink_derived SET provenance = ?, digest = ?", (provenance, digest))
            assert store.get([one.source], KEY) == {}
