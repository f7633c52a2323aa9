from __future__ import annotations

from typing import Any

from ctxshrink import Conversation
from tests.prefix.material import (
    chat,
    lost_from,
    shrinker,
    talk,
)


def test_old_turns_are_rewritten_when_it_pays_and_rarely() -> None:
    messages, sent = chat(240), list[Any]()
    conversation = talk(expected_turns=1000)
    for n in range(4, len(messages), 2):
        result = conversation.shrink(messages[:n], keep=0.3)
        lost = lost_from(result)
        assert result.output[:lost][: len(sent)] == sent[:lost]
        sent = result.output
    assert 1 <= conversation.epochs <= 12
    assert result.kept_share < 0.6


def test_nothing_is_rewritten_when_the_conversation_is_about_to_end() -> None:
    messages, conversation = chat(100), talk(expected_turns=8)
    first = conversation.shrink(messages[:4], keep=0.3)
    for n in range(6, len(messages), 2):
        result = conversation.shrink(messages[:n], keep=0.3)
    assert conversation.epochs == 0
    assert result.output[4:] == messages[4 : len(result.output)]
    assert result.output[:4] == first.output


def test_an_expired_cache_makes_rewriting_free() -> None:
    messages, conversation = chat(24), talk(expected_turns=1)
    for n in range(4, 22, 2):
        conversation.shrink(messages[:n], keep=0.3, idle=299)
    assert conversation.epochs == 0
    result = conversation.shrink(messages, keep=0.3, idle=301)
    assert conversation.epochs == 1
    assert any("expired" in w for w in result.warnings)
    assert result.kept_share < 0.6


def test_without_a_cache_each_turn_is_compressed_when_it_is_old() -> None:
    messages, conversation = chat(20), Conversation(shrinker(), provider=None)
    for n in range(2, 21, 2):
        result = conversation.shrink(messages[:n], keep=0.3)
        assert not result.warnings or n <= 2
    assert all(a["content"] != b["content"] for a, b in zip(result.output[:18], messages[:18], strict=True))


def test_where_nobody_knows_how_long_it_will_be_a_step_is_paid_from_savings() -> None:
    messages = chat(240)
    conversation = talk()
    for n in range(4, len(messages), 2):
        conversation.shrink(messages[:n], keep=0.3)
    assert conversation.epochs == 0  # plain talk: nothing was saved at birth that could pay for a step
    assert conversation.shrink(messages, keep=0.3).output[4:] == messages[4:]
