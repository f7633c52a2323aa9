"""Versions for a framework's documents, in order, with figures for their metadata."""

from __future__ import annotations

import json

from ctxshrink.distill import Source, content_hash, recipe_key
from ctxshrink.pipeline import Skipped
from ctxshrink.pipeline.versions import versions
from ctxshrink.store import Store, reference
from tests.pipeline.doubles import FirstHalf

TEXT = "The depot has 31 bays. Bay 4 is free. Bay 5 is not. The roof leaks."


def test_each_item_gets_its_version_in_order() -> None:
    store, distiller = Store.memory(), FirstHalf(poison="roof of")
    items = [Source(TEXT), Skipped("torn.pdf", "empty"), Source("The roof of it. Leaks."), Source("One."), Source(TEXT)]
    out = list(versions(items, distiller, store, batch=2))
    assert [version.text for version in out] == ["The depot has 31 bays. Bay 4 is free", None, None, None, out[0].text]
    assert [version.note["action"] for version in out] == ["compressed", "kept", "kept", "kept", "compressed"]
    assert out[0].note == out[4].note
    assert out[0].original == reference(TEXT)
    assert out[0].note["source"] == content_hash(TEXT)
    assert out[0].note["recipe"] == recipe_key(distiller.recipe)
    assert out[1].note["reason"] == "empty"
    assert "RuntimeError" in out[2].note["reason"]
    assert out[3].note["method"] == "first-half"
    roof = items[2].text if isinstance(items[2], Source) else ""
    assert distiller.asked == [[TEXT], [roof, "One."], [roof], ["One."]]  # a batch that fails is asked one by one


def test_metadata_is_flat_and_the_same_in_every_run() -> None:
    store = Store.memory()
    [first] = versions([Source(TEXT)], FirstHalf(), store, batch=8)
    [again] = versions([Source(TEXT)], FirstHalf(), store, batch=8)
    assert first.metadata == again.metadata
    assert json.loads(first.metadata["ctxshrink"]) == first.note
    assert first.metadata["ctxshrink_original"] == reference(TEXT)
    [unstored] = versions([Source(TEXT)], FirstHalf(), None, batch=8)
    assert set(unstored.metadata) == {"ctxshrink"}


def test_a_batch_is_read_when_it_is_asked_for() -> None:
    read: list[int] = []

    def items() -> object:
        for i in range(10):
            read.append(i)
            yield Source(f"{TEXT} {i}.")

    stream = versions(items(), FirstHalf(), Store.memory(), batch=3)  # type: ignore[arg-type]
    next(stream)
    assert read == [0, 1, 2]
