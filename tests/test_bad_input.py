"""Awkward input through the public API: a clear error that names the argument, or usable output. Nothing hangs."""

from __future__ import annotations

from typing import Any

import pytest

from ctxshrink import ConfigError, Shrinker
from ctxshrink.testing import WordCounter

CYCLIC: dict[str, Any] = {"role": "user", "content": "hello there"}
CYCLIC["metadata"] = CYCLIC


def make(**settings: Any) -> Shrinker:
    return Shrinker(guardrail=None, **settings)


@pytest.mark.parametrize(
    "text", ["", " ", "\n", "word", "\x00", "\ud800", "a\x00b \udfff c. D e.", "…", "👩‍👩‍👧", "\r\n\r\n"]
)
@pytest.mark.parametrize("goal", [{"keep": 0.5}, {"max_tokens": 0}, {"max_tokens": 1}, {}])
def test_tiny_and_odd_texts(text: str, goal: dict[str, Any]) -> None:
    result = make().shrink_text(text, **goal)
    assert isinstance(result.output, str)
    assert result.tokens_after <= result.tokens_before
    assert result.decisions[0].reason


def test_a_query_longer_than_the_text() -> None:
    result = make().shrink_text("Short text. Another one.", query="what " * 5000, keep=0.5)
    assert result.tokens_after <= 0.5 * result.tokens_before


@pytest.mark.parametrize(
    "line",
    ["a" * 1_000_000, "a " * 500_000, "7" * 1_000_000, "." * 1_000_000, "漢" * 400_000, "{" * 300_000, "<p>" * 300_000],
    ids=lambda line: line[:3],
)
def test_a_megabyte_of_one_line(line: str) -> None:
    result = make().shrink_text(line, max_tokens=500)
    assert result.tokens_after <= 500


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"role": "user"}],
        [{"role": "user", "content": None}],
        [{"role": "wizard", "content": "Unknown roles come out as they went in. Always. All of it."}] * 6,
        [{"role": "tool", "tool_call_id": "gone", "content": "a result without a call"}],
        [{"role": "user", "content": 17}],
        [{"role": "user", "content": {"text": object()}}],
        [{"role": "user", "content": [None, 3, {"type": "text"}]}],
        [CYCLIC],
    ],
)
def test_odd_messages_survive(messages: list[Any]) -> None:
    result = make().shrink_messages(messages, keep=0.5)
    assert len(result.output) == len(messages)
    assert [m.get("role") for m in result.output] == [m["role"] for m in messages]
    if messages and messages[0].get("role") == "wizard":
        assert result.output == messages


@pytest.mark.parametrize("docs", [[], [""], ["", " "], [{"text": ""}], ["a"] * 500])
def test_odd_documents_survive(docs: list[Any]) -> None:
    assert len(make().shrink_documents(docs, query="a", keep=0.5).output) == len(docs)


@pytest.mark.parametrize(
    ("docs", "named"),
    [(None, "docs"), ({}, "docs"), ([{"page": "x"}], "document 0"), ([{"text": 3}], "document 0"), (["a", None], "1")],
)
def test_what_is_no_document_is_named(docs: Any, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        make().shrink_documents(docs, keep=0.5)


def test_a_counter_that_fails_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigError, match="counter"):
        make(counter=lambda text: -1).shrink_text("a b c", keep=0.5)


def test_a_counter_for_which_everything_is_one_token() -> None:
    result = make(counter=lambda text: 1).shrink_documents(["One. Two. Three.", "Four. Five."], keep=0.5)
    assert result.tokens_after <= 2


def test_a_counter_that_calls_nothing_a_token() -> None:
    assert make(counter=lambda text: 0).shrink_text("One. Two.", keep=0.5).output == "One. Two."


def test_the_result_names_its_counter() -> None:
    assert make().shrink_text("a", keep=0.5).counter == "embedded"
    assert not make().shrink_text("a", keep=0.5).exact
    assert make(counter=WordCounter()).shrink_text("a", keep=0.5).exact
