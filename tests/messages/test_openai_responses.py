"""OpenAI Responses: what each item becomes, and how the format is told from the others."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from ctxshrink.errors import FormatError
from ctxshrink.messages import OpenAIResponsesFormat, detect
from ctxshrink.messages.locks import (
    CACHED,
    CITED,
    FAILED,
    INSTRUCTION,
    NEWEST_USER,
    PROGRAM,
    REASONING,
    REFUSAL,
    SERVER_RESULT,
    TOOL_CALL,
    TOOLS,
    UNKNOWN_BLOCK,
    UNKNOWN_ROLE,
)

Row = tuple[str, str, str, int, str | None]
IMAGE = {"type": "input_image", "image_url": "https://example.org/i.png"}


def call(call_id: str, arguments: str = "{}", **more: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": "f", "arguments": arguments, **more}


def output(call_id: str, said: Any, **more: Any) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": said, **more}


def said(*texts: str) -> dict[str, Any]:
    parts = [{"type": "output_text", "text": text, "annotations": []} for text in texts]
    return {"type": "message", "role": "assistant", "id": "msg", "status": "completed", "content": parts}


TABLE: dict[str, tuple[list[dict[str, Any]], list[Row]]] = {
    "reasoning, parallel calls, results in another order: one turn": (
        [
            {"role": "developer", "content": "Rules."},
            {"role": "user", "content": [{"type": "input_text", "text": "Compare."}, IMAGE]},
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": "Two calls."}],
                "content": [{"type": "reasoning_text", "text": "Hm."}],
                "encrypted_content": "ZW5j",
            },
            said("Looking."),
            call("a"),
            call("b", '{"x": 1}'),
            output("b", [{"type": "input_text", "text": "of b"}, IMAGE, {"type": "hologram", "text": "shiny"}]),
            output("a", "of a"),
            said("Equal.", "Bye."),
        ],
        [
            ("0", "Rules.", "instruction", 3, INSTRUCTION),
            ("1.0", "Compare.", "user", 2, NEWEST_USER),
            ("2.summary.0", "Two calls.", "assistant", 1, REASONING),
            ("2.content.0", "Hm.", "assistant", 1, REASONING),
            ("3.0", "Looking.", "assistant", 1, None),
            ("4", "f {}", "tool_call", 1, TOOL_CALL),
            ("5", 'f {"x": 1}', "tool_call", 1, TOOL_CALL),
            ("6.0", "of b", "tool_result", 1, None),
            ("6.2", "shiny", "tool_result", 1, UNKNOWN_BLOCK),
            ("7", "of a", "tool_result", 1, None),
            ("8.0", "Equal.", "assistant", 0, None),
            ("8.1", "Bye.", "assistant", 0, None),
        ],
    ),
    "the caller's other tools": (
        [
            {"type": "custom_tool_call", "call_id": "c", "name": "sql", "input": "SELECT 1"},
            {"type": "custom_tool_call_output", "call_id": "c", "output": "1 row"},
            {"type": "shell_call", "call_id": "s", "action": {"commands": ["ls"]}},
            {
                "type": "shell_call_output",
                "call_id": "s",
                "output": [
                    {"stdout": "a b", "stderr": "warned", "outcome": {"type": "exit", "exit_code": 0}},
                    {"stdout": "part", "stderr": "boom", "outcome": {"type": "exit", "exit_code": 2}},
                    {"stdout": "slow", "stderr": "", "outcome": {"type": "timeout"}},
                ],
            },
            {"type": "apply_patch_call", "call_id": "p", "status": "completed", "operation": {"type": "delete_file"}},
            {"type": "apply_patch_call_output", "call_id": "p", "status": "completed", "output": "Done."},
            {"type": "local_shell_call", "call_id": "l", "id": "l", "action": {"command": ["ls"]}},
            {"type": "local_shell_call_output", "id": "l", "output": '{"out": "x"}'},
            {"type": "computer_call", "call_id": "m", "action": {"type": "wait"}},
            {"type": "computer_call_output", "call_id": "m", "output": {"type": "computer_screenshot"}},
        ],
        [
            ("0", "sql SELECT 1", "tool_call", 4, TOOL_CALL),
            ("1", "1 row", "tool_result", 4, None),
            ("2", 'shell_call {"commands": ["ls"]}', "tool_call", 3, TOOL_CALL),
            ("3.0.stdout", "a b", "tool_result", 3, None),
            ("3.0.stderr", "warned", "tool_result", 3, None),
            ("3.1.stdout", "part", "tool_result", 3, FAILED),
            ("3.1.stderr", "boom", "tool_result", 3, FAILED),
            ("3.2.stdout", "slow", "tool_result", 3, FAILED),
            ("4", 'apply_patch_call {"type": "delete_file"}', "tool_call", 2, TOOL_CALL),
            ("5", "Done.", "tool_result", 2, None),
            ("6", 'local_shell_call {"command": ["ls"]}', "tool_call", 1, TOOL_CALL),
            ("7", '{"out": "x"}', "tool_result", 1, UNKNOWN_BLOCK),
            ("8", 'computer_call {"type": "wait"}', "tool_call", 0, TOOL_CALL),
        ],
    ),
    "failures, and results that a program reads": (
        [
            call("a"),
            call("b", caller={"type": "direct"}),
            call("c", caller={"type": "program", "caller_id": "p"}),
            call("d"),
            output("a", "cut", status="incomplete"),
            output("b", "boom", error="timeout"),
            output("c", "rows"),
            output("d", "rows", caller={"type": "program", "caller_id": "p"}),
            output("?", "whose", status="completed"),
        ],
        [
            ("0", "f {}", "tool_call", 0, TOOL_CALL),
            ("1", "f {}", "tool_call", 0, TOOL_CALL),
            ("2", "f {}", "tool_call", 0, TOOL_CALL),
            ("3", "f {}", "tool_call", 0, TOOL_CALL),
            ("4", "cut", "tool_result", 0, FAILED),
            ("5", "boom", "tool_result", 0, FAILED),
            ("6", "rows", "tool_result", 0, PROGRAM),
            ("7", "rows", "tool_result", 0, PROGRAM),
            ("8", "whose", "tool_result", 0, None),
        ],
    ),
    "hosted tools, references, unknown items": (
        [
            {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "herons"}},
            {"type": "file_search_call", "queries": ["rent"], "results": [{"text": "It is 940."}, {"text": "Or 950."}]},
            {"type": "code_interpreter_call", "code": "print(4)", "outputs": [{"type": "logs", "logs": "4"}]},
            {"type": "mcp_call", "name": "g", "arguments": "{}", "output": "done", "error": None},
            {"type": "mcp_list_tools", "tools": [{"name": "g"}]},
            {"type": "mcp_approval_request", "name": "g", "arguments": "{}"},
            {"type": "mcp_approval_response", "approve": False, "reason": "Too dear."},
            {"type": "image_generation_call", "result": "AAAA", "status": "completed"},
            {"type": "compaction", "encrypted_content": "ZW5j"},
            {"type": "item_reference", "id": "msg_1"},
            {"id": "msg_2"},
            {"type": "hologram", "text": "shiny", "content": [{"text": "inner"}]},
            {"type": "hologram_call", "arguments": {"q": 1}},
        ],
        [
            ("0", 'web_search_call {"type": "search", "query": "herons"}', "tool_call", 1, TOOL_CALL),
            ("1", 'file_search_call ["rent"]', "tool_call", 1, TOOL_CALL),
            ("1.results", "It is 940.\nOr 950.", "tool_result", 1, SERVER_RESULT),
            ("2", "code_interpreter_call print(4)", "tool_call", 1, TOOL_CALL),
            ("2.outputs", "4", "tool_result", 1, SERVER_RESULT),
            ("3", "g {}", "tool_call", 1, TOOL_CALL),
            ("3.output", "done", "tool_result", 1, SERVER_RESULT),
            ("4", '[{"name": "g"}]', "instruction", 1, TOOLS),
            ("5", "g {}", "tool_call", 1, TOOL_CALL),
            ("6", "Too dear.", "user", 1, UNKNOWN_BLOCK),
            ("7", "image_generation_call", "tool_call", 0, TOOL_CALL),
            ("11", "shiny\ninner", "tool_result", 0, UNKNOWN_BLOCK),
            ("12", 'hologram_call {"q": 1}', "tool_call", 0, TOOL_CALL),
        ],
    ),
    "citations, refusals, roles, breakpoints": (
        [
            {
                "role": "assistant",
                "phase": "final_answer",
                "content": [
                    {"type": "output_text", "text": "As [1] says.", "annotations": [{"type": "url_citation"}]},
                    {"type": "refusal", "refusal": "No."},
                    "bare",
                ],
            },
            {"role": "critic", "content": "Hm."},
            {
                "type": "message",
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "one", "prompt_cache_breakpoint": {"mode": "explicit"}},
                    {"type": "input_file", "file_data": "JVBE"},
                ],
            },
            {"role": "user", "content": "two"},
        ],
        [
            ("0.0", "As [1] says.", "assistant", 2, CITED),
            ("0.1", "No.", "assistant", 2, REFUSAL),
            ("0.2", "bare", "assistant", 2, CACHED),
            ("1", "Hm.", "instruction", 2, UNKNOWN_ROLE),
            ("2.0", "one", "user", 1, CACHED),
            ("3", "two", "user", 0, NEWEST_USER),
        ],
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_segments(name: str) -> None:
    messages, expected = TABLE[name]
    parsed = OpenAIResponsesFormat().parse(messages)
    assert [(s.id, s.text, s.kind, s.age, s.lock_reason) for s in parsed.segments] == expected
    assert parsed.rebuild({}) == messages
    assert detect(messages).name == "openai_responses"


def test_texts_are_put_back_in_place() -> None:
    messages = [
        *TABLE["reasoning, parallel calls, results in another order: one turn"][0],
        *TABLE["the caller's other tools"][0],
    ]
    parsed = OpenAIResponsesFormat().parse(messages)
    rebuilt = parsed.rebuild({"6.0": "B", "7": "A", "12.0.stdout": "S", "8.1": "…", "14": "P"})
    assert rebuilt[6]["output"] == [{"type": "input_text", "text": "B"}, *messages[6]["output"][1:]]
    assert rebuilt[7] == {**messages[7], "output": "A"}
    assert rebuilt[12]["output"][0] == {**messages[12]["output"][0], "stdout": "S"}
    assert rebuilt[14]["output"] == "P"
    assert [part["text"] for part in rebuilt[8]["content"]] == ["Equal.", "…"]


class Text(BaseModel):
    type: str
    text: str
    annotations: list[Any] = []


class Message(BaseModel):
    """The shape of the SDK's own output items."""

    type: str
    id: str
    role: str
    content: list[Text]


class Action(BaseModel):
    type: str
    query: str


class Search(BaseModel):
    type: str
    action: Action


def test_sdk_items_are_read_and_copied() -> None:
    made = Message(type="message", id="m", role="assistant", content=[Text(type="output_text", text="Long.")])
    search = Search(type="web_search_call", action=Action(type="search", query="herons"))
    parsed = OpenAIResponsesFormat().parse([made, search, {"role": "user", "content": "Go on"}])
    assert [s.text for s in parsed.segments] == [
        "Long.",
        'web_search_call {"type": "search", "query": "herons"}',
        "Go on",
    ]
    rebuilt = parsed.rebuild({"0.0": "…"})
    assert rebuilt[0].content == [Text(type="output_text", text="…")]
    assert made.content[0].text == "Long."
    assert rebuilt[1] is search


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([{"role": "user", "content": "hi"}, {"type": "item_reference", "id": "m"}], "openai_responses"),
        ([{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}], "openai_responses"),
        ([{"type": "message", "role": "user", "content": "hi"}], "openai_responses"),
        ([{"role": "user", "content": "hi"}, {"type": "brand_new_call", "id": "x"}], "openai_responses"),
        ([{"role": "user", "content": "hi"}], "openai"),
        # An Anthropic response object has a type too.
        ([{"type": "message", "role": "assistant", "content": [{"type": "tool_use", "id": "a"}]}], "anthropic"),
        ([{"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm."}]}], "anthropic"),
    ],
)
def test_detection(messages: Any, expected: str) -> None:
    assert detect(messages).name == expected


def test_what_is_no_item_is_refused() -> None:
    messages = [call("a"), {"text": "x"}]
    with pytest.raises(FormatError, match="message 1 has no role; it is a dict with the keys 'text'"):
        OpenAIResponsesFormat().parse(messages)
    with pytest.raises(FormatError, match="message 0 has no role"):
        OpenAIResponsesFormat().parse([{"type": "message", "content": "x"}])
