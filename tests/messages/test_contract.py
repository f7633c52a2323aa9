"""What every message format promises, one matrix."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink.messages import (
    AnthropicFormat,
    OpenAIFormat,
    Parsed,
    detect,
)
from ctxshrink.messages.locks import CACHED, INSTRUCTION, NEWEST_USER, PINNED, TOOL_CALL, UNKNOWN_ROLE
from tests.messages.cases import Case, every_format
from tests.strategies import PROPERTY


def shortened(parsed: Parsed) -> dict[str, str]:
    return {segment.id: f"<{segment.id}>" for segment in parsed.segments if not segment.locked}


def without_texts(value: Any, texts: set[str]) -> Any:
    """The structure with every segment's text blanked: what is left must not change."""
    if isinstance(value, dict):
        return {key: without_texts(child, texts) for key, child in value.items()}
    if isinstance(value, list):
        return [without_texts(child, texts) for child in value]
    return "TEXT" if isinstance(value, str) and value in texts else value


@every_format
@PROPERTY
@given(data=st.data())
def test_rebuild_without_changes_gives_the_input_and_shares_no_container(case: Case, data: st.DataObject) -> None:
    messages = data.draw(case.conversations())
    before = copy.deepcopy(messages)
    parsed = case.format.parse(messages)
    rebuilt = parsed.rebuild({segment.id: segment.text for segment in parsed.segments})
    assert rebuilt == before
    for message in rebuilt:
        for inner in [value for value in message.values() if isinstance(value, list)]:
            for block in inner:
                if isinstance(block, dict):
                    block.clear()
            inner.append("x")
        message.clear()
    assert messages == before


@every_format
@PROPERTY
@given(data=st.data())
def test_outputs_replace_exactly_the_unlocked_texts(case: Case, data: st.DataObject) -> None:
    messages = data.draw(case.conversations())
    before = copy.deepcopy(messages)
    parsed = case.format.parse(messages)
    outputs = shortened(parsed)
    rebuilt = parsed.rebuild(outputs)
    assert messages == before
    again = {segment.id: segment for segment in case.format.parse(rebuilt).segments}
    assert list(again) == [segment.id for segment in parsed.segments]
    for segment in parsed.segments:
        assert again[segment.id].text == outputs.get(segment.id, segment.text)
        assert replace(again[segment.id], text="", content_type="prose") == replace(
            segment, text="", content_type="prose"
        )
    texts = {segment.text for segment in parsed.segments} | set(outputs.values())
    assert without_texts(rebuilt, texts) == without_texts(before, texts)


@every_format
@PROPERTY
@given(data=st.data())
def test_one_output_changes_one_message(case: Case, data: st.DataObject) -> None:
    messages = data.draw(case.conversations())
    parsed = case.format.parse(messages)
    for segment_id, text in shortened(parsed).items():
        changed = [i for i, message in enumerate(parsed.rebuild({segment_id: text})) if message != messages[i]]
        assert changed == [parsed.index_of(segment_id)]


@every_format
@PROPERTY
@given(data=st.data())
def test_locked_texts_and_unknown_ids_are_out_of_reach(case: Case, data: st.DataObject) -> None:
    messages = data.draw(case.conversations())
    parsed = case.format.parse(messages, pin=range(len(messages)))
    assert all(segment.locked for segment in parsed.segments)
    assert parsed.rebuild({**{segment.id: "gone" for segment in parsed.segments}, "no such id": "gone"}) == messages


@every_format
@PROPERTY
@given(data=st.data())
def test_segments_are_stable_when_messages_are_appended(case: Case, data: st.DataObject) -> None:
    messages = data.draw(case.conversations())
    cut = data.draw(st.integers(0, len(messages)))

    def settled(parsed: Parsed) -> list[Any]:
        plain = [
            replace(segment, age=0, lock_reason=None, empty="…") if segment.lock_reason == NEWEST_USER else segment
            for segment in parsed.segments
            if parsed.index_of(segment.id) < cut
        ]
        return [replace(segment, age=0) for segment in plain]

    assert settled(case.format.parse(messages[:cut])) == settled(case.format.parse(messages))


@every_format
@PROPERTY
@given(data=st.data())
def test_ids_ages_and_fillers(case: Case, data: st.DataObject) -> None:
    parsed = case.format.parse(data.draw(case.conversations()))
    ids = [segment.id for segment in parsed.segments]
    assert len(set(ids)) == len(ids)
    assert [parsed.index_of(i) for i in ids] == sorted(parsed.index_of(i) for i in ids)
    for segment in parsed.segments:
        assert segment.text
        assert segment.age >= 0
        assert segment.empty == ("" if segment.locked else "…")
        assert segment.locked or segment.kind not in ("instruction", "tool_call")
        assert segment.id.split(".")[0] == str(parsed.index_of(segment.id))


@every_format
@PROPERTY
@given(data=st.data())
def test_generated_conversations_are_detected(case: Case, data: st.DataObject) -> None:
    assert detect(data.draw(case.conversations())).name == case.format.name


@every_format
@PROPERTY
@given(data=st.data())
def test_the_newest_user_text_is_locked_and_older_ones_are_not(case: Case, data: st.DataObject) -> None:
    messages = [*data.draw(case.conversations()), {"role": "user", "content": "old question"}]
    messages += [{"role": "assistant", "content": "answer"}, {"role": "user", "content": "new question"}]
    segments = case.format.parse(messages).segments
    assert [(s.text, s.age, s.lock_reason) for s in segments[-3:]] == [
        ("old question", 2, None),
        ("answer", 1, None),
        ("new question", 0, NEWEST_USER),
    ]
    assert NEWEST_USER not in {segment.lock_reason for segment in segments[:-1]}


@every_format
def test_roles(case: Case) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "narrator", "content": "Night falls."},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Go on"},
    ]
    assert [(s.kind, s.age, s.lock_reason) for s in case.format.parse(messages).segments] == [
        ("instruction", 3, INSTRUCTION),
        ("user", 2, None),
        ("instruction", 2, UNKNOWN_ROLE),
        ("assistant", 1, None),
        ("user", 0, NEWEST_USER),
    ]


@every_format
def test_cache_breakpoints_lock_everything_before_them(case: Case) -> None:
    part = {"type": "text", "text": "one", "cache_control": {"type": "ephemeral"}}
    messages = [
        {"role": "user", "content": "zero"},
        {"role": "assistant", "content": [part, {"type": "text", "text": "two"}]},
        {"role": "user", "content": "three"},
    ]
    parsed = case.format.parse(messages)
    assert [s.lock_reason for s in parsed.segments] == [CACHED, CACHED, None, NEWEST_USER]
    assert parsed.rebuild({"0": "x", "1.0": "x", "1.1": "x"})[1]["content"] == [part, {"type": "text", "text": "x"}]
    whole = [{**messages[0], "cache_control": {"type": "ephemeral"}}, *messages[2:]]
    assert [s.lock_reason for s in case.format.parse(whole).segments] == [CACHED, NEWEST_USER]
    off = [{"role": "user", "content": "zero", "cache_control": None}, *messages[2:]]
    assert [s.lock_reason for s in case.format.parse(off).segments] == [None, NEWEST_USER]


@every_format
@pytest.mark.parametrize(
    ("pin", "expected"),
    [
        ([0], {0}),
        ({-1}, {2}),
        ((0, -3), {0}),
        (range(3), {0, 1, 2}),
        (lambda message: message["role"] == "assistant", {1, 2}),
        ([], set()),
        (None, set()),
    ],
)
def test_pins(case: Case, pin: Any, expected: set[int]) -> None:
    messages = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "assistant", "content": [{"type": "text", "text": "c"}]},
    ]
    parsed = case.format.parse(messages, pin=pin)
    assert {parsed.index_of(s.id) for s in parsed.segments if s.lock_reason == PINNED} == expected


def test_tool_call_arguments_are_counted_but_never_replaced() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "pay", "arguments": json.dumps({"sum": 3})}}
    openai = OpenAIFormat().parse([{"role": "assistant", "content": None, "tool_calls": [call]}])
    use = {"type": "tool_use", "id": "c", "name": "pay", "input": {"sum": 3}}
    anthropic = AnthropicFormat().parse([{"role": "assistant", "content": [use]}])
    for parsed in (openai, anthropic):
        (segment,) = parsed.segments
        assert (segment.kind, segment.text, segment.lock_reason) == ("tool_call", 'pay {"sum": 3}', TOOL_CALL)
        assert parsed.rebuild({segment.id: "x"}) == list(parsed.items)


@every_format
def test_a_blank_user_message_is_no_turn(case: Case) -> None:
    messages = [{"role": "user", "content": "Which?"}, {"role": "user", "content": " \n"}]
    segments = case.format.parse(messages).segments
    assert [(s.age, s.lock_reason) for s in segments] == [(0, NEWEST_USER), (0, None)]
