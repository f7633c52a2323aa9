"""Anthropic Messages: what each block becomes; the provider's own tools are in test_anthropic_tools.py."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from ctxshrink.messages import AnthropicFormat, detect
from ctxshrink.messages.locks import (
    CACHED,
    CITED,
    FAILED,
    HEADING,
    NEWEST_USER,
    REASONING,
    TOOL_CALL,
)
from tests.messages.blocks import IMAGE, Row, answer, check, text, use

TABLE: dict[str, tuple[list[dict[str, Any]], list[Row]]] = {
    "parallel tool calls and a question in one message": (
        [
            {"role": "user", "content": "Look twice."},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Two calls.", "signature": "c2ln"},
                    {"type": "redacted_thinking", "data": "ZW5j"},
                    text("Looking."),
                    use("a", q=1),
                    use("b"),
                ],
            },
            {
                "role": "user",
                "content": [
                    answer("a", "first"),
                    answer("b", [text("second"), IMAGE, text("third")]),
                    text("And now?"),
                ],
            },
        ],
        [
            ("0", "Look twice.", "user", 2, None),
            ("1.0", "Two calls.", "assistant", 1, REASONING),
            ("1.2", "Looking.", "assistant", 1, None),
            ("1.3", 'look {"q": 1}', "tool_call", 1, TOOL_CALL),
            ("1.4", "look {}", "tool_call", 1, TOOL_CALL),
            ("2.0", "first", "tool_result", 1, None),
            ("2.1.0", "second", "tool_result", 1, None),
            ("2.1.2", "third", "tool_result", 1, None),
            ("2.2", "And now?", "user", 0, NEWEST_USER),
        ],
    ),
    "results alone start no turn; failures stay whole": (
        [
            {"role": "user", "content": [text("Go.")]},
            {"role": "assistant", "content": [use("a")]},
            {
                "role": "user",
                "content": [answer("a", "boom", is_error=True), answer("?", "x", is_error=False)],
            },
            {"role": "assistant", "content": "It failed."},
        ],
        [
            ("0.0", "Go.", "user", 2, NEWEST_USER),
            ("1.0", "look {}", "tool_call", 1, TOOL_CALL),
            ("2.0", "boom", "tool_result", 1, FAILED),
            ("2.1", "x", "tool_result", 1, None),
            ("3", "It failed.", "assistant", 0, None),
        ],
    ),
    "documents and search results": (
        [
            {
                "role": "user",
                "content": [
                    {
                        "type": "document",
                        "title": "Report",
                        "context": "draft",
                        "source": {"type": "text", "media_type": "text/plain", "data": "Long report."},
                    },
                    {"type": "document", "source": {"type": "content", "content": [text("chunk"), IMAGE]}},
                    {"type": "document", "source": {"type": "content", "content": "whole"}},
                    {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}},
                    {
                        "type": "document",
                        "citations": {"enabled": True},
                        "source": {"type": "text", "media_type": "text/plain", "data": "Cited."},
                    },
                ],
            },
            {
                "role": "assistant",
                "content": [
                    text("See page 2.", citations=[{"type": "char_location"}]),
                    text("Bye.", citations=None),
                    use("a"),
                ],
            },
            {
                "role": "user",
                "content": [
                    answer(
                        "a",
                        [
                            {
                                "type": "search_result",
                                "source": "https://example.org/s",
                                "title": "Hit",
                                "content": [text("found")],
                                "citations": {"enabled": False},
                            }
                        ],
                    ),
                    text("So?"),
                ],
            },
        ],
        [
            ("0.0.title", "Report", "document", 2, HEADING),
            ("0.0.context", "draft", "document", 2, HEADING),
            ("0.0", "Long report.", "document", 2, None),
            ("0.1.0", "chunk", "document", 2, None),
            ("0.2", "whole", "document", 2, None),
            ("0.4", "Cited.", "document", 2, CITED),
            ("1.0", "See page 2.", "assistant", 1, CITED),
            ("1.1", "Bye.", "assistant", 1, None),
            ("1.2", "look {}", "tool_call", 1, TOOL_CALL),
            ("2.0.0.title", "Hit", "tool_result", 1, HEADING),
            ("2.0.0.source", "https://example.org/s", "tool_result", 1, HEADING),
            ("2.0.0.0", "found", "tool_result", 1, None),
            ("2.1", "So?", "user", 0, NEWEST_USER),
        ],
    ),
    "a breakpoint inside a tool result": (
        [
            {"role": "assistant", "content": [text("old"), use("a")]},
            {
                "role": "user",
                "content": [
                    answer("a", [text("one", cache_control={"type": "ephemeral"}), text("two")]),
                    answer("a", "three"),
                ],
            },
        ],
        [
            ("0.0", "old", "assistant", 0, CACHED),
            ("0.1", "look {}", "tool_call", 0, TOOL_CALL),
            ("1.0.0", "one", "tool_result", 0, CACHED),
            ("1.0.1", "two", "tool_result", 0, None),
            ("1.1", "three", "tool_result", 0, None),
        ],
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_segments(name: str) -> None:
    check(*TABLE[name])


def test_titles_are_read_for_ranking() -> None:
    parsed = AnthropicFormat().parse(TABLE["documents and search results"][0])
    titles = {segment.id: segment.title for segment in parsed.segments}
    assert (titles["0.0"], titles["2.0.0.0"], titles["0.1.0"]) == ("Report", "Hit", "")


def test_documents_are_rebuilt_in_place() -> None:
    messages = TABLE["documents and search results"][0]
    rebuilt = AnthropicFormat().parse(messages).rebuild({"0.0": "A", "0.1.0": "B", "0.2": "C", "2.0.0.0": "D"})
    blocks = rebuilt[0]["content"]
    assert blocks[0] == {**messages[0]["content"][0], "source": {**messages[0]["content"][0]["source"], "data": "A"}}
    assert blocks[1]["source"]["content"] == [text("B"), IMAGE]
    assert blocks[2]["source"]["content"] == "C"
    assert rebuilt[2]["content"][0]["content"][0]["content"] == [text("D")]


class Block(BaseModel):
    """The shape of the SDK's own block objects."""

    type: str
    text: str


class Use(BaseModel):
    type: str
    id: str
    name: str
    input: dict[str, Any]


def test_sdk_blocks_are_read_and_copied() -> None:
    said = [Block(type="text", text="Long."), Use(type="tool_use", id="a", name="look", input={"q": 1})]
    messages = [{"role": "assistant", "content": said}, {"role": "user", "content": [answer("a", "r")]}]
    assert detect(messages).name == "anthropic"
    parsed = AnthropicFormat().parse(messages)
    assert [s.text for s in parsed.segments] == ["Long.", 'look {"q": 1}', "r"]
    rebuilt = parsed.rebuild({"0.0": "…"})
    assert rebuilt[0]["content"] == [Block(type="text", text="…"), said[1]]
    assert said[0] == Block(type="text", text="Long.")
