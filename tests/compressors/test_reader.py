"""What the encoder is given and what is made of its vectors, with an encoder whose vectors are known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxshrink.compressors._index import index
from ctxshrink.compressors._reader import TITLE, read

from .test_gain import call

CLS, SEP, UNK, WINDOW, WIDTH = 1, 2, 3, 40, 16


class KnownVectors:
    """Every word has its own fixed vector, wherever it stands."""

    cls, sep, unk, window, width = CLS, SEP, UNK, WINDOW, WIDTH

    def __init__(self) -> None:
        self.rows: list[list[int]] = []
        self._ids: dict[str, int] = {}

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        return [[self._ids.setdefault(w, 10 + len(self._ids)) for w in t.lower().split()] for t in texts]

    def encode(self, rows: Iterable[Sequence[int]]) -> list[Any]:
        return list(self.stream(rows))

    def stream(self, rows: Iterable[Sequence[int]]) -> Iterator[Any]:
        for row in rows:
            assert len(row) <= WINDOW
            assert (row[0], row[-1]) == (CLS, SEP)
            self.rows.append(list(row))
            vectors = np.stack([vector(i) for i in row]).astype(np.float16)
            yield SimpleNamespace(vectors=vectors, logits=vectors[:, :2].astype(np.float32))


def vector(token: int) -> np.ndarray:
    return np.random.default_rng(token).normal(size=WIDTH)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_cosines_of_means_and_of_best_matches():
    c = call(("Tides", "The tide is high. Boats wait."))
    encoder = KnownVectors()
    idx = index(c)
    seen = read(idx, "high tide", encoder, [0])  # type: ignore[arg-type]
    question, window = encoder.rows
    units = [[vector(i) for i in ids] for ids in encoder.tokenize([idx.text(u) for u in range(idx.size)])]
    asked = np.mean([vector(i) for i in question], axis=0)
    expected = [cosine(asked, np.mean(u, axis=0)) for u in units]
    np.testing.assert_allclose(seen.mean, expected, atol=5e-3)
    words = [vector(i) for i in question[1:-1]]
    late = [np.mean([max(cosine(w, t) for t in u) for w in words]) for u in units]
    np.testing.assert_allclose(seen.late, late, atol=5e-3)
    np.testing.assert_allclose(seen.asked, [np.mean(u, axis=0)[0] for u in units], atol=5e-3)
    assert seen.read.all()
    whole = cosine(asked, np.mean([vector(i) for i in window], axis=0))
    np.testing.assert_allclose(seen.window, [whole, whole], atol=5e-3)


def test_segments_that_are_not_read_match_as_badly_as_can_be():
    c = call(("", "The tide is high."), ("", "The tide is low."))
    encoder = KnownVectors()
    seen = read(index(c), "tide", encoder, [1])  # type: ignore[arg-type]
    assert len(encoder.rows) == 2
    assert seen.read.tolist() == [False, True]
    assert seen.asked[0] == 0
    for found in (seen.mean, seen.late, seen.window):
        assert found[0] == -1.0
        assert found[1] > -1.0


def test_a_unit_longer_than_a_window_is_read_in_pieces():
    long = " ".join(f"w{i}" for i in range(3 * WINDOW)) + "."
    c = call(("A title", long + " End."))
    encoder = KnownVectors()
    seen = read(index(c), f"w{3 * WINDOW - 2}", encoder, [0])  # type: ignore[arg-type]
    assert len(encoder.rows) > 4
    assert seen.late[0] == pytest.approx(1.0, abs=5e-3)  # found in its last piece


def test_long_titles_are_cut_and_stand_in_every_window():
    title = " ".join(f"t{i}" for i in range(2 * TITLE))
    c = call((title, " ".join(f"Sentence number {i} is here." for i in range(20))))
    encoder = KnownVectors()
    read(index(c), "sentence", encoder, [0])  # type: ignore[arg-type]
    [head] = encoder.tokenize([title])
    windows = encoder.rows[1:]
    assert len(windows) > 3
    assert all(row[1 : TITLE + 2] == [*head[:TITLE], SEP] for row in windows)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(alphabet="ab. \n\x00三", max_size=120), max_size=4), st.text(max_size=20))
def test_any_text_gives_cosines_for_every_unit(texts: list[str], query: str):
    c = call(*(("", t) for t in texts))
    idx = index(c)
    seen = read(idx, query, KnownVectors(), range(len(texts)))  # type: ignore[arg-type]
    for found in (seen.mean, seen.late, seen.window):
        assert found.shape == (idx.size,)
        assert np.isfinite(found).all()
        assert (np.abs(found) <= 1.01).all()
