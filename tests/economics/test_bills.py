"""Simulated bills: with economics, no conversation costs more than without compression."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctxshrink import Conversation, Shrinker
from ctxshrink.economics import Economics, Prices, Usage, bill
from ctxshrink.economics.simulated import SimulatedCache
from ctxshrink.prefix import Birth
from ctxshrink.providers import RULES, CacheRules
from ctxshrink.testing import WordCounter

Messages = list[dict[str, Any]]
COUNTER = WordCounter()
SCALED = {name: replace(rules, min_prefix=120, step=None if rules.step is None else 8) for name, rules in RULES.items()}
"""The providers' rules at a scale at which short conversations cross the smallest prefix."""


def text(words: int, seed: int) -> str:
    return " ".join(f"item{seed}x{i}" + ("." if i % 7 == 6 else "") for i in range(words)) or "yes."


@st.composite
def talks(draw: st.DrawFn) -> Messages:
    """Conversations with tool results of all sizes, long and short turns, and sometimes instructions."""
    sizes = st.sampled_from([0, 3, 10, 25, 60, 150])
    messages: Messages = []
    if draw(st.booleans()):
        messages.append({"role": "system", "content": text(draw(sizes), 0)})
    for turn in range(draw(st.integers(1, 8))):
        messages.append({"role": "user", "content": text(draw(sizes), 10 * turn)})
        for k in range(draw(st.integers(0, 2))):
            call = {"id": f"c{turn}{k}", "type": "function", "function": {"name": "read", "arguments": "{}"}}
            messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
            messages.append(
                {"role": "tool", "tool_call_id": f"c{turn}{k}", "content": text(draw(sizes), 10 * turn + k)}
            )
        messages.append({"role": "assistant", "content": text(draw(sizes), 10 * turn + 5)})
    return messages


def cost(messages: Messages, rules: CacheRules, view: Callable[[Messages], Sequence[dict[str, Any]]]) -> float:
    cache, usage = SimulatedCache(rules, COUNTER), Usage()
    for end in [i for i, m in enumerate(messages) if i and m["role"] == "assistant"]:
        usage += cache.request(view(messages[:end]))
    return bill(usage, Prices.of(rules, 3.0, 15.0))


def shrinker(rules: CacheRules) -> Shrinker:
    economics = Economics(prices=Prices.of(rules, 3.0, 15.0), rules=rules)
    return Shrinker(compressors=["lead"], guardrail=None, counter=COUNTER, economics=economics)


@pytest.mark.parametrize("name", SCALED)
@given(messages=talks(), keep=st.sampled_from([0.1, 0.5, 0.8]))
@settings(max_examples=10, suppress_health_check=list(HealthCheck))
def test_a_conversation_never_costs_more_than_uncompressed(name: str, messages: Messages, keep: float) -> None:
    rules = SCALED[name]
    talk = Conversation(shrinker(rules), provider=rules, birth=Birth(min_tokens=5, lossy_tokens=30))
    with_it = cost(messages, rules, lambda so_far: talk.shrink(so_far, keep=keep).output)
    assert with_it <= cost(messages, rules, lambda so_far: so_far) * (1 + 1e-9)


def test_early_turns_are_not_rewritten_on_credit() -> None:
    # Without economics this one costs 2 % more: the rewritten text stands so early that nothing before it is cached.
    rules, yes = SCALED["openai-gpt-4.1"], {"role": "assistant", "content": "yes."}
    calls = [{"id": "c", "type": "function", "function": {"name": "read", "arguments": "{}"}}]
    read = {"role": "assistant", "content": None, "tool_calls": calls}
    messages: Messages = [{"role": "user", "content": text(150, 0)}]
    for words in (0, 150):
        messages += [read, {"role": "tool", "tool_call_id": "c", "content": text(words, 1)}]
    messages += [yes, *[m for _ in range(6) for m in ({"role": "user", "content": "yes."}, yes)]]
    shares: list[float] = []
    for made in (Shrinker(compressors=["lead"], guardrail=None, counter=COUNTER), shrinker(rules)):
        talk = Conversation(made, provider=rules, birth=Birth(min_tokens=5, lossy_tokens=30))
        with_it = cost(messages, rules, lambda so_far, talk=talk: talk.shrink(so_far, keep=0.5).output)
        shares.append(with_it / cost(messages, rules, lambda so_far: so_far))
    assert shares[0] > 1.01
    assert shares[1] < 1


@pytest.mark.parametrize("name", SCALED)
@given(messages=talks(), keep=st.sampled_from([0.1, 0.5, 0.8]))
@settings(max_examples=10, suppress_health_check=list(HealthCheck))
def test_messages_that_nobody_remembers_never_cost_more_than_uncompressed(
    name: str, messages: Messages, keep: float
) -> None:
    rules = SCALED[name]
    made = shrinker(rules)
    with_it = cost(messages, rules, lambda so_far: made.shrink_messages(so_far, keep=keep).output)
    assert with_it <= cost(messages, rules, lambda so_far: so_far) * (1 + 1e-9)
