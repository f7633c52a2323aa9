from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ctxshrink.economics import Usage
from ctxshrink.economics.simulated import SimulatedCache, leading, render
from ctxshrink.providers import RULES
from ctxshrink.testing import WordCounter

MARKED = replace(RULES["anthropic"], min_prefix=20)
STEPPED = replace(RULES["openai"], min_prefix=20, step=8)


def talk(turns: int) -> list[dict[str, Any]]:
    said = " ".join(f"w{i}" for i in range(10))
    roles = ["system", *(["user", "assistant"] * turns)]
    return [{"role": role, "content": f"{said} {i}"} for i, role in enumerate(roles)]


@pytest.mark.parametrize("rules", [MARKED, STEPPED])
def test_what_comes_before_the_messages_is_billed_and_cached_with_them(rules: Any) -> None:
    plain, with_tools = SimulatedCache(rules, WordCounter()), SimulatedCache(rules, WordCounter(), prefix_tokens=400)
    for n in (2, 4, 6):
        a, b = plain.request(talk(3)[:n]), with_tools.request(talk(3)[:n])
        assert b.input == a.input + 400
    assert b.read >= a.read + 392


def test_rendered_messages_are_the_same_request() -> None:
    one, other = SimulatedCache(MARKED, WordCounter()), SimulatedCache(MARKED, WordCounter())
    for n in (2, 4):
        messages = talk(2)[:n]
        assert one.request(messages) == other.send([render(m) for m in messages], leading(messages))


def test_a_request_that_another_one_begins_with_still_serves_a_branch() -> None:
    cache, messages = SimulatedCache(STEPPED, WordCounter()), talk(4)
    cache.request(messages[:3])
    cache.request(messages)
    branch = [*messages[:3], {"role": "user", "content": "other"}]
    shared = sum(WordCounter().count([render(m) for m in messages[:3]]))
    assert cache.request(branch).read >= shared - 8


def test_items_without_a_role_are_no_instructions() -> None:
    assert leading([{"role": "system"}, {"type": "function_call"}, {"role": "system"}]) == 1
    assert leading([]) == 0
    assert SimulatedCache(MARKED, WordCounter()).request([]) == Usage()


def test_a_conversation_that_goes_back_or_changes_reads_what_it_has_in_common() -> None:
    cache, messages = SimulatedCache(MARKED, WordCounter()), talk(4)
    sizes = WordCounter().count([render(m) for m in messages])
    assert cache.request(messages[:3]).read == 0
    assert cache.request([messages[0], {"role": "user", "content": "another"}, *messages[2:]]).read == sizes[0]
    assert cache.request(messages).read == sum(sizes[:3])
    assert cache.request(messages[:5]).read == sum(sizes[:3])
