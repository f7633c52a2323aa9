from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from ctxshrink.economics import PRICES, Usage
from ctxshrink.economics.command import estimate as command
from ctxshrink.economics.estimate import estimate
from ctxshrink.economics.traces import Trace, read_traces
from ctxshrink.errors import ConfigError, FormatError
from ctxshrink.providers import RULES
from ctxshrink.testing import WordCounter

COUNTER = WordCounter()
SMALL = replace(RULES["anthropic"], min_prefix=50)
app = typer.Typer()
app.command()(command)


def log(words: int) -> str:
    return " ".join(f"entry{i}" for i in range(words))


def openai(*results: str) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Answer briefly."},
        {"role": "user", "content": "Read the logs."},
    ]
    for i, text in enumerate(results):
        call = {"id": f"c{i}", "type": "function", "function": {"name": "read", "arguments": "{}"}}
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": f"c{i}", "content": text})
    return [*messages, {"role": "assistant", "content": "Done."}]


def anthropic(text: str) -> list[dict[str, Any]]:
    use = {"type": "tool_use", "id": "t", "name": "read", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": text}
    return [
        {"role": "user", "content": "Read the log."},
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
        {"role": "assistant", "content": "Done."},
    ]


def responses(text: str) -> list[dict[str, Any]]:
    return [
        {"role": "user", "content": "Read the log."},
        {"type": "reasoning", "id": "r", "summary": []},
        {"type": "function_call", "call_id": "c", "name": "read", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": text},
        {"role": "assistant", "content": "Done."},
    ]


def trace(items: Sequence[Any], kind: Any = "messages") -> Trace:
    return Trace("t", kind, tuple(items))


@pytest.mark.parametrize("messages", [openai(log(1000)), anthropic(log(1000)), responses(log(1000))])
def test_a_tool_result_is_cut_once_and_sent_short_from_then_on(messages: list[dict[str, Any]]) -> None:
    found = estimate([trace(messages)], COUNTER, keep=0.5, fallback_share=0.0)
    assert found.requests == 2
    assert found.kinds["tool_result"].tokens == 1000
    assert found.kinds["tool_result"].cut == 500
    assert found.kinds["user"].cut == 0
    assert found.tried == 1000
    assert found.plain.output == found.shrunk.output > 0
    assert found.plain.input - found.shrunk.input == pytest.approx(500, rel=0.05)  # it is in the second request alone
    half = estimate([trace(messages)], COUNTER, keep=0.5, fallback_share=0.5)
    assert half.kinds["tool_result"].cut == 250


def test_what_a_conversation_leaves_alone_is_left_alone_here() -> None:
    failed = "Traceback (most recent call last):\n  File 'a.py', line 3\nValueError: wrong\n" + log(500)
    found = estimate([trace(openai(log(100), failed, log(500)))], COUNTER, keep=0.5, fallback_share=0.0)
    assert found.tried == 500
    assert found.kinds["instruction"].exact == found.kinds["instruction"].tokens
    big = replace(SMALL, min_prefix=10_000)
    assert estimate([trace(openai(log(1000)))], COUNTER, rules=big).tried == 0  # nothing would be cached any more
    assert estimate([trace(openai(log(1000)))], COUNTER, rules=big, prefix_tokens=20_000).tried == 1000


def test_a_question_that_waits_for_its_answer_is_a_request_too() -> None:
    messages = openai(log(500))
    assert estimate([trace(messages[:-1])], COUNTER).requests == 2
    assert estimate([trace(messages[:1])], COUNTER).requests == 1
    assert estimate([trace(messages)], COUNTER).requests == 2


def test_a_bill_with_a_prompt_cache_reads_what_was_sent() -> None:
    messages = openai(log(1000), log(1000), log(1000))
    found = estimate(
        [trace(messages)],
        COUNTER,
        fallback_share=0.0,
        prices=PRICES["claude-sonnet-4.6"],
        rules=SMALL,
        prefix_tokens=60,
    )
    assert found.plain.read > found.plain.written
    assert found.plain_cost is not None
    assert found.shrunk_cost is not None
    assert found.shrunk_cost < found.plain_cost
    uncached = estimate([trace(messages)], COUNTER, fallback_share=0.0, prefix_tokens=60)
    assert uncached.plain == Usage(uncached=found.plain.input, output=found.plain.output)
    assert uncached.plain_cost is None


def test_documents_are_one_request_each() -> None:
    docs = trace([log(100), {"text": log(300), "title": "x"}], "documents")
    found = estimate([docs, docs], COUNTER, keep=0.25, fallback_share=0.0)
    assert (found.requests, found.plain.input, found.shrunk.input) == (2, 800, 200)
    assert found.largest == (400, 100)


@given(
    sizes=st.lists(st.integers(1, 1500), min_size=1, max_size=4),
    keep=st.floats(0.01, 1),
    fallback=st.floats(0, 1),
    name=st.sampled_from([None, *sorted(RULES)]),
)
def test_an_estimate_adds_up(sizes: list[int], keep: float, fallback: float, name: str | None) -> None:
    rules = None if name is None else RULES[name]
    found = estimate([trace(openai(*map(log, sizes)))], COUNTER, keep=keep, fallback_share=fallback, rules=rules)
    assert found.shrunk.input <= found.plain.input
    assert found.requests == len(sizes) + 1
    for row in found.kinds.values():
        assert 0 <= row.cut <= row.tokens - row.exact <= row.tokens
    assert json.loads(json.dumps(found.to_dict()))["requests"] == found.requests


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ConfigError, match="keep"):
        estimate([trace(openai("x"))], COUNTER, keep=0)
    with pytest.raises(ConfigError, match="fallback_share"):
        estimate([trace(openai("x"))], COUNTER, fallback_share=1.5)
    with pytest.raises(ConfigError, match="at least one trace"):
        estimate([], COUNTER)
    with pytest.raises(FormatError, match=r"^t: message 0"):
        estimate([trace([{"type": "spiral"}])], COUNTER)


@pytest.mark.parametrize(
    ("name", "value", "kinds"),
    [
        ("a.json", [{"role": "user", "content": "x"}], ["messages"]),
        ("a.json", {"messages": [{"role": "user", "content": "x"}], "id": 3}, ["messages"]),
        ("a.json", {"input": [{"type": "reasoning", "id": "r"}]}, ["messages"]),
        ("a.json", ["a", {"text": "b"}], ["documents"]),
        ("a.json", {"docs": ["a"], "query": "q"}, ["documents"]),
        ("a.json", [{"documents": ["a"]}, {"messages": [{"role": "user", "content": "x"}]}], ["documents", "messages"]),
        ("a.jsonl", [{"messages": [{"role": "user", "content": "x"}]}] * 2, ["messages", "messages"]),
        ("a.jsonl", [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}], ["messages"]),
        ("a.jsonl", ["one", "two"], ["documents"]),
        ("a.jsonl", [["one", "two"], ["three"]], ["documents", "documents"]),
    ],
)
def test_traces_in_files(name: str, value: Any, kinds: list[str], tmp_path: Path) -> None:
    file = tmp_path / name
    lines = "\n".join(json.dumps(v) for v in value) + "\n" if name.endswith("l") else json.dumps(value)
    file.write_text(lines)
    found = read_traces([file])
    assert [t.kind for t in found] == kinds
    if isinstance(value, dict) and "query" in value:
        assert found[0].query == "q"


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("a.json", "{", "not valid JSON"),
        ("a.json", "3", "neither a list"),
        ("a.json", "[3]", "neither messages"),
        ("a.json", "[]", "holds no messages"),
        ("a.jsonl", "", "holds no messages"),
        ("a.jsonl", '["a"]\n{"x', "a.jsonl:2"),
        ("a.jsonl", '["a"]\n{"x": 1}', "a.jsonl:2"),
    ],
)
def test_files_without_traces_are_named(name: str, text: str, match: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=match):
        read_traces([tmp_path / name])
    with pytest.raises(ConfigError, match="cannot be read"):
        read_traces([tmp_path / "absent.json"])


def test_the_command_shows_a_table_and_what_is_assumed(tmp_path: Path) -> None:
    file = tmp_path / "talk.json"
    file.write_text(json.dumps(openai(log(3000), log(3000))))
    (tmp_path / "config.json").write_text(
        json.dumps({"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 64})
    )
    settings = [str(file), "--model", "claude-sonnet-4.6", "--throughput", "5000", "--compress-throughput", "50000"]
    settings += ["--kv", str(tmp_path), "--gpu-memory", "1", "--weights", "0.5"]
    shown = CliRunner().invoke(app, settings)
    assert shown.exit_code == 0, shown.output
    for said in ("tool result", "bill", "KV cache", "users per GPU", "estimate", "2026-11-22", "falls back"):
        assert said in shown.output
    report = json.loads(CliRunner().invoke(app, [*settings, "--json"]).output)
    assert report["cost"]["saved"] > 0
    assert report["kv_cache"]["bytes"]["plain"] == report["largest_request"]["plain"] * 2 * 2 * 64 * 2
    assert report["kv_cache"]["users_per_gpu"]["shrunk"] > report["kv_cache"]["users_per_gpu"]["plain"]
    seconds = report["seconds"]
    saved = seconds["prefill_plain"] - seconds["prefill_shrunk"] - seconds["compress"]
    assert seconds["saved"] == pytest.approx(saved)
    mine = tmp_path / "prices.toml"
    mine.write_text("[mine]\ninput = 1.0\n")
    own = json.loads(CliRunner().invoke(app, [str(file), "--model", "mine", "--prices", str(mine), "--json"]).output)
    assert own["cost"]["plain"] == pytest.approx(own["plain"]["input"] / 1e6)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        (["--model", "nobody"], "no prices are known"),
        (["--prices", "p.toml"], "--model"),
        (["--throughput", "0"], "prefill_tokens_per_second"),
        (["--compress-throughput", "5"], "--throughput"),
        (["--weights", "5"], "--kv"),
        (["--keep", "0"], "keep"),
        (["--provider", "nobody"], "provider"),
        (["--kv", "absent"], "cannot be read"),
        (["--kv-dtype", "int3", "--kv", "."], "dtype"),
    ],
)
def test_the_command_refuses_wrong_options_in_one_line(settings: list[str], match: str, tmp_path: Path) -> None:
    file = tmp_path / "talk.json"
    file.write_text(json.dumps(["a document"]))
    shown = CliRunner().invoke(app, [str(file), *settings])
    assert shown.exit_code == 2
    assert match in shown.output
    assert "error:" in shown.output
