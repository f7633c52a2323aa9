"""Conversations and settings that these tests share."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from ctxshrink import Adaptive, Conversation, Shrinker
from ctxshrink.prefix import Birth
from ctxshrink.providers import CacheRules
from ctxshrink.result import ShrinkResult
from ctxshrink.testing import WordCounter
from tests.strategies import anthropic_conversations, openai_conversations


def shrinker(**settings: Any) -> Shrinker:
    policy = Adaptive(recent_turns=2)
    return Shrinker(policy=policy, guardrail=None, counter=WordCounter(), **settings)


def chat(turns: int, size: int = 30) -> list[dict[str, Any]]:
    text = " ".join(f"Sentence number {i} is about topic {i * 7}." for i in range(size // 6))
    roles = ("user", "assistant")
    return [{"role": roles[i % 2], "content": f"Turn {i}. {text}"} for i in range(turns)]


LOG = "\n".join(
    f"2026-05-04T10:{i % 60:02d}:07Z INFO worker-{i % 7} finished job {i * 971} in {i % 13} ms" for i in range(90)
)


RULES_FREE_OF_MINIMUM = CacheRules("own", "all", 0, 1.25, 0.1, 300)


RULES_OF_FOUR = replace(RULES_FREE_OF_MINIMUM, max_breakpoints=4, automatic=False)


def agent(calls: int, result: str = LOG) -> list[dict[str, Any]]:
    """An agent's history that ends with a tool result."""
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Answer from the logs."},
        {"role": "user", "content": "Which worker finished job 8739, and when?"},
    ]
    for i in range(calls):
        call = {"id": f"c{i}", "type": "function", "function": {"name": "read_log", "arguments": f'{{"page": {i}}}'}}
        messages.append({"role": "assistant", "content": f"I read page {i}.", "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": f"c{i}", "content": f"page {i}\n{result}"})
    return messages


def talk(**settings: Any) -> Conversation:
    return Conversation(shrinker(), **{"provider": RULES_FREE_OF_MINIMUM, **settings})


def lost_from(result: ShrinkResult[list[Any]]) -> int | None:
    """First message whose bytes the result announces as changed."""
    found = [int(m[1]) for w in result.warnings if (m := re.search(r"lost from message (\d+) on", w))]
    return min(found, default=None)


GOALS = st.sampled_from([{"keep": 0.3}, {"max_tokens": 60}, {"keep": 0.5, "max_tokens": 120}, {}])


SETTINGS = st.fixed_dictionaries(
    {
        "provider": st.sampled_from(["anthropic", None, RULES_FREE_OF_MINIMUM]),
        "birth": st.sampled_from([None, Birth(keep=0.3, min_tokens=3, lossy_tokens=3, failure_tokens=0)]),
    }
)


HISTORIES = st.one_of(openai_conversations(), anthropic_conversations())


def turns(messages: list[Any]) -> list[list[Any]]:
    """What each request adds: up to and without the next answer."""
    cuts = [i for i, m in enumerate(messages) if m["role"] == "assistant"] + [len(messages)]
    return [messages[a:b] for a, b in zip([0, *cuts], cuts, strict=False) if a < b]
