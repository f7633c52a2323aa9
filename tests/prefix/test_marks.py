"""Callers who mark the newest message for the provider's cache at every turn, as providers' guides show."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given

from ctxshrink.messages.marks import count_marks, unmarked_form, without_marks
from ctxshrink.messages.validate import problems
from ctxshrink.prefix import Birth, Memo
from tests.prefix.material import GOALS, HISTORIES, LOG, SETTINGS, chat, lost_from, talk, turns
from tests.strategies import PROPERTY

MARK = {"cache_control": {"type": "ephemeral"}}


def marked(message: dict[str, Any]) -> dict[str, Any]:
    content = message["content"]
    if not content:
        return message
    blocks: list[Any] = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
    return {**message, "content": [*blocks[:-1], {**blocks[-1], **MARK}]}


def agent(calls: int) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Which worker finished job 8739?"}]
    for i in range(calls):
        call = {"type": "tool_use", "id": f"t{i}", "name": "read_log", "input": {"page": i}}
        thought = {"type": "thinking", "thinking": f"page {i}", "signature": "c2ln"}
        messages.append({"role": "assistant", "content": [thought, call]})
        result = {"type": "tool_result", "tool_use_id": f"t{i}", "content": f"page {i}\n{LOG}"}
        messages.append({"role": "user", "content": [result]})
    return messages


def forms(messages: list[Any]) -> list[Any]:
    return [unmarked_form(m) for m in messages]


def test_a_mark_that_moves_is_no_change() -> None:
    conversation, other, messages = talk(), talk(), agent(6)
    for n in range(1, len(messages) + 1, 2):
        request = [*messages[: n - 1], marked(messages[n - 1])]
        before = copy.deepcopy(request)
        result, plain = conversation.shrink(request, keep=0.3), other.shrink(messages[:n], keep=0.3)
        assert forms(result.output) == forms(plain.output)
        assert result.warnings == plain.warnings
        assert [count_marks(m) for m in result.output] == [0] * (n - 1) + [1]
        assert not problems(result.output, "anthropic")
        assert request == before
    assert result.kept_share < 0.5


@PROPERTY
@given(messages=HISTORIES, goal=GOALS, settings=SETTINGS)
def test_a_mark_on_the_newest_message_changes_nothing_else(messages: list[Any], goal: Any, settings: Any) -> None:
    if settings["provider"] is None:
        return
    conversation, other, n = talk(**settings), talk(**settings), 0
    for turn in turns(messages):
        n += len(turn)
        first = n == len(turn)  # What stands before a mark of the first call was cached by somebody else.
        newest = [] if not n else [messages[n - 1] if first else marked(messages[n - 1])]
        a, b = conversation.shrink([*messages[: n - 1], *newest], **goal), other.shrink(messages[:n], **goal)
        assert forms(a.output) == forms(b.output)
        assert lost_from(a) == lost_from(b)


def test_marks_move_where_messages_are_given_as_they_came_out() -> None:
    conversation, messages, mine = talk(), agent(6), list[Any]()
    for n in range(1, len(messages) + 1, 2):
        bare = [without_marks(m) for m in mine]
        result = conversation.shrink([*bare, *messages[len(mine) : n - 1], marked(messages[n - 1])], keep=0.3)
        assert forms(result.output[: len(mine)]) == forms(mine)
        mine = result.output
        assert [count_marks(m) for m in mine] == [0] * (n - 1) + [1]
    assert result.kept_share < 0.5


def test_added_messages_take_earlier_marks_off() -> None:
    conversation, messages = talk(), agent(8)
    messages[0] = marked(messages[0])
    result = conversation.extend(messages[:1])
    for n in range(1, len(messages), 2):
        result = conversation.extend([messages[n], marked(messages[n + 1])], keep=0.3)
        assert not problems(result.output, "anthropic")
    assert [i for i, m in enumerate(result.output) if count_marks(m)] == [0, len(messages) - 1]


def test_another_process_goes_on_where_the_newest_message_is_marked() -> None:
    memo, messages = Memo(), agent(4)
    for n in range(1, len(messages) + 1, 2):
        request = [*messages[: n - 1], marked(messages[n - 1])]
        result = talk(memo=memo, birth=Birth(keep=0.3)).shrink(request)
    assert result.kept_share < 0.5


def test_old_turns_are_rewritten_as_without_a_mark() -> None:
    messages, conversation, other = chat(240), talk(expected_turns=10_000), talk(expected_turns=10_000)
    for n in range(4, len(messages), 2):
        newest = messages[n - 1] if n == 4 else marked(messages[n - 1])
        result = conversation.shrink([*messages[: n - 1], newest], keep=0.3)
        assert forms(result.output) == forms(other.shrink(messages[:n], keep=0.3).output)
    assert conversation.epochs > 0


def test_without_a_provider_nobody_knows_what_rewriting_costs_before_a_mark() -> None:
    messages, conversation = chat(20), talk(provider=None)
    for n in range(4, len(messages), 2):
        result = conversation.shrink([*messages[: n - 1], marked(messages[n - 1])], keep=0.3)
    assert conversation.epochs == 0
    assert forms(result.output) == messages[: len(result.output)]
