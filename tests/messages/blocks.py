"""Messages and blocks as Anthropic's API writes them, and what they become."""

from __future__ import annotations

from typing import Any

from ctxshrink.messages import AnthropicFormat, detect

Row = tuple[str, str, str, int, str | None]
"""A segment: id, text, kind, age, why it is locked."""
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
CACHE = {"type": "ephemeral"}


def text(value: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": value, **more}


def use(call_id: str, **given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": "look", "input": given}


def answer(call_id: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": content, **more}


def message(content: Any, role: str = "user", **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


def check(messages: list[dict[str, Any]], expected: list[Row]) -> None:
    """They have these segments, and survive."""
    parsed = AnthropicFormat().parse(messages)
    assert [(s.id, s.text, s.kind, s.age, s.lock_reason) for s in parsed.segments] == expected
    assert parsed.rebuild({}) == messages
    assert detect(messages).name == "anthropic"
