"""One batch: looked up, distilled where it is missing, written once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from ctxshrink.distill import Derived, Distillate, Source, content_hash, recipe_key
from ctxshrink.errors import StoreError
from ctxshrink.pipeline.batch import DerivedStore, distill_batch
from ctxshrink.store import Store, reference
from tests.pipeline.doubles import FirstHalf

ONE = "The crane lifts 40 tonnes. It is painted yellow. It stands at quay 3. Gulls like it."
TWO = "The office opens at eight. It closes at four. On Fridays it closes at two. The bell is loud."
SOURCES = [Source(ONE, "Crane", "crane.txt"), Source(TWO, uri="office.txt")]


def test_what_is_made_is_stored_with_its_provenance() -> None:
    store, distiller = Store.memory(), FirstHalf()
    first, second = distill_batch(SOURCES, distiller, store)
    assert (first.state, first.uri, first.reason, first.duplicate) == ("new", "crane.txt", "", False)
    row = store.get([content_hash(ONE)], recipe_key(distiller.recipe))[content_hash(ONE)]
    assert first.derived == row
    assert row.distillate.text == "The crane lifts 40 tonnes. It is painted yellow"
    assert (row.settings, row.counter, row.uri) == (dict(distiller.recipe), "words", "crane.txt")
    assert row.original == reference(ONE)
    assert store.load(row.original) == ONE
    assert row.created > 0
    assert second.derived is not None
    assert second.derived.uri == "office.txt"


def test_what_is_stored_is_not_made_again() -> None:
    store, distiller = Store.memory(), FirstHalf()
    before = distill_batch(SOURCES[:1], distiller, store)
    again = distill_batch([SOURCES[1], SOURCES[0]], distiller, store)
    assert [o.state for o in again] == ["new", "stored"]
    assert again[1].derived == before[0].derived
    assert distiller.asked == [[ONE], [TWO]]
    other = FirstHalf(words=True)
    assert [o.state for o in distill_batch(SOURCES, other, store)] == ["new", "new"]


def test_equal_texts_are_distilled_once() -> None:
    store, distiller = Store.memory(), FirstHalf()
    out = distill_batch([*SOURCES, Source(ONE, uri="copy.txt")], distiller, store)
    assert distiller.asked == [[ONE, TWO]]
    assert [o.duplicate for o in out] == [False, False, True]
    assert [o.uri for o in out] == ["crane.txt", "office.txt", "copy.txt"]
    assert out[0].derived == out[2].derived


def test_what_is_not_final_is_tried_again() -> None:
    store, late = Store.memory(), FirstHalf(final=False)
    [before] = distill_batch(SOURCES[:1], late, store)
    [kept] = distill_batch(SOURCES[:1], FirstHalf(), store, retry=False)
    assert (kept.state, kept.derived) == ("stored", before.derived)
    [again] = distill_batch(SOURCES[:1], FirstHalf(), store)
    assert again.state == "retried"
    assert again.derived is not None
    assert again.derived.distillate.final
    assert again.derived.original == reference(ONE)
    assert [o.state for o in distill_batch(SOURCES[:1], FirstHalf(), store)] == ["stored"]


def test_a_retry_that_fails_leaves_the_row() -> None:
    store = Store.memory()
    [before] = distill_batch(SOURCES[:1], FirstHalf(final=False), store)
    [failed] = distill_batch(SOURCES[:1], FirstHalf(poison="crane"), store)
    assert (failed.state, failed.derived) == ("failed", before.derived)
    assert store.get([content_hash(ONE)], recipe_key(FirstHalf().recipe)) == {content_hash(ONE): before.derived}


def test_rows_of_this_run_are_duplicates_and_not_tried_again() -> None:
    store, late = Store.memory(), FirstHalf(final=False)
    [made] = distill_batch(SOURCES[:1], late, store)
    assert made.derived is not None
    [seen] = distill_batch(SOURCES[:1], late, store, since=made.derived.created)
    assert (seen.state, seen.duplicate) == ("stored", True)
    [later] = distill_batch(SOURCES[:1], late, store, since=made.derived.created + 1)
    assert (later.state, later.duplicate) == ("retried", False)


def test_a_bad_text_costs_only_itself() -> None:
    store, distiller = Store.memory(), FirstHalf(poison="gulls")
    sources = [Source("Fine text. And more."), Source("The gulls. They cry."), Source("Good too. And on.")]
    out = distill_batch(sources, distiller, store)
    assert [o.state for o in out] == ["new", "failed", "new"]
    assert out[1].derived is None
    assert out[1].reason == "first-half failed: RuntimeError: this text cannot be distilled"
    found = store.get([content_hash(s.text) for s in sources], recipe_key(distiller.recipe))
    assert set(found) == {content_hash(sources[0].text), content_hash(sources[2].text)}


class Wrong(FirstHalf):
    """Answers what it was told to, whatever it is asked."""

    answer: Sequence[object] = ()

    def distill(self, sources: Sequence[Source], /) -> list[Distillate]:
        return list(self.answer)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((), "first-half gave 0 distillates for 1 sources"),
        (("text",), "first-half gave a str, not a Distillate"),
        ((Distillate("text", "m", "r", 3, 4),), "first-half made 4 tokens of 3"),
    ],
)
def test_a_wrong_answer_is_no_distillate(answer: Sequence[object], reason: str) -> None:
    distiller, store = Wrong(), Store.memory()
    distiller.answer = answer
    [out] = distill_batch(SOURCES[:1], distiller, store)
    assert (out.state, out.reason, out.derived) == ("failed", reason, None)
    assert store.stats().rows == 0


def test_without_a_store_all_is_made() -> None:
    distiller = FirstHalf()
    assert [o.state for o in distill_batch(SOURCES, distiller, None) + distill_batch(SOURCES, distiller, None)] == [
        "new"
    ] * 4
    assert len(distiller.asked) == 2


def test_originals_may_be_left_out() -> None:
    store = Store.memory()
    [out] = distill_batch(SOURCES[:1], FirstHalf(), store, originals=False)
    assert out.derived is not None
    assert out.derived.original == ""
    assert store.load(reference(ONE)) is None


def test_a_store_that_fails_raises() -> None:
    store = Store.memory()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        distill_batch(SOURCES, FirstHalf(), store)


def test_ctrl_c_is_not_a_failure_of_a_text() -> None:
    class Interrupted(FirstHalf):
        def distill(self, sources: Sequence[Source], /) -> list[Distillate]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distill_batch(SOURCES, Interrupted(), Store.memory())


def test_batches_do_not_change_rows() -> None:
    together, apart = Store.memory(), Store.memory()
    distill_batch(SOURCES, FirstHalf(), together)
    for source in SOURCES[::-1]:
        distill_batch([source], FirstHalf(), apart)

    def rows(store: DerivedStore) -> list[Derived]:
        found = store.get([content_hash(s.text) for s in SOURCES], recipe_key(FirstHalf().recipe))
        return sorted((replace(row, created=0) for row in found.values()), key=lambda row: row.source)

    assert rows(together) == rows(apart)
