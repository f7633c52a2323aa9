from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink import ConfigError, Conversation
from tests.prefix.material import (
    GOALS,
    HISTORIES,
    SETTINGS,
    agent,
    chat,
    shrinker,
    talk,
    turns,
)
from tests.strategies import PROPERTY, openai_conversations


def test_a_decided_message_never_changes_again() -> None:
    talk, messages = Conversation(shrinker()), chat(14)
    sent: dict[int, str] = {}
    for n in range(4, 15):
        output = talk.shrink(messages[:n], keep=0.4).output
        for i, text in sent.items():
            assert output[i]["content"] == text
        sent = {i: output[i]["content"] for i in range(n - 2)}
    assert any(sent[i] != messages[i]["content"] for i in sent)


@PROPERTY
@given(messages=openai_conversations(), more=openai_conversations(), keep=st.floats(0.1, 0.9))
def test_decided_text_is_replayed_in_any_conversation(messages: list[Any], more: list[Any], keep: float) -> None:
    talk = Conversation(shrinker())
    first = talk.shrink(messages, keep=keep)
    decided = {d.segment.id: d.text for d in first.decisions if d.action != "locked"}
    later = {d.segment.id: d for d in talk.shrink(messages + more, keep=keep).decisions}
    for segment_id, text in decided.items():
        assert later[segment_id].text == text
        assert later[segment_id].action in ("frozen", "locked")


def test_a_budget_is_met_in_rare_large_steps() -> None:
    talk, messages = Conversation(shrinker()), chat(60)
    steps, before = 0, None
    for n in range(1, 61):
        result = talk.shrink(messages[:n], max_tokens=900)
        assert result.tokens_after <= 900
        steps += any("prompt cache" in w for w in result.warnings)
        output = [m["content"] for m in result.output]
        if before is not None and not any(d.action == "compressed" for d in result.decisions):
            assert output[: len(before)] == before
        before = output
    assert 1 <= steps <= 8


@PROPERTY
@given(messages=HISTORIES, goal=GOALS, settings=SETTINGS)
def test_messages_may_be_given_as_they_came_out(messages: list[Any], goal: Any, settings: Any) -> None:
    conversation, other, n, mine = talk(**settings), talk(**settings), 0, list[Any]()
    for turn in turns(messages):
        n += len(turn)
        a, b = conversation.shrink([*mine, *turn], **goal), other.shrink(messages[:n], **goal)
        mine = a.output
        assert (a.output, a.tokens_before, a.warnings) == (b.output, b.tokens_before, b.warnings)


def test_an_edit_is_noticed() -> None:
    talk, messages = Conversation(shrinker()), chat(10)
    talk.shrink(messages, keep=0.4)
    edited = [
        *messages[:2],
        {"role": "user", "content": "Something else was said here, long ago and far away."},
        *messages[3:],
    ]
    result = talk.shrink(edited, keep=0.4)
    actions = [d.action for d in result.decisions]
    assert actions[:2] == ["frozen", "frozen"]
    assert "frozen" not in actions[2:]


def test_frozen_text_is_reported_against_its_original() -> None:
    talk, messages = Conversation(shrinker()), chat(10)
    first = talk.shrink(messages, keep=0.4)
    second = talk.shrink(messages, keep=0.4)
    assert second.output == first.output
    assert second.tokens_before == first.tokens_before
    assert second.tokens_after == first.tokens_after
    assert {d.action for d in second.decisions} == {"frozen", "locked"}


def test_observe_returns_the_input() -> None:
    talk, messages = Conversation(shrinker(mode="observe")), chat(10)
    for _ in range(2):
        result = talk.shrink(messages, keep=0.4)
        assert result.output == messages
        assert result.tokens_after < result.tokens_before


@pytest.mark.parametrize("headroom", [-0.1, 1.0])
def test_headroom_is_a_share(headroom: float) -> None:
    with pytest.raises(ConfigError, match="headroom"):
        Conversation(shrinker(), headroom=headroom)


def test_async_twins_agree_and_have_the_same_signature() -> None:
    for name in ("extend", "shrink"):
        twin, plain = getattr(Conversation, "a" + name), getattr(Conversation, name)
        assert inspect.signature(twin) == inspect.signature(plain)
        assert inspect.iscoroutinefunction(twin)

    async def both() -> list[Any]:
        conversation = talk()
        await conversation.aextend(agent(1), keep=0.3)
        return (await conversation.ashrink(agent(2), keep=0.3)).output

    conversation = talk()
    conversation.extend(agent(1), keep=0.3)
    assert asyncio.run(both()) == conversation.shrink(agent(2), keep=0.3).output
