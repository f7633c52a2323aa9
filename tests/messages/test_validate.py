"""The providers' rules: each broken one is named, whole conversations pass, and shrinking breaks none."""

from __future__ import annotations

import copy
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from ctxshrink import Adaptive, Shrinker
from ctxshrink.errors import FormatError
from ctxshrink.messages.validate import Provider, problems
from ctxshrink.testing import WordCounter
from tests.messages.cases import Case, every_format
from tests.strategies import PROPERTY

CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
ASKED = {"role": "user", "content": "Go."}
CACHE = {"type": "ephemeral"}
IMAGE = {"type": "image", "source": {"type": "url", "url": "https://example.org/i.png"}}


def calls(*ids: str) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": [{**CALL, "id": i} for i in ids]}


def told(call_id: str, content: Any = "r") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def fcall(call_id: str, **more: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": "f", "arguments": "{}", **more}


def foutput(call_id: str, output: Any = "r") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def use(call_id: str, **more: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": "f", "input": {}, **more}


def answer(call_id: str, content: Any = "r", **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": content, **more}


def said(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def asked(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def text(value: str = "Hm.", **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": value, **more}


THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
REASONED = {"type": "reasoning", "id": "rs", "summary": []}

GOOD: list[tuple[Provider, list[Any]]] = [
    ("openai", []),
    ("openai", [ASKED, calls("a", "b"), told("b"), told("a", ""), {"role": "assistant", "content": "Done."}]),
    # The same ids in another turn, as some servers number them.
    ("openai", [ASKED, calls("a"), told("a"), calls("a"), told("a", [{"type": "text", "text": "r"}])]),
    ("openai", [{"role": "developer", "content": "Rules."}, ASKED, {"role": "assistant", "refusal": "No."}]),
    ("openai", [{"role": "assistant", "tool_calls": [{"id": "c", "custom": {"name": "s", "input": "x"}}]}, told("c")]),
    ("openai_responses", [REASONED, fcall("a"), fcall("b"), foutput("b"), foutput("a", [{"type": "input_text"}])]),
    ("openai_responses", [{"type": "item_reference", "id": "fc"}, foutput("stored"), ASKED]),
    ("openai_responses", [ASKED, {"type": "web_search_call", "id": "w", "status": "completed"}, {"type": "new_item"}]),
    ("anthropic", [asked(text()), said(THOUGHT, text(), use("a"), use("b")), asked(answer("b"), answer("a"), text())]),
    # Messages of one role in a row are one turn.
    ("anthropic", [ASKED, said(use("a")), said(use("b")), asked(answer("a")), asked(answer("b"))]),
    ("anthropic", [ASKED, said({"type": "server_tool_use", "id": "s"}, {"type": "web_search_tool_result", "tool_use_id":
     "s", "content": []})]),
    ("anthropic", [ASKED, {"role": "assistant", "content": ""}]),
    ("anthropic", [asked(*(text(cache_control=CACHE) for _ in range(4)))]),
    ("anthropic", [ASKED, {"role": "system", "content": "Rules."}, said(text())]),
]  # fmt: skip

BAD: list[tuple[Provider, list[Any], str]] = [
    ("openai", [{"role": "narrator", "content": "x"}], "message 0: unknown role 'narrator'"),
    ("openai", [ASKED, told("a")], "message 1: no assistant message directly before has a tool call 'a'"),
    ("openai", [ASKED, calls("a"), told("b"), told("a")], "message 2: no assistant message directly before"),
    ("openai", [ASKED, calls("a"), told("a"), told("a")], "message 3: tool call 'a' is answered twice"),
    ("openai", [ASKED, calls("a", "b"), told("a"), ASKED], "message 1: tool call 'b' has no tool message"),
    ("openai", [ASKED, calls("a")], "message 1: tool call 'a' has no tool message"),
    ("openai", [ASKED, calls("a"), ASKED, told("a")], "message 3: no assistant message directly before"),
    ("openai", [ASKED, calls("a", "a"), told("a")], "message 1: tool call 1 repeats the id 'a'"),
    ("openai", [ASKED, {"role": "tool", "content": "r"}], "message 1: a tool message needs a tool_call_id"),
    ("openai", [{"role": "user"}], "message 0: content is missing"),
    ("openai", [{"role": "user", "content": []}], "message 0: content must be a text or a non-empty list"),
    ("openai", [{"role": "user", "content": [{"text": "x"}]}], "message 0: content part 0 has no type"),
    ("openai", [{"role": "assistant", "content": None}], "message 0: content is missing"),
    ("openai", [{"role": "assistant", "content": "x", "tool_calls": []}], "message 0: tool_calls must be left out"),
    ("openai", [{"role": "function", "content": "x"}], "message 0: a function message needs a name"),
    ("openai", [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}], "has no id"),
    ("openai_responses", [ASKED, foutput("a")], "item 1: no function_call before has the call_id 'a'"),
    ("openai_responses", [foutput("a"), fcall("a")], "item 0: no function_call before has the call_id 'a'"),
    ("openai_responses", [fcall("a"), foutput("a"), foutput("a")], "item 2: the call 'a' is answered twice"),
    ("openai_responses", [fcall("a"), ASKED], "item 0: no output for function_call 'a'"),
    ("openai_responses", [fcall("a"), fcall("a"), foutput("a")], "item 1: the call_id 'a' occurs twice"),
    ("openai_responses", [fcall("a", arguments={}), foutput("a")], "item 0: arguments must be a JSON text"),
    ("openai_responses", [fcall("a", arguments="{"), foutput("a")], "item 0: arguments are not valid JSON"),
    ("openai_responses", [fcall("a", name=""), foutput("a")], "item 0: function_call has no name"),
    ("openai_responses", [fcall("a"), foutput("a", [])], "item 1: output must be a text or a non-empty list"),
    ("openai_responses", [ASKED, REASONED], "item 1: a reasoning item without the item that followed it"),
    ("openai_responses", [ASKED, REASONED, ASKED], "item 1: a reasoning item without the item that followed it"),
    ("openai_responses", [REASONED, fcall("a", id="rs"), foutput("a")], "item 1: the id 'rs' occurs twice"),
    ("openai_responses", [{"role": "tool", "content": "x"}], "item 0: unknown role 'tool'"),
    ("openai_responses", [{"role": "user", "content": []}], "item 0: content must be a text or a non-empty list"),
    ("openai_responses", [asked({"type": "output_text"})], "output_text cannot be in a message of the role user"),
    ("openai_responses", [said({"type": "input_text"})], "input_text cannot be in a message of the role assistant"),
    ("anthropic", [{"role": "tool", "content": "x"}], "message 0: unknown role 'tool'"),
    ("anthropic", [said(text())], "message 0: the first message must be the user's"),
    ("anthropic", [ASKED, said(use("a"))], "the tool_use 'a' has no tool_result in the next message"),
    ("anthropic", [ASKED, said(use("a")), asked(text())], "the tool_use 'a' has no tool_result in the next message"),
    ("anthropic", [ASKED, said(use("a"), use("b")), asked(answer("a"))], "the tool_use 'b' has no tool_result"),
    ("anthropic", [ASKED, said(use("a")), asked(text(), answer("a"))], "message 2: a tool_result after other content"),
    ("anthropic", [ASKED, said(use("a")), asked(answer("a"), answer("a"))], "message 2: the tool_use 'a' is answered"),
    ("anthropic", [ASKED, said(use("a")), asked(answer("a")), said(use("a")), asked(answer("a"))], "'a' occurs twice"),
    ("anthropic", [asked(answer("a"))], "message 0: no tool_use in the message before has the id 'a'"),
    ("anthropic", [ASKED, said(answer("a"))], "message 1: a tool_result outside a user message"),
    ("anthropic", [ASKED, asked(use("a")), said(text())], "message 1: a tool_use outside an assistant message"),
    ("anthropic", [asked(text(" \n"))], "message 0, block 0: an empty text block"),
    ("anthropic", [asked(), said(text())], "message 0: content is empty"),
    ("anthropic", [{"role": "user", "content": ""}], "message 0: content is empty"),
    ("anthropic", [ASKED, said(use("a")), asked(answer("a", [text("")]))], "message 2, block 0, part 0: an empty text"),
    ("anthropic", [ASKED, said(use("a")), asked(answer("a", "", is_error=True))], "a failed tool_result needs content"),
    ("anthropic", [ASKED, said(text(), THOUGHT, use("a")), asked(answer("a"))], "must start with the thinking"),
    ("anthropic", [ASKED, said({"type": "thinking", "thinking": "Hm."})], "a thinking block without its signature"),
    ("anthropic", [asked(*(text(cache_control=CACHE) for _ in range(5)))], "5 cache_control breakpoints; at most 4"),
    ("anthropic", [ASKED, said(text("Well, "))], "message 1: the final assistant message ends with white space"),
    ("anthropic", [ASKED, said({"type": "web_search_tool_result", "tool_use_id": "s"})], "no hosted tool call before"),
    (
        "anthropic",
        [ASKED, said(use("a", caller={"type": "code_execution_20250825"})), asked(answer("a"), text())],
        "message 2: beside the results of a program's calls nothing else is allowed",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "messages"), GOOD)
def test_good_conversations(provider: Provider, messages: list[Any]) -> None:
    before = copy.deepcopy(messages)
    assert problems(messages, provider) == []
    assert messages == before


@pytest.mark.parametrize(("provider", "messages", "expected"), BAD)
def test_broken_rules_are_named(provider: Provider, messages: list[Any], expected: str) -> None:
    assert any(expected in problem for problem in problems(messages, provider)), problems(messages, provider)


def test_the_provider_is_recognised() -> None:
    assert problems([ASKED, calls("a")]) == problems([ASKED, calls("a")], "openai") != []
    assert problems([ASKED, said(use("a"))]) == problems([ASKED, said(use("a"))], "anthropic") != []
    assert problems([ASKED, fcall("a")]) == problems([ASKED, fcall("a")], "openai_responses") != []
    assert problems(({"role": "user", "content": "Hi"},)) == []


def test_what_no_provider_takes() -> None:
    with pytest.raises(FormatError, match="got str"):
        problems("hello", "anthropic")
    with pytest.raises(FormatError, match="no provider publishes rules for 'notes'"):
        problems([ASKED], "notes")  # type: ignore[arg-type]


class Block(BaseModel):
    type: str
    id: str
    name: str
    input: dict[str, Any]


def test_sdk_objects() -> None:
    messages = [ASKED, {"role": "assistant", "content": [Block(type="tool_use", id="a", name="f", input={})]}]
    assert problems(messages) == ["the tool_use 'a' has no tool_result in the next message"]
    assert problems([*messages, asked(answer("a"))]) == []


@pytest.mark.parametrize("odd", [5, None, [[]], {"a": []}, b"x"], ids=repr)
@pytest.mark.parametrize("provider", get_args(Provider))
def test_odd_values_never_raise(provider: Provider, odd: Any) -> None:
    messages = [
        {"role": odd, "content": odd, "tool_calls": odd, "type": odd, "id": odd},
        {"role": "assistant", "content": [odd, {"type": odd}], "tool_calls": [odd, {"id": odd, "function": odd}]},
        {"role": "tool", "tool_call_id": odd},
        {"type": "function_call", "call_id": odd, "arguments": odd},
        {"type": "function_call_output", "call_id": odd, "output": odd},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": odd, "content": [odd]}]},
    ]
    assert problems(messages, provider) != []


@every_format
@PROPERTY
@given(data=st.data(), keep=st.sampled_from([0.05, 0.3, 0.6]))
def test_shrinking_breaks_no_rule(case: Case, data: st.DataObject, keep: float) -> None:
    messages = data.draw(case.conversations())
    shrinker = Shrinker(
        policy=Adaptive(recent_turns=1), compressors=["extractive"], guardrail=None, counter=WordCounter()
    )
    provider: Any = case.format.name
    output = shrinker.shrink_messages(messages, keep=keep).output
    assert set(problems(output, provider)) <= set(problems(messages, provider))
