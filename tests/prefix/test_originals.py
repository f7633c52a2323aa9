"""References to originals, and originals that a model asked for, in a conversation with a store."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from ctxshrink import Conversation
from ctxshrink.expand import TOOL_NAME, Expander, find_references
from ctxshrink.prefix import Birth, Memo
from ctxshrink.store import Store
from tests.prefix.material import GOALS, HISTORIES, LOG, RULES_FREE_OF_MINIMUM, SETTINGS, agent, shrinker, turns
from tests.strategies import PROPERTY


def talk(store: Store, **settings: Any) -> Conversation:
    return Conversation(shrinker(store=store), **{"provider": RULES_FREE_OF_MINIMUM, **settings})


def references(messages: list[Any]) -> list[str]:
    return find_references(json.dumps(messages))


def asked(shape: str, call_id: str, answer: str) -> list[dict[str, Any]]:
    """A call of the expand tool and its answer."""
    if shape == "openai":
        call = {"id": call_id, "type": "function", "function": {"name": TOOL_NAME, "arguments": "{}"}}
        return [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call_id, "content": answer},
        ]
    if shape == "anthropic":
        call = {"type": "tool_use", "id": call_id, "name": TOOL_NAME, "input": {}}
        result = {"type": "tool_result", "tool_use_id": call_id, "content": answer}
        return [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    return [
        {"type": "function_call", "call_id": call_id, "name": TOOL_NAME, "arguments": "{}"},
        {"type": "function_call_output", "call_id": call_id, "output": answer},
    ]


@pytest.mark.parametrize("shape", ["openai", "anthropic", "responses"])
def test_what_the_model_asked_for_is_not_shortened_again(shape: str) -> None:
    question = {"role": "user", "content": "Which worker finished job 8739?"}
    asking = asked(shape, "e", LOG)
    conversation = talk(Store.memory(), birth=Birth(keep=0.3))
    messages = [question, *asking]
    for _ in range(6):
        result = conversation.shrink(messages, keep=0.3)
        assert result.output[1:3] == asking
        messages = [*messages, {"role": "assistant", "content": "I look again."}, question]
    forced = talk(Store.memory()).shrink(messages, max_tokens=200)
    assert forced.tokens_after <= 200


@PROPERTY
@given(messages=HISTORIES, goal=GOALS, settings=SETTINGS)
def test_no_reference_dangles(messages: list[Any], goal: Any, settings: Any) -> None:
    with Store.memory() as store:
        conversation, expander = talk(store, memo=store, **settings), Expander(store)
        for turn in [*turns(messages), agent(2)]:
            output = conversation.extend(turn, **goal).output
            for id in references(output):
                assert store.load(id) is not None
                assert "no original" not in expander.expand(id)


@pytest.mark.parametrize("again", [False, True])
def test_what_is_recalled_has_its_original_stored_again(again: bool) -> None:
    memo, messages = Memo(), agent(2)
    with Store.memory() as lost, Store.memory() as store:
        sent = talk(lost, memo=memo, birth=Birth(keep=0.3)).shrink(messages).output
        assert references(sent)
        # The same conversation after a restart; or the same results in another one.
        other = messages if again else [messages[0], {"role": "assistant", "content": "Hello."}, *messages[1:]]
        output = talk(store, memo=memo, birth=Birth(keep=0.3)).shrink(other).output
        assert references(output) == references(sent)
        assert all(store.load(id) is not None for id in references(output))


def test_where_the_store_fails_nothing_new_is_referred_to() -> None:
    memo, messages = Memo(), agent(2)
    store = Store.memory()
    talk(store, memo=memo, birth=Birth(keep=0.3)).shrink(messages)
    store.close()
    other = [messages[0], {"role": "assistant", "content": "Hello."}, *messages[1:]]
    result = talk(store, memo=memo, birth=Birth(keep=0.3)).shrink(other)
    assert not references(result.output)
    assert any("the store failed" in w for w in result.warnings)


def test_an_expired_original_is_said_to_be_gone() -> None:
    with Store.memory(ttl=1e-6) as store:
        [id] = references(talk(store, birth=Birth(keep=0.3)).shrink(agent(1)).output)
        answer = Expander(store).expand(id)
    assert "its time has run out" in answer
    assert "get the text again" in answer
