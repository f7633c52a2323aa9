"""Subsequence recovery: quotations come back in full, all else stays, nothing is invented."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxshrink.compressors.recovery import recover

ORIGINAL = (
    "The harbour office opened in 1931, and its first director was Ann Maria Lindt, who kept a diary. "
    "Payments are due on 3 May 2024 and must never exceed $4,500.00. Der Pegel wird täglich notiert. "
    "港口办公室于1931年成立，第一任主任是林安。"
)
COMPRESSED = "harbour office 1931, director Ann Lindt, diary. due 3 May 2024 never exceed $4,500.00. 第一任是林安。"


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ("It was Ann Lindt.", "It was Ann Maria Lindt."),
        ("It was ANN LINDT.", "It was Ann Maria Lindt."),
        ("(director Ann Lindt)", "(director was Ann Maria Lindt)"),
        ("The harbour office 1931!", "The harbour office opened in 1931!"),
        ("第一任是林安吗？", "第一任主任是林安吗？"),
        ("due 3 May 2024", "due on 3 May 2024"),
        ("Ann Lindt; due 3 May 2024", "Ann Maria Lindt; due on 3 May 2024"),
    ],
)
def test_quotations_come_back_in_the_words_of_the_original(response: str, expected: str) -> None:
    assert recover(ORIGINAL, COMPRESSED, response) == expected


@pytest.mark.parametrize(
    "response",
    [
        "",
        " \n",
        "I do not know.",
        "Lindt",
        "Lindt Ann",
        "never exceed $4,500.00",  # stands in the original as it is
        "the office of Ann",
        "\ud800 \x00 …",
    ],
)
def test_what_quotes_nothing_that_was_shortened_is_unchanged(response: str) -> None:
    assert recover(ORIGINAL, COMPRESSED, response) == response


def test_words_too_far_apart_are_not_joined() -> None:
    original = "Ann " + "x " * 11 + "Lindt"
    assert recover(original, "Ann Lindt", "Ann Lindt") == "Ann Lindt"
    near = "Ann " + "x " * 10 + "Lindt"
    assert recover(near, "Ann Lindt", "Ann Lindt") == near


def test_the_shortest_stretch_is_taken() -> None:
    assert recover("Ann a b c Lindt and Ann d Lindt", "Ann Lindt", "by Ann Lindt") == "by Ann d Lindt"


def test_a_compressed_text_that_was_not_of_this_original() -> None:
    assert recover("Nothing of it.", COMPRESSED, "Ann Lindt") == "Ann Lindt"


WORDS = st.lists(st.sampled_from(["a", "b", "c", "Ann", "Lindt", "1931", "港", "口", ",", "\n", "x-y", "ß", "\ud800"]))


@settings(max_examples=200, deadline=None)
@given(WORDS, st.data(), WORDS)
def test_nothing_is_invented_or_lost(words: list[str], data: st.DataObject, said: list[str]) -> None:
    kept = [w for w in words if data.draw(st.booleans())]
    original, compressed, response = " ".join(words), " ".join(kept), " ".join(said)
    found = recover(original, compressed, response)
    known = re.findall(r"\w+", original) + re.findall(r"\w+", response)
    assert set(re.findall(r"\w+", found)) <= set(known)
    rest = iter(re.findall(r"\w+", found.casefold()))
    assert all(word in rest for word in re.findall(r"\w+", response.casefold()))  # a subsequence


@settings(max_examples=100, deadline=None)
@given(WORDS, WORDS)
def test_an_uncompressed_text_recovers_nothing(words: list[str], said: list[str]) -> None:
    original, response = " ".join(words), " ".join(said)
    assert recover(original, original, response) == response


@settings(max_examples=100, deadline=None)
@given(WORDS, st.data())
def test_twice_is_once(words: list[str], data: st.DataObject) -> None:
    kept = " ".join(w for w in words if data.draw(st.booleans()))
    once = recover(" ".join(words), kept, kept)
    assert recover(" ".join(words), kept, once).count("Lindt") >= kept.count("Lindt")
    if kept.split() == words:
        assert once == kept


@pytest.mark.parametrize("text", ["a " * 30_000, "a" * 1_000_000, "a b " * 15_000, "港" * 50_000, ", " * 50_000])
def test_large_texts_end(text: str) -> None:
    assert isinstance(recover(text, text[: len(text) // 2], text[:60_000]), str)
