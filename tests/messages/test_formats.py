"""How a conversation's format is told, and how another one is made known."""

from __future__ import annotations

from typing import Any

import pytest

from ctxshrink.errors import ConfigError
from ctxshrink.messages import OpenAIFormat, Parsed, detect, formats, register
from tests.messages.blocks import CACHE, IMAGE, answer, message, text, use


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
