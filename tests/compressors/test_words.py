"""Words are whole, hold all of a text, and come out as they stand in it."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ctxshrink.compressors._words import render_words, split_words
from ctxshrink.guardrails.fidelity import verbatim
from ctxshrink.testing import SAMPLES
from ctxshrink.text import protected_spans, units

PIECES = st.lists(
    st.sampled_from(
        [
            *(
                "Ann paid $4.50. ",
                "It's 12 km, not 9. ",
                "\n",
                "\n\n",
                "- item one\n",
                "「東京」は、",
                "他没有来。",
                "的",
                "日本の",
            ),
            *(
                "(see INV-2291), ",
                "word",
                " ",
                "\u2028",
                "\x00",
                "…",
                "a—b ",
                "😀 ",
                "\ud800",
                "| a | b |\n",
                "```\nx = 1\n",
            ),
            *(
                "3 May 2024",
                "!?",
                "。",
                "z. B. ",
                "“quoted” ",
                "https://x.example/a,b?c=1 ",
                "don’t ",
                "中",
                "A",
                "\r\n",
                "\t",
            ),
        ]
    ),
    max_size=30,
).map("".join)


def told(text: str, flags: str = "must") -> list[str]:
    words = split_words(text)
    return [text[s:e] for (s, e), flag in zip(words.spans, getattr(words, flags), strict=True) if flag]


@settings(max_examples=100)
@given(PIECES)
def test_words_hold_all_of_a_text_and_cut_no_protected_span(text: str) -> None:
    words = split_words(text)
    at = 0
    for s, e in words.spans:
        assert at <= s < e <= len(text)
        assert not text[at:s].strip()
        at = e
    assert not text[at:].strip()
    edges = {edge for span in words.spans for edge in span}
    assert not [
        edge
        for s, e in protected_spans(text)
        for edge in edges
        if s < edge < e and text[s:edge].strip() and text[edge:e].strip()
    ]
    assert len(words) == len(words.unit) == len(words.must) == len(words.end)
    assert set(np.diff(words.unit, prepend=0).tolist()) <= {0, 1}
    assert render_words(words, np.ones(len(words), dtype=np.bool_))[0] == text


@settings(max_examples=100)
@given(PIECES, st.integers(0, 2**32 - 1))
def test_what_is_kept_stands_in_the_text_and_does_not_run_together(text: str, seed: int) -> None:
    words = split_words(text)
    kept = np.random.default_rng(seed).random(len(words)) < 0.5
    assume(kept.any())
    made, spans = render_words(words, kept)
    assert len(spans) <= int(kept.sum())
    at = 0
    for s, e in spans:
        found = made.find(text[s:e], at)
        assert found >= at
        assert not made[at:found].strip()
        if at and found == at and made[at - 1].isalnum() and made[at].isalnum():
            assert re.search("[\u3040-\u30ff\u3400-\u9fff]", made[at - 1 : at + 1])  # scripts without spaces
        at = found + e - s
    assert at == len(made)
    assert verbatim(text, made, spans)


def test_sentences_numbers_names_and_negations() -> None:
    text = "The office opened in 1931. Its director was Ann Lindt, who didn't pay $4,500.00 (INV-7). Ann is gone."
    assert told(text) == ["1931", ".", "Ann", "Lindt,", "didn't", "$4,500.00", "(INV-7)", ".", "Ann", "."]
    assert told(text, "end") == [".", ".", "."]
    assert split_words(text).unit.tolist() == [0] * 6 + [1] * 11 + [2] * 4


def test_acronyms_stay_unless_all_is_in_capitals() -> None:
    assert told("I saw that the U.S. FDA and a type B virus were mentioned") == ["U.S.", "FDA", "B"]
    assert told("他是NBA的球员") == ["NBA"]
    assert told("STOP HERE AND LOOK LEFT") == []


def test_conditions_stay_too() -> None:
    assert told("Dogs may enter only with a lead unless it rains") == ["only", "unless"]
    assert told("Hunde dürfen nur mit Leine hinein, wenn es nicht regnet") == ["nur", "wenn", "nicht"]
    assert told("Le chat n'entre jamais sans sa laisse") == ["n'entre", "jamais", "sans"]


def test_german_nouns_are_no_names() -> None:
    assert told("Der Hund ist mit dem Ball auf der Wiese, und die Katze ist im Haus") == []
    assert told("The dog met Rex on the way to Rome and the cat met nobody") == ["Rex", "Rome", "nobody"]


def test_scripts_without_spaces_are_cut_into_phrases() -> None:
    def parts(text: str) -> list[str]:
        return [text[s:e] for s, e in split_words(text).spans]

    assert parts("港口的办公室于1931年成立，主任是林安。她走了。") == [
        *("港口的", "办公室于", "1931年", "成立，", "主任是林安", "。", "她走了", "。")
    ]
    assert parts("東京は日本の首都で、「食べ物」がおいしい。") == [
        *("東京は", "日本の", "首都で、", "「食べ物」", "がおいしい", "。")
    ]
    assert told("主任没有来。東京ではありません。") == ["主任没有来", "。", "東京ではありません", "。"]


def test_gaps() -> None:
    def kept(text: str, *chosen: str) -> str:
        words = split_words(text)
        return render_words(words, np.array([text[s:e] in chosen for s, e in words.spans]))[0]

    assert kept("one two,  three four.", "one", "two,", "four", ".") == "one two, four."
    assert kept("one two, three.", "one", "two,", ".") == "one two."
    assert kept("one\ntwo three\n\nfour", "one", "three", "four") == "one\nthree\n\nfour"
    assert kept("東京は日本の首都です", "東京は", "首都です") == "東京は首都です"
    assert kept("人口は約1400万人です", "人口は", "1400万人") == "人口は1400万人"
    assert kept("see 東京 now", "see", "now") == "see now"


def test_a_token_belongs_to_the_word_that_has_most_of_it() -> None:
    words = split_words("one two  three")
    assert words.overlapping([(0, 2), (2, 3), (3, 7), (7, 9), (8, 8), (7, 14), (2, 6)]).tolist() == [
        0,
        0,
        1,
        -1,
        -1,
        2,
        1,
    ]
    assert split_words(" ").overlapping([(0, 1)]).tolist() == [-1]


@pytest.mark.parametrize(
    "text", [*SAMPLES, "'" * 5000, "a" * 50_000, "中" * 20_000, "「" * 5000, "(" * 5000, "1 " * 5000]
)
def test_awkward_texts(text: str) -> None:
    words = split_words(text)
    assert "".join("".join(text[s:e].split()) for s, e in words.spans) == "".join(text.split())
    assert len(units(text, "prose")) >= len(set(words.unit.tolist()))
