"""Marks of a cached prefix, which are no part of what a message says."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ctxshrink.messages.marks import count_marks, unmarked_form, without_marks

MARK = {"cache_control": {"type": "ephemeral"}}
RESULT: dict[str, Any] = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "found"}]}


def test_marks_are_found_and_taken_off_wherever_they_may_stand() -> None:
    inner = {"type": "text", "text": "found", **MARK}
    message = {"role": "user", "content": [{**RESULT, "content": [inner], **MARK}], **MARK}
    given = copy.deepcopy(message)
    assert count_marks(message) == 3
    assert without_marks(message) == {"role": "user", "content": [RESULT]}
    assert message == given
    item = {"type": "function_call_output", "output": [{"type": "input_text", "prompt_cache_breakpoint": {}}]}
    assert count_marks(item) == 1
    assert count_marks(without_marks(item)) == 0


@pytest.mark.parametrize("kind", ["text", "input_text"])
def test_one_marked_block_of_text_is_the_same_as_the_text(kind: str) -> None:
    block = {"type": kind, "text": "hello", **MARK}
    assert unmarked_form({"role": "user", "content": [block]}) == {"role": "user", "content": "hello"}


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "user", "content": [{"type": "text", "text": "a", "citations": []}]},
        {"role": "user", "content": [RESULT]},
        {"role": "assistant", "content": None},
        "no message",
        None,
    ],
)
def test_other_messages_are_their_own_form(message: Any) -> None:
    assert unmarked_form(message) == message
