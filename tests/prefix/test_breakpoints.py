from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink import ConfigError
from ctxshrink.prefix import place_breakpoints
from tests.prefix.material import (
    HISTORIES,
    RULES_OF_FOUR,
    agent,
)
from tests.strategies import PROPERTY


def marks(messages: list[Any]) -> list[int]:
    return [
        i
        for i, m in enumerate(messages)
        for p in [m, *([*m["content"]] if isinstance(m["content"], list) else [])]
        if isinstance(p, dict) and "cache_control" in p
    ]


def test_breakpoints_stand_at_the_newest_message_the_frozen_part_and_the_instructions() -> None:
    messages = agent(5)
    placed = place_breakpoints(messages, RULES_OF_FOUR)
    assert marks(placed) == [0, 9, 11]
    assert marks(place_breakpoints(messages, RULES_OF_FOUR, frozen=4)) == [0, 3, 11]
    assert marks(place_breakpoints(messages, RULES_OF_FOUR, used=3)) == [11]
    assert marks(place_breakpoints(messages, "openai")) == []
    plain = [{**m, "content": m["content"][0]["text"]} if isinstance(m["content"], list) else m for m in placed]
    assert plain == messages


def test_a_prefix_that_is_too_short_gets_no_breakpoint() -> None:
    messages = agent(5)
    assert marks(place_breakpoints(messages, replace(RULES_OF_FOUR, min_prefix=2000))) == [9, 11]
    assert marks(place_breakpoints(messages, replace(RULES_OF_FOUR, min_prefix=2000), prefix_tokens=2000)) == [0, 9, 11]


@PROPERTY
@given(messages=HISTORIES, own=st.lists(st.integers(0, 30), max_size=6), used=st.integers(0, 5))
def test_never_more_breakpoints_than_allowed_and_the_callers_stay(
    messages: list[Any], own: list[int], used: int
) -> None:
    for i in own:
        if messages:
            messages[i % len(messages)] |= {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    before = copy.deepcopy(messages)
    placed = place_breakpoints(messages, RULES_OF_FOUR, used=used)
    assert messages == before
    kept = marks(before)
    assert set(kept) <= set(marks(placed))
    assert len(marks(placed)) <= max(len(kept), 4 - used)
    assert place_breakpoints(messages, RULES_OF_FOUR, used=4) == messages


def test_bad_places_are_refused() -> None:
    with pytest.raises(ConfigError, match="frozen"):
        place_breakpoints(agent(1), frozen=99)
    with pytest.raises(ConfigError, match="used"):
        place_breakpoints(agent(1), used=-1)
