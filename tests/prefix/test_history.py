from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink import ConfigError
from ctxshrink.prefix import Birth
from tests.prefix.material import (
    GOALS,
    HISTORIES,
    LOG,
    SETTINGS,
    agent,
    chat,
    lost_from,
    talk,
    turns,
)
from tests.strategies import PROPERTY


@PROPERTY
@given(messages=HISTORIES, goal=GOALS, settings=SETTINGS)
def test_extending_equals_shrinking_the_whole(messages: list[Any], goal: Any, settings: Any) -> None:
    one, other, n = talk(**settings), talk(**settings), 0
    for turn in turns(messages):
        n += len(turn)
        a, b = one.extend(turn, **goal), other.shrink(messages[:n], **goal)
        assert (a.output, a.tokens_before, a.tokens_after, a.warnings) == (
            b.output,
            b.tokens_before,
            b.tokens_after,
            b.warnings,
        )
        texts = {d.segment.id: d.text for d in b.decisions}
        assert all(texts[d.segment.id] == d.text for d in a.decisions)
        assert sum(d.tokens_after for d in b.decisions) == b.tokens_after


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["append", "append", "edit", "pin", "roll back"]), st.integers(0, 99)), max_size=8
)


@PROPERTY
@given(first=HISTORIES, more=HISTORIES, actions=ACTIONS, goal=GOALS, settings=SETTINGS)
def test_sent_bytes_change_only_where_it_is_announced(
    first: list[Any], more: list[Any], actions: list[tuple[str, int]], goal: Any, settings: Any
) -> None:
    conversation, messages, pin = talk(**settings), list(first), set[int]()
    sent = conversation.shrink(messages, **goal).output
    for action, number in actions:
        if action == "append" and more:
            messages = [*messages, *more[number % len(more) :]]
        elif action == "edit" and messages:
            at = number % len(messages)
            messages = [*messages[:at], {"role": "user", "content": f"Edited, edition {number}."}, *messages[at + 1 :]]
        elif action == "pin" and messages:
            pin.add(number % len(messages))
        elif action == "roll back":
            messages = messages[: max(0, len(messages) - number % 3)]
        pin = {i for i in pin if i < len(messages)}
        given_before = copy.deepcopy(messages)
        result = conversation.shrink(messages, pin=pin, **goal)
        assert messages == given_before
        lost = lost_from(result)
        if settings["provider"] is not None:  # Without a cache there is nothing to lose, and nothing to announce.
            assert result.output[:lost][: len(sent)] == sent[:lost][: len(messages)]
        assert all(result.output[i] == messages[i] for i in pin)
        assert result.tokens_after <= result.tokens_before
        sent = copy.deepcopy(result.output)
        for message in result.output:  # What the caller does with the output stays with the caller.
            message["content"] = "gone"


def test_a_format_that_shows_late_is_read_anew() -> None:
    plain = chat(6)
    use = {"type": "tool_use", "id": "t", "name": "read_log", "input": {}}
    late = [
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": LOG}]},
    ]
    conversation = talk(birth=Birth(keep=0.3))
    first = conversation.extend(plain, keep=0.4)
    second = conversation.extend(late, keep=0.4)
    assert second.output[:6] == first.output
    assert len(second.output[7]["content"][0]["content"]) < len(LOG)


@pytest.mark.parametrize("bad", [{"idle": -1.0}, {"query": 3}, {"keep": 0}, {"max_tokens": -1}])
def test_bad_arguments_change_nothing(bad: dict[str, Any]) -> None:
    conversation, messages = talk(), chat(8)
    with pytest.raises(ConfigError):
        conversation.shrink(messages, **bad)
    assert conversation.shrink(messages, keep=0.4).output == talk().shrink(messages, keep=0.4).output


@pytest.mark.parametrize("bad", [{"provider": "nobody"}, {"prefix_tokens": -1}, {"expected_turns": 0}])
def test_bad_settings_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        talk(**bad)
    with pytest.raises(ConfigError):
        Birth(keep=0.0)
    with pytest.raises(ConfigError):
        Birth(min_tokens=-1)


def test_after_an_error_the_same_messages_are_still_new() -> None:
    messages, birth = agent(3), Birth(keep=0.3)
    conversation, other = talk(birth=birth), talk(birth=birth)
    conversation.shrink(messages[:4])
    other.shrink(messages[:4])
    with pytest.raises(ConfigError, match="pin"):
        conversation.shrink(messages, pin=[99])
    assert conversation.shrink(messages).output == other.shrink(messages).output
