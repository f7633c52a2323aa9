"""A conversation that is fed turn by turn: the same segments as one parse of the whole, and each message read once."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink.errors import ConfigError, FormatError
from ctxshrink.messages import GrowingFormat, OpenAIFormat, detect
from ctxshrink.messages.builder import Builder
from ctxshrink.messages.locks import CACHED, NEWEST_USER, PINNED
from ctxshrink.messages.parsed import Place, read
from tests.messages.cases import Case, every_format
from tests.strategies import PROPERTY

CACHE = {"type": "ephemeral"}


def fed(case: Case, messages: list[Any], data: st.DataObject, pin: Any = None) -> tuple[Builder, list[int]]:
    """The builder, and the positions that its feeds returned."""
    assert isinstance(case.format, GrowingFormat)
    builder, positions, at = case.format.grow(pin), list[int](), 0
    while at < len(messages):
        step = data.draw(st.integers(1, 3))
        positions += builder.feed(messages[at : at + step])
        at += step
    return builder, positions


@every_format
@PROPERTY
@given(data=st.data())
def test_feeding_in_pieces_gives_what_one_parse_gives(case: Case, data: st.DataObject) -> None:
    messages = data.draw(case.conversations())
    before = copy.deepcopy(messages)
    pin = data.draw(st.sampled_from([None, [0], [-1], lambda message: read(message, "role") == "assistant"]))
    builder, positions = fed(case, messages, data, pin if messages else None)
    whole = case.format.parse(messages, pin=pin if messages else None)
    assert builder.build() == whole
    assert positions == list(range(len(whole.segments)))
    assert messages == before


@every_format
@PROPERTY
@given(data=st.data())
def test_positions_by_message_and_by_turn(case: Case, data: st.DataObject) -> None:
    messages = data.draw(case.conversations())
    builder, _ = fed(case, messages, data)
    segments = builder.segments()
    whole = builder.build()
    for index in range(len(messages)):
        assert [whole.index_of(s.id) for s in builder.segments(builder.of_message(index))] == [index] * len(
            builder.of_message(index)
        )
    assert sum(len(builder.of_message(i)) for i in range(len(messages))) == len(builder) == len(segments)
    by_age = {p: builder.turns - turn for turn in range(builder.turns + 1) for p in builder.of_turn(turn)}
    assert by_age == {p: segment.age for p, segment in enumerate(segments)}


@every_format
@PROPERTY
@given(data=st.data())
def test_one_message_is_rebuilt_like_the_whole(case: Case, data: st.DataObject) -> None:
    messages = data.draw(case.conversations())
    before = copy.deepcopy(messages)
    builder, _ = fed(case, messages, data)
    parsed = case.format.parse(messages)
    outputs = {segment.id: f"<{segment.id}>" for segment in parsed.segments if not segment.locked}
    assert [builder.rebuild(i, outputs) for i in range(len(messages))] == parsed.rebuild(outputs)
    assert messages == before


def test_each_text_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def spy(text: str) -> str:
        seen.append(text)
        return "prose"

    monkeypatch.setattr("ctxshrink.messages.builder.content_type", spy)
    builder = OpenAIFormat().grow()
    for turn in range(5):
        builder.feed([{"role": "user", "content": f"q{turn}"}, {"role": "assistant", "content": f"a{turn}"}])
        builder.build()
    assert seen == [f"{who}{turn}" for turn in range(5) for who in "qa"]


def test_what_later_messages_change() -> None:
    builder = OpenAIFormat().grow(pin=[2])
    builder.feed([{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}])
    with pytest.raises(ConfigError, match="index 2"):
        builder.segments()
    first = builder.newest_user
    new = builder.feed([{"role": "user", "content": "three", "cache_control": CACHE}, {"role": "user", "content": "4"}])
    assert (first, builder.newest_user, builder.turns, builder.cached) == (0, 3, 4, 3)
    assert list(new) == [2, 3]
    assert [(s.age, s.lock_reason) for s in builder.segments()] == [
        (3, CACHED),
        (2, CACHED),
        (1, PINNED),
        (0, NEWEST_USER),
    ]
    # What was sent before the breakpoint was placed is sent again; pins hold.
    assert builder.rebuild(0, {"0": "x"}) == {"role": "user", "content": "x"}
    assert builder.rebuild(2, {"2": "x"}) == builder.items[2]


def test_those_that_leave_a_window() -> None:
    builder, window, aged = OpenAIFormat().grow(), 3, list[str]()
    for turn in range(6):
        before = builder.turns
        builder.feed([{"role": "user", "content": f"q{turn}"}, {"role": "assistant", "content": f"a{turn}"}])
        for old in range(before - window + 1, builder.turns - window + 1):
            aged += [s.text for s in builder.segments(builder.of_turn(old))]
        assert aged == [s.text for s in builder.segments() if s.age >= window]


@every_format
def test_a_bad_feed_changes_nothing(case: Case) -> None:
    assert isinstance(case.format, GrowingFormat)
    builder = case.format.grow()
    builder.feed([{"role": "user", "content": "one"}])
    with pytest.raises(FormatError, match="message 2 must be a dict"):
        builder.feed([{"role": "assistant", "content": "two"}, "three"])
    with pytest.raises(FormatError, match="got str: use shrink_text"):
        builder.feed("two")
    builder.feed([{"role": "assistant", "content": "two"}])
    assert [s.text for s in builder.build().segments] == ["one", "two"]


def test_a_format_can_read_a_view_of_foreign_messages() -> None:
    """As a framework's message classes do: the segments' texts are found in the caller's own objects."""
    from ctxshrink.messages.anthropic import walk

    def view(message: dict[str, Any]) -> dict[str, Any]:
        return {"role": "assistant", "content": [{"type": "text", "text": message["said"]}]}

    builder = Builder(walk, view=view, place=lambda place, message: Place(place.index, ("said",)))
    messages = [{"said": "Long."}, {"said": "Longer."}]
    builder.feed(messages)
    assert [s.text for s in builder.segments()] == ["Long.", "Longer."]
    assert builder.build().rebuild({"1.0": "…"}) == [{"said": "Long."}, {"said": "…"}]
    assert builder.rebuild(1, {"1.0": "…"}) == {"said": "…"}


@every_format
@PROPERTY
@given(data=st.data())
def test_the_format_is_recognised_from_the_new_messages_alone(case: Case, data: st.DataObject) -> None:
    """As far as it is: plain ones go on in the known format, and a mark of another one makes it that."""
    messages = data.draw(case.conversations())
    cut = data.draw(st.integers(0, len(messages)))
    known = detect(messages[:cut])
    assert detect(messages[cut:], known).name == case.format.name


def test_what_nobody_recognises_goes_on_in_the_known_format() -> None:
    responses = detect([{"type": "item_reference", "id": "m"}])
    assert detect([{"type": "hologram"}], responses) is responses
    assert detect([], responses) is responses
