import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink.text import _substrings
from ctxshrink.text._substrings import contained
from tests.strategies import PROPERTY, texts

FEW = st.text(alphabet="ab\u56fe\U0001f469\ud800", max_size=40)


@pytest.fixture
def sorted_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short texts take the way of long ones."""
    monkeypatch.setattr(_substrings, "DIRECT", 0)


@PROPERTY
@given(st.lists(FEW, min_size=1, max_size=12), FEW | texts(), st.data())
def test_sorted_suffixes_say_what_a_search_says(pieces: list[str], text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    inner = text[start : data.draw(st.integers(start, len(text)))]
    pieces = [*pieces, inner, inner + "a", text, text + text]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_substrings, "DIRECT", 0)
        assert contained(pieces, text) == [piece in text for piece in pieces]


def test_nothing_is_looked_for_and_nothing_is_searched(sorted_at_once: None) -> None:
    assert contained([], "text") == []
    assert contained(["", "a"], "") == [True, False]


@pytest.mark.parametrize("text", ["a" * 30_000, "ab" * 15_000, "\u56fe" * 29_999 + "\u9986"])
def test_repetitive_text(text: str, sorted_at_once: None) -> None:
    drawn = random.Random(1)
    pieces = [text[s : s + drawn.randrange(1, 200)] for s in drawn.choices(range(len(text)), k=300)]
    pieces += [piece + "!" for piece in pieces] + [piece[:-1] + "\u9986" for piece in pieces]
    assert contained(pieces, text) == [piece in text for piece in pieces]
