import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink import Adaptive, Shrinker
from ctxshrink._transcript import Line, call_text, left_out, lines_from, render, shrink_transcript
from ctxshrink.testing import WordCounter
from tests.strategies import PROPERTY

PLAIN = Shrinker(policy=Adaptive(), compressors=["extractive"], guardrail=None, counter=WordCounter())
SAID = " ".join(f"Depot {i} has {i * 7} free bays." for i in range(20))


def test_paragraphs_with_labels_in_order() -> None:
    lines = [
        Line("user", "Where?", "user"),
        Line("", "So far: north.", "user"),
        Line("assistant", "There.", "assistant"),
    ]
    assert shrink_transcript(lines, PLAIN, keep=1.0).output == "user: Where?\n\nSo far: north.\n\nassistant: There."


def test_what_left_nothing_behind_is_counted() -> None:
    lines = [Line("user", str(n), "user") for n in range(6)]
    assert render(lines, ["0", "…", "…", "3", "…", "5"]) == (
        "user: 0\n\n[2 texts left out]\n\nuser: 3\n\n[1 text left out]\n\nuser: 5"
    )
    again = lines_from(render(lines, ["0", "…", "…", "3", "…", "5"]))
    assert render(again, ["user: 0", "", "…", "", "…"]) == "user: 0\n\n[5 texts left out]"


def test_a_text_that_is_an_ellipsis_is_a_text() -> None:
    assert render([Line("user", "…", "user")], ["…"]) == "user: …"


@pytest.mark.parametrize("bound", [6, 20, 60, 200])
def test_a_bound_holds_for_labels_and_counts_too(bound: int) -> None:
    lines = [Line(f"assistant called tool {n}", SAID, "tool_result") for n in range(8)]
    result = shrink_transcript(lines, PLAIN, max_tokens=bound)
    assert PLAIN.counter.count([result.output]) == [result.tokens_after]
    assert result.tokens_after <= bound
    assert result.goal.max_tokens == bound


def test_what_is_locked_stays_and_a_bound_that_cannot_be_met_is_a_warning() -> None:
    result = shrink_transcript([Line("user", SAID, "user", "needed"), Line("user", SAID, "user")], PLAIN, max_tokens=50)
    assert SAID in result.output
    assert any("over max_tokens=50" in warning for warning in result.warnings)


def test_no_turn_counts_as_recent() -> None:
    result = shrink_transcript([Line("user", SAID, "user")], PLAIN, keep=0.3)
    assert result.tokens_after < 0.5 * result.tokens_before


def test_observe_leaves_all() -> None:
    observing = Shrinker(compressors=["extractive"], guardrail=None, mode="observe")
    result = shrink_transcript([Line("user", SAID, "user")], observing, keep=0.3)
    assert result.output == f"user: {SAID}"
    assert result.tokens_after < result.tokens_before


def test_names_for_what_is_no_text() -> None:
    assert call_text("f", {"a": 1}) == 'f({"a": 1})'
    assert call_text("f", '{"a":1}') == 'f({"a":1})'
    assert [line.text for line in left_out(["image", 3])] == ["[image: left out]", "[3: left out]"]


@PROPERTY
@given(st.lists(st.text(max_size=80), max_size=8), st.integers(0, 40))
def test_any_texts(texts: list[str], bound: int) -> None:
    lines = [Line("user", text, "user") for text in texts]
    result = shrink_transcript(lines, PLAIN, max_tokens=bound)
    assert result.tokens_after <= max(bound, result.tokens_before)
    assert result.tokens_after <= bound or result.warnings
