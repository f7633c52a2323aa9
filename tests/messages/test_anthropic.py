"""Anthropic Messages: what each block becomes, and how the format is told from OpenAI's."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from ctxshrink.errors import ConfigError
from ctxshrink.messages import AnthropicFormat, OpenAIFormat, Parsed, detect, formats, register
from ctxshrink.messages.locks import (
    CACHED,
    CITED,
    COMPACTION,
    FAILED,
    HEADING,
    NEWEST_USER,
    PROGRAM,
    REASONING,
    SERVER_RESULT,
    TOOL_CALL,
    TOOLS,
    UNKNOWN_BLOCK,
)

Row = tuple[str, str, str, int, str | None]
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}


def text(value: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": value, **more}


def use(call_id: str, **given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": "look", "input": given}


def answer(call_id: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": content, **more}


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
    "server tools and unknown blocks": (
        [
            {
                "role": "assistant",
                "content": [
                    {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "herons"}},
                    {
                        "type": "web_search_tool_result",
                        "tool_use_id": "s",
                        "content": [
                            {"type": "web_search_result", "title": "Herons", "url": "u", "encrypted_content": "E"}
                        ],
                    },
                    {"type": "code_execution_tool_result", "content": {"type": "r", "stdout": "4", "stderr": ""}},
                    {"type": "hologram", "text": "shiny"},
                    {"type": "hologram"},
                ],
            }
        ],
        [
            ("0.0", 'web_search {"query": "herons"}', "tool_call", 0, TOOL_CALL),
            ("0.1", "Herons", "tool_result", 0, SERVER_RESULT),
            ("0.2", "4", "tool_result", 0, SERVER_RESULT),
            ("0.3", "shiny", "assistant", 0, UNKNOWN_BLOCK),
        ],
    ),
    "MCP, fetched pages, edited files, containers": (
        [
            {
                "role": "assistant",
                "content": [
                    {"type": "mcp_tool_listing", "mcp_server_name": "m", "tools": [{"name": "g"}]},
                    {"type": "mcp_tool_use", "id": "m", "name": "g", "server_name": "m", "input": {}},
                    {"type": "mcp_tool_result", "tool_use_id": "m", "is_error": False, "content": [text("done")]},
                    {
                        "type": "web_fetch_tool_result",
                        "tool_use_id": "w",
                        "content": {
                            "type": "web_fetch_result",
                            "url": "https://example.org",
                            "content": {
                                "type": "document",
                                "title": "Page",
                                "source": {"type": "text", "media_type": "text/plain", "data": "Body."},
                            },
                        },
                    },
                    {
                        "type": "text_editor_code_execution_tool_result",
                        "tool_use_id": "e",
                        "content": {"type": "text_editor_code_execution_str_replace_result", "lines": ["-a", "+b"]},
                    },
                    {"type": "compaction", "content": "We spoke of herons.", "encrypted_content": "ZW5j"},
                ],
            },
            {"role": "user", "content": [{"type": "container_upload", "file_id": "f"}, text("Go on.")]},
        ],
        [
            ("0.0", '[{"name": "g"}]', "instruction", 1, TOOLS),
            ("0.1", "g {}", "tool_call", 1, TOOL_CALL),
            ("0.2", "done", "tool_result", 1, SERVER_RESULT),
            ("0.3", "Page\nBody.", "tool_result", 1, SERVER_RESULT),
            ("0.4", "-a\n+b", "tool_result", 1, SERVER_RESULT),
            ("0.5", "We spoke of herons.", "assistant", 1, COMPACTION),
            ("1.1", "Go on.", "user", 0, NEWEST_USER),
        ],
    ),
    "a program's results, tool references, browser state, a nested conversation": (
        [
            {
                "role": "assistant",
                "content": [
                    {**use("a"), "caller": {"type": "code_execution_20250825", "tool_id": "s"}},
                    {**use("b"), "caller": {"type": "direct"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    answer("a", "id,qty\n1,3"),
                    answer(
                        "b",
                        [
                            {"type": "tool_reference", "tool_name": "g"},
                            {"type": "browser_state", "tabs": [{"title": "T"}]},
                            {"role": "user", "content": [text("asked", id="n1"), answer("n2", "told")]},
                            text("Two found."),
                        ],
                    ),
                ],
            },
        ],
        [
            ("0.0", "look {}", "tool_call", 0, TOOL_CALL),
            ("0.1", "look {}", "tool_call", 0, TOOL_CALL),
            ("1.0", "id,qty\n1,3", "tool_result", 0, PROGRAM),
            ("1.1.2", "asked\ntold", "tool_result", 0, UNKNOWN_BLOCK),
            ("1.1.3", "Two found.", "tool_result", 0, None),
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
    messages, expected = TABLE[name]
    parsed = AnthropicFormat().parse(messages)
    assert [(s.id, s.text, s.kind, s.age, s.lock_reason) for s in parsed.segments] == expected
    assert parsed.rebuild({}) == messages
    assert detect(messages).name == "anthropic"


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


def message(content: Any, role: str = "user", **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


CACHE = {"type": "ephemeral"}


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([], "openai"),
        ((), "openai"),
        ([message("hi")], "openai"),
        ([message([text("hi")])], "openai"),
        ([message([text("hi")]), {"role": "tool"}], "openai"),
        ([message([{"type": "image_url"}])], "openai"),
        ([message([{"type": "file", "file": {"file_id": "f"}}])], "openai"),
        ([message(None, "assistant", tool_calls=[{"id": "a"}])], "openai"),
        ([message([IMAGE])], "anthropic"),
        ([message([use("a")], "assistant")], "anthropic"),
        ([message([answer("a", "x")])], "anthropic"),
        ([message([{"type": "thinking"}], "assistant")], "anthropic"),
        ([message([{"type": "redacted_thinking"}], "assistant")], "anthropic"),
        ([message([{"type": "mcp_tool_use"}], "assistant")], "anthropic"),
        ([message([{"type": "search_result"}])], "anthropic"),
        ([message([{"type": "compaction", "content": "x"}], "assistant")], "anthropic"),
        ([message([text("hi", cache_control=CACHE)])], "anthropic"),
        ([message("hi", cache_control=CACHE)], "anthropic"),
        # Gateways take cache_control in OpenAI's format.
        ([message([text("hi", cache_control=CACHE)]), message("r", "tool", tool_call_id="a")], "openai"),
        ([message([text("hi", cache_control=CACHE), {"type": "image_url"}])], "openai"),
        # Mixed: only a block that OpenAI lacks decides.
        ([message("r", "tool", tool_call_id="a"), message([answer("a", "x")])], "anthropic"),
        ([message([answer("a", "x")]), message("r", "tool", tool_call_id="a")], "anthropic"),
        ([message("hi", ["unhashable"]), message([IMAGE])], "anthropic"),
    ],
)
def test_detection(messages: Any, expected: str) -> None:
    assert detect(messages).name == expected


class Notes:
    """A format of somebody else's: records with a note."""

    name = "notes"

    def matches(self, messages: Any, /) -> bool:
        return all(isinstance(item, dict) and "note" in item for item in messages)

    def parse(self, messages: Any, /, pin: Any = None) -> Parsed:
        return Parsed((), tuple(messages))


def test_other_formats_can_be_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctxshrink.messages._registered", {f.name: f for f in formats()})
    register(Notes())
    register(Notes())
    names = [f.name for f in formats()]
    assert names[0] == "notes"
    assert names.count("notes") == 1
    assert names[-2:] == ["anthropic", "openai"]
    assert detect([{"note": "x"}]).name == "notes"
    assert detect([]).name == "openai"
    assert detect([message("hi")]).name == "openai"
    taken = Notes()
    taken.name = "openai"
    with pytest.raises(ConfigError, match="already registered"):
        register(taken)
    assert isinstance(formats()[-1], OpenAIFormat)
