"""Anthropic Messages: the provider's own tools, MCP, programs that call tools, and blocks that nobody knows."""

from __future__ import annotations

from typing import Any

import pytest

from ctxshrink.messages.locks import COMPACTION, NEWEST_USER, PROGRAM, SERVER_RESULT, TOOL_CALL, TOOLS, UNKNOWN_BLOCK
from tests.messages.blocks import Row, answer, check, text, use

TABLE: dict[str, tuple[list[dict[str, Any]], list[Row]]] = {
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
}


@pytest.mark.parametrize("name", TABLE)
def test_segments(name: str) -> None:
    check(*TABLE[name])
