"""OpenAI Chat Completions: what each part of a message becomes."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from ctxshrink.messages import OpenAIFormat
from ctxshrink.messages.locks import (
    CACHED,
    CITED,
    INSTRUCTION,
    NEWEST_USER,
    REASONING,
    REFUSAL,
    TOOL_CALL,
    UNKNOWN_BLOCK,
)

Row = tuple[str, str, str, int, str | None]


def call(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def rows(messages: list[Any]) -> list[Row]:
    return [(s.id, s.text, s.kind, s.age, s.lock_reason) for s in OpenAIFormat().parse(messages).segments]


TABLE: dict[str, tuple[list[dict[str, Any]], list[Row]]] = {
    "parallel tool calls, results out of order": (
        [
            {"role": "system", "content": "Help."},
            {"role": "user", "content": "Compare both.", "name": "ana"},
            {"role": "assistant", "content": None, "tool_calls": [call("a", "f", "{}"), call("b", "g", '{"x":1}')]},
            {"role": "tool", "tool_call_id": "b", "content": "result of b"},
            {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "result of a"}]},
            {"role": "assistant", "content": "Equal."},
        ],
        [
            ("0", "Help.", "instruction", 3, INSTRUCTION),
            ("1", "Compare both.", "user", 2, NEWEST_USER),
            ("2.tool_calls.0", "f {}", "tool_call", 1, TOOL_CALL),
            ("2.tool_calls.1", 'g {"x":1}', "tool_call", 1, TOOL_CALL),
            ("3", "result of b", "tool_result", 1, None),
            ("4.0", "result of a", "tool_result", 1, None),
            ("5", "Equal.", "assistant", 0, None),
        ],
    ),
    "a late result has the age of its call": (
        [
            {"role": "assistant", "tool_calls": [call("a", "f", "")]},
            {"role": "assistant", "content": "Waiting."},
            {"role": "tool", "tool_call_id": "a", "content": "late"},
            {"role": "tool", "tool_call_id": "?", "content": "whose"},
        ],
        [
            ("0.tool_calls.0", "f", "tool_call", 1, TOOL_CALL),
            ("1", "Waiting.", "assistant", 0, None),
            ("2", "late", "tool_result", 1, None),
            ("3", "whose", "tool_result", 0, None),
        ],
    ),
    "legacy function, custom tool, reasoning, refusal": (
        [
            {"role": "developer", "content": [{"type": "text", "text": "Rules."}]},
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{1}"}},
            {"role": "function", "name": "f", "content": "42"},
            {
                "role": "assistant",
                "tool_calls": [{"id": "c", "custom": {"name": "s", "input": "ls"}}],
            },
            {"role": "assistant", "reasoning_content": "Hm.", "content": "So.", "refusal": "No."},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "Never."}]},
        ],
        [
            ("0.0", "Rules.", "instruction", 4, INSTRUCTION),
            ("1.function_call", "f {1}", "tool_call", 3, TOOL_CALL),
            ("2", "42", "tool_result", 3, None),
            ("3.tool_calls.0", "s ls", "tool_call", 2, TOOL_CALL),
            ("4.reasoning_content", "Hm.", "assistant", 1, REASONING),
            ("4", "So.", "assistant", 1, None),
            ("4.refusal", "No.", "assistant", 1, REFUSAL),
            ("5.0", "Never.", "assistant", 0, REFUSAL),
        ],
    ),
    "a sub-agent's messages inside a result, an explicit cache breakpoint": (
        [
            {"role": "assistant", "tool_calls": [call("a", "ask", "{}"), call("b", "ask", "{}")]},
            {
                "role": "tool",
                "tool_call_id": "a",
                "content": [
                    {"role": "user", "content": "inner question"},
                    {"role": "assistant", "content": "inner answer", "tool_calls": [call("a", "g", "{}")]},
                    {"type": "text", "text": "outer", "prompt_cache_breakpoint": {"mode": "explicit"}},
                    {"type": "text", "text": "rest"},
                ],
            },
            {"role": "tool", "tool_call_id": "b", "content": "of b"},
        ],
        [
            ("0.tool_calls.0", "ask {}", "tool_call", 0, TOOL_CALL),
            ("0.tool_calls.1", "ask {}", "tool_call", 0, TOOL_CALL),
            ("1.0", "inner question", "tool_result", 0, UNKNOWN_BLOCK),
            ("1.1", "inner answer", "tool_result", 0, UNKNOWN_BLOCK),
            ("1.2", "outer", "tool_result", 0, CACHED),
            ("1.3", "rest", "tool_result", 0, None),
            ("2", "of b", "tool_result", 0, None),
        ],
    ),
    "citations, unknown parts, images, nothing": (
        [
            {"role": "assistant", "content": "As [1] says.", "annotations": [{"type": "url_citation"}]},
            {"role": "assistant", "content": "Plain.", "annotations": []},
            {"role": "assistant", "audio": {"id": "audio_1"}},
            {"role": "assistant", "content": ""},
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": "https://example.org/i.png"}},
                    {"type": "hologram", "text": "shiny"},
                    "bare",
                    {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                ],
            },
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.org/j.png"}}]},
        ],
        [
            ("0", "As [1] says.", "assistant", 4, CITED),
            ("1", "Plain.", "assistant", 3, None),
            ("4.1", "shiny", "user", 0, UNKNOWN_BLOCK),
            ("4.2", "bare", "user", 0, NEWEST_USER),
        ],
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_segments(name: str) -> None:
    messages, expected = TABLE[name]
    assert rows(messages) == expected
    assert OpenAIFormat().parse(messages).rebuild({}) == messages


def test_content_types_are_detected() -> None:
    text = '[{"id": 1, "city": "Gera"}, {"id": 2, "city": "Lyon"}]'
    (segment,) = OpenAIFormat().parse([{"role": "tool", "tool_call_id": "a", "content": text}]).segments
    assert segment.content_type == "json"


class Function(BaseModel):
    name: str
    arguments: str


class Call(BaseModel):
    id: str
    function: Function


class Message(BaseModel):
    """The shape of the SDK's own message objects."""

    role: str
    content: str | None = None
    tool_calls: list[Call] | None = None


def test_sdk_objects_are_read_and_copied() -> None:
    made = Message(
        role="assistant", content="Long.", tool_calls=[Call(id="a", function=Function(name="f", arguments="{}"))]
    )
    parsed = OpenAIFormat().parse([{"role": "user", "content": "Hi"}, made])
    assert [s.text for s in parsed.segments] == ["Hi", "Long.", "f {}"]
    rebuilt = parsed.rebuild({"1": "…"})
    assert rebuilt[1] == made.model_copy(update={"content": "…"})
    assert made.content == "Long."
