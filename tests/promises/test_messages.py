"""The promises, for every seat that takes messages. Numbers are those of the design."""

from __future__ import annotations

import copy
import logging
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink import Adaptive, Shrinker
from ctxshrink.messages import detect
from ctxshrink.testing import BrokenCompressor, WordCounter
from tests.messages.strategies import responses_conversations
from tests.promises.seats import MESSAGE_SEATS, CommandLine, langchain_messages
from tests.promises.test_documents import assert_verbatim, make
from tests.strategies import PROPERTY, anthropic_conversations, openai_conversations

SEATS = sorted(MESSAGE_SEATS)
CONVERSATIONS = st.one_of(openai_conversations(), anthropic_conversations(), responses_conversations())
GOALS = st.one_of(
    st.builds(lambda k: {"keep": k}, st.sampled_from([0.05, 0.3, 0.6])),
    st.builds(lambda n: {"max_tokens": n}, st.integers(0, 300)),
)
WINDOW = 2


def shrinker(**settings: Any) -> Shrinker:
    return make(policy=Adaptive(recent_turns=WINDOW), **settings)


def segments(messages: list[Any]) -> dict[str, Any]:
    return {s.id: s for s in detect(messages).parse(messages).segments}


def exact(segment: Any) -> bool:
    return segment.locked or segment.age < WINDOW


@pytest.mark.parametrize("seat", SEATS)
@PROPERTY
@given(messages=CONVERSATIONS, goal=GOALS)
def test_1_2_4_5_locked_exact_paired_smaller_and_verbatim(seat: str, messages: list[Any], goal: Any) -> None:
    output = MESSAGE_SEATS[seat](shrinker(guardrail=None), messages, goal)
    assert len(output) == len(messages)
    before, after = segments(messages), segments(output)
    for key, segment in before.items():
        text = after[key].text if key in after else ""
        if exact(segment):
            assert text == segment.text
        assert WordCounter().count([text]) <= WordCounter().count([segment.text])
        assert_verbatim(segment.text, text)
    assert skeleton(output) == skeleton(messages)


TEXT_KEYS = ("content", "text", "data", "output", "stdout")


def skeleton(value: Any) -> Any:
    """Everything but text that may shrink: roles, ids, order, tool calls, unknown keys, images."""
    if isinstance(value, dict):
        return {k: "" if k in TEXT_KEYS and isinstance(v, str) else skeleton(v) for k, v in value.items()}
    return [skeleton(v) for v in value] if isinstance(value, list) else value


@pytest.mark.parametrize("seat", SEATS)
@PROPERTY
@given(messages=CONVERSATIONS, budget=st.integers(0, 400))
def test_3_the_budget_holds_whenever_locked_text_fits(seat: str, messages: list[Any], budget: int) -> None:
    output = MESSAGE_SEATS[seat](shrinker(), messages, {"max_tokens": budget})
    parsed = segments(messages).values()
    # An emptied message leaves a mark, because providers refuse empty content.
    least = sum(WordCounter().count([s.text if exact(s) else s.empty])[0] for s in parsed)
    size = sum(WordCounter().count([s.text for s in segments(output).values()]))
    assert size <= max(budget, least)


@pytest.mark.parametrize("seat", SEATS)
@PROPERTY
@given(messages=CONVERSATIONS)
def test_6_fail_open(seat: str, messages: list[Any]) -> None:
    assert MESSAGE_SEATS[seat](shrinker(compressors=[BrokenCompressor()]), messages, {"keep": 0.3}) == messages


@pytest.mark.parametrize("seat", SEATS)
@PROPERTY
@given(messages=CONVERSATIONS, goal=GOALS)
def test_7_9_deterministic_without_mutation_and_seats_agree(seat: str, messages: list[Any], goal: Any) -> None:
    original = copy.deepcopy(messages)
    output = MESSAGE_SEATS[seat](shrinker(), messages, goal)
    assert messages == original
    assert output == shrinker().shrink_messages(messages, **goal).output


def test_1_4_langchain_messages() -> None:
    messages = [
        {"role": "system", "content": "Never give prices."},
        *(
            {"role": "user", "content": f"Point {i} is about rent. It was {i * 31} euros. We talked long."}
            for i in range(6)
        ),
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "line one\nline two\nline three\n" * 9},
        *({"role": "user", "content": f"And point {i}."} for i in range(4)),
    ]
    before, after = langchain_messages(shrinker(guardrail=None), messages, {"keep": 0.4})
    assert after[0].content == "Never give prices."
    assert [type(m) for m in after] == [type(m) for m in before]
    assert after[7].tool_calls == before[7].tool_calls
    assert after[8].tool_call_id == "c1"
    assert len(after[8].content) < len(before[8].content)
    assert [m.content for m in after[-2:]] == [m.content for m in before[-2:]]
    assert before == langchain_messages(shrinker(guardrail=None), messages, {"keep": 1.0})[0]


def test_1_the_command_line() -> None:
    messages = [{"role": "system", "content": "Be terse."}] + [
        {"role": ("user", "assistant")[i % 2], "content": f"Line {i} has one fact. It has another one too. And more."}
        for i in range(12)
    ]
    done = CommandLine.run(messages, "--keep", "0.4")
    assert done.output[0] == messages[0]
    assert done.output[-4:] == messages[-4:]
    assert done.account["tokens_after"] < done.account["tokens_before"]


def test_10_nothing_leaves_the_machine_and_no_text_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    caplog.set_level(logging.DEBUG)
    messages = [{"role": "user", "content": f"The secret word is xyzzy{i}. It is secret."} for i in range(9)]
    Shrinker().shrink_messages(messages, keep=0.3)
    Shrinker(compressors=[BrokenCompressor(), "extractive"]).shrink_messages(messages, max_tokens=60)
    assert "xyzzy" not in caplog.text
