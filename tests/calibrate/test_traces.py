from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ctxshrink.bench.data import ChatRecord
from ctxshrink.calibrate.traces import read_traces
from ctxshrink.errors import ConfigError

from .conftest import agent_messages, write_lines

ANTHROPIC = [
    {"role": "user", "content": "Find the order of Ada Byron."},
    {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "find", "input": {"who": "Ada Byron"}}]},
    {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "Her order is ORD-9917, sent in May."}],
    },
    *[{"role": r, "content": f"Small talk number {i}."} for i in range(4) for r in ("assistant", "user")],
    {"role": "assistant", "content": [{"type": "tool_use", "id": "t2", "name": "cancel", "input": {"id": "ORD-9917"}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t2", "content": "done"}]},
    {"role": "assistant", "content": "Cancelled."},
]
RESPONSES = [
    {"role": "user", "content": "Find the order of Ada Byron."},
    {"type": "function_call", "call_id": "t1", "name": "find", "arguments": '{"who": "Ada Byron"}'},
    {"type": "function_call_output", "call_id": "t1", "output": "Her order is ORD-9917, sent in May."},
    *[{"role": r, "content": f"Small talk number {i}."} for i in range(4) for r in ("assistant", "user")],
    {"type": "function_call", "call_id": "t2", "name": "cancel", "arguments": '{"id": "ORD-9917"}'},
    {"type": "function_call_output", "call_id": "t2", "output": "done"},
    {"role": "assistant", "content": "Cancelled."},
]


def probes(example: Any) -> set[str]:
    assert isinstance(example.record, ChatRecord)
    return {p.answers[0] for p in example.record.probes}


@pytest.mark.parametrize("messages", [agent_messages(3), ANTHROPIC, RESPONSES])
def test_what_later_calls_used_was_needed(tmp_path: Path, messages: list[Any]) -> None:
    data = read_traces(write_lines(tmp_path / "log.jsonl", [{"messages": messages, "session_id": "s1"}]))
    assert data.labels == "reuse"
    wanted = "ORD-4003" if messages[0]["role"] == "system" else "ORD-9917"
    assert any(wanted in probes(e) for e in data.examples)
    assert {e.mode for e in data.examples} == {"blind"}
    assert {e.record.group for e in data.examples} == {"s1"}
    for example in data.examples:
        assert isinstance(example.record, ChatRecord)
        cut = len(example.record.messages)
        assert example.record.messages == tuple(messages[:cut])
        # the model acts next, and no call has lost its result
        following = messages[cut]
        assert following.get("role") == "assistant" or following["type"] == "function_call"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("one.json", agent_messages(1)),
        ("held.json", {"messages": agent_messages(1)}),
        ("many.json", [agent_messages(1), agent_messages(2)]),
        ("requests.json", [{"input": agent_messages(1)}, {"input": agent_messages(2)}]),
    ],
)
def test_shapes_of_documents(tmp_path: Path, name: str, value: Any) -> None:
    (tmp_path / name).write_text(json.dumps(value), "utf-8")
    found = read_traces(tmp_path / name)
    assert found.examples
    assert len({e.record.group for e in found.examples}) == (2 if name in ("many.json", "requests.json") else 1)
    assert read_traces(tmp_path).examples == found.examples


def test_a_log_of_growing_requests_counts_each_conversation_once(tmp_path: Path) -> None:
    whole, other = agent_messages(1), agent_messages(2)
    lines = [whole[:4], whole[:9], other, whole, whole]
    found = read_traces(write_lines(tmp_path / "log.jsonl", lines))
    alone = read_traces(write_lines(tmp_path / "alone.jsonl", [other, whole]))
    assert [e.record.messages for e in found.examples if isinstance(e.record, ChatRecord)] == [
        e.record.messages for e in alone.examples if isinstance(e.record, ChatRecord)
    ]
    assert len({e.record.group for e in read_traces(tmp_path / "log.jsonl", limit=1).examples}) == 1


def test_conversations_in_which_nothing_is_used_again_are_counted(tmp_path: Path) -> None:
    idle = [{"role": r, "content": f"Line {i}"} for i in range(10) for r in ("user", "assistant")]
    found = read_traces(write_lines(tmp_path / "log.jsonl", [idle]))
    assert found.examples == ()
    assert found.unlabelled > 0


def test_short_and_deeply_nested_conversations_are_counted(tmp_path: Path) -> None:
    nested = '[{"role": "user", "content": ' + "[" * 400 + "]" * 400 + "}]"
    (tmp_path / "log.jsonl").write_text(nested + '\n[{"role": "user", "content": "Hi \\ud800"}]\n', "utf-8")
    found = read_traces(tmp_path / "log.jsonl")
    assert (found.examples, found.unlabelled) == ((), 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no conversation"),
        ("[]", "holds no conversation"),
        ("{", "log.jsonl:1: not JSON"),
        ("3", "log.jsonl:1: expected a list of messages; got int"),
        ('{"id": 1, "text": "x"}', 'log.jsonl:1: an object without a list of "messages".*its keys: id, text'),
        ('[{"role": "user"}, 3]', "log.jsonl:1"),
        ("[" * 100_000, "log.jsonl:1: not JSON"),
    ],
)
def test_bad_logs(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "log.jsonl").write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=message):
        read_traces(tmp_path / "log.jsonl")


def test_logs_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        read_traces(tmp_path / "none.jsonl")
    with pytest.raises(ConfigError, match=r"no .json or .jsonl file"):
        read_traces(tmp_path)
