from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink.economics import Economics, Latency, Prices, bill
from ctxshrink.economics.decision import amount
from ctxshrink.economics.prices import Usage
from ctxshrink.errors import ConfigError
from ctxshrink.providers import RULES
from ctxshrink.testing import WordCounter
from ctxshrink.types import Call, Decision, Goal, Segment

PRICED = Prices(3.0, 15.0, 3.75, 0.3)
BOTH = Latency(5_000, 10_000)
CACHED = replace(RULES["anthropic"], min_prefix=100)


HALF = Goal(keep=0.5)


def call_of(tokens: Mapping[str, int], goal: Goal = HALF, kind: Any = "document") -> Call:
    segments = tuple(Segment(i, "w " * n, kind) for i, n in tokens.items())
    return Call(segments, dict(tokens), WordCounter(), goal)


def declined(economics: Economics, tokens: Mapping[str, int], shares: Mapping[str, int], **more: Any) -> dict[str, str]:
    call = call_of(tokens, **{k: v for k, v in more.items() if k != "of"})
    return economics.declined(call.segments, shares, call, of=more.get("of", "part"))


def test_without_costs_everything_that_saves_pays() -> None:
    assert declined(Economics(), {"a": 10, "b": 5, "c": 3}, {"a": 5, "b": 5}) == {}
    assert declined(Economics(model="gpt-5"), {"a": 10}, {"a": 9}) == {}


def test_a_saving_below_the_least_is_left_with_the_figure() -> None:
    why = declined(Economics(minimum_tokens=20), {"a": 30, "b": 100}, {"a": 15, "b": 50})
    assert list(why) == ["a"]
    assert "saves 15 tokens" in why["a"]
    assert "20" in why["a"]
    money = Economics(prices=PRICED, minimum_saving=0.0001)
    why = declined(money, {"a": 40, "b": 100}, {"a": 20, "b": 50})
    assert list(why) == ["a"]
    assert "0.000060 dollars" in why["a"]


def test_compressing_must_cost_less_than_it_saves_over_the_turns() -> None:
    # 1,000 tokens take 0.1 s: 0.001 to compress. Half of them is worth 0.0015 once.
    cheap = Economics(prices=PRICED, throughput=BOTH, compute_price=0.01)
    assert declined(cheap, {"a": 1000}, {"a": 500}) == {}
    dear = replace(cheap, compute_price=0.02)
    why = declined(dear, {"a": 1000}, {"a": 500})
    assert "saves 500 tokens (0.0015 dollars) and costs 0.0020 to compress" in why["a"]
    assert declined(replace(dear, turns=1), {"a": 1000}, {"a": 500}) == {}
    # With a cache later turns only read: two more are worth 500 x (3.75 + 2 x 0.3) in all.
    cached = replace(dear, turns=2, rules=CACHED)
    assert cached.worth(500) == pytest.approx(500 * 4.35 / 1e6)
    assert replace(dear, turns=2).worth(500) == pytest.approx(500 * 9.0 / 1e6)


def test_what_is_expected_to_fall_back_is_not_counted_as_saved() -> None:
    economics = Economics(prices=PRICED, throughput=BOTH, compute_price=0.014)
    assert declined(economics, {"a": 1000}, {"a": 500}) == {}
    assert list(declined(replace(economics, fallback_share=0.2), {"a": 1000}, {"a": 500})) == ["a"]


def test_time_matters_only_where_it_is_said_so() -> None:
    slow = Latency(20_000, 10_000)  # reading is faster than compressing
    tokens, shares = {"a": 1000, "b": 2000}, {"a": 100, "b": 1900}
    assert declined(Economics(throughput=slow), tokens, shares) == {}
    why = declined(Economics(throughput=slow, max_delay=0.0), tokens, shares)
    assert sorted(why) == ["a", "b"]
    assert "0.20 s" in why["b"]
    assert "0.0050 s" in why["b"]
    # b alone delays by 0.195 s, a by 0.055 s: the worst goes first, and one is enough for a bound of 0.1 s.
    assert list(declined(Economics(throughput=slow, max_delay=0.1), tokens, shares)) == ["b"]
    fast = Latency(1_000, 10_000)
    assert declined(Economics(throughput=fast, max_delay=0.0), tokens, {"a": 500, "b": 1000}) == {}


def test_a_request_is_not_shortened_below_what_the_provider_caches() -> None:
    economics = Economics(prices=PRICED, rules=CACHED, turns=10)
    tokens = {"a": 60, "b": 60, "c": 10}
    why = declined(economics, tokens, {"a": 30, "b": 30, "c": 5}, of="request")
    assert why  # 130 -> 65 would be paid plainly eleven times
    left = sum(n if i in why else n // 2 for i, n in tokens.items())
    assert left >= 100
    assert "anthropic caches" in next(iter(why.values()))
    assert declined(economics, tokens, {"a": 30, "b": 30, "c": 5}) == {}  # a part: what else is sent is not known
    assert declined(replace(economics, turns=None), tokens, {"a": 30, "b": 30, "c": 5}, of="request") == {}
    assert declined(replace(economics, prefix_tokens=100), tokens, {"a": 30, "b": 30, "c": 5}, of="request") == {}


@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=6),
    keep=st.floats(0, 1),
    prefix=st.integers(0, 150),
    turns=st.integers(0, 30),
    name=st.sampled_from(sorted(RULES)),
)
def test_a_request_that_is_repeated_never_costs_more_than_uncompressed(
    sizes: list[int], keep: float, prefix: int, turns: int, name: str
) -> None:
    rules = replace(RULES[name], min_prefix=100, step=None)
    economics = Economics(prices=Prices.of(rules, 3.0, 15.0), rules=rules, turns=turns, prefix_tokens=prefix)
    tokens = {str(i): n for i, n in enumerate(sizes)}
    shares = {i: math.floor(n * keep) for i, n in tokens.items()}
    why = declined(economics, tokens, shares, of="request")
    priced = economics.priced
    assert priced is not None

    def cost(total: int) -> float:
        if total < rules.min_prefix:
            return bill(Usage(uncached=total * (1 + turns)), priced)
        return bill(Usage(written=total, read=total * turns), priced)

    sent = prefix + sum(tokens[i] if i in why else shares[i] for i in tokens)
    assert cost(sent) <= cost(prefix + sum(sizes)) * (1 + 1e-9)


def test_a_history_that_the_provider_has_is_left_alone() -> None:
    economics = Economics(prices=PRICED, rules=CACHED)
    tokens, shares = {"a": 80, "b": 80}, {"a": 40}
    why = declined(economics, tokens, shares, of="history", kind="user")
    assert list(why) == ["a"]
    assert "Conversation" in why["a"]
    for free in (replace(economics, turns=0), replace(economics, rules=None)):
        assert declined(free, tokens, shares, of="history", kind="user") == {}


def test_a_bound_holds_whatever_it_costs() -> None:
    economics = Economics(minimum_tokens=1000, prices=PRICED, rules=CACHED)
    for goal in (Goal(max_tokens=50), Goal(keep=0.5, max_tokens=50), Goal(lossless=True)):
        assert declined(economics, {"a": 200}, {"a": 50}, goal=goal, of="history") == {}
        call = call_of({"a": 200}, goal)
        made = Decision(call.segments[0], "compressed", "", "w", 200, 50)
        assert economics.undone([made], call, of="request") == {}


def test_what_came_out_shorter_than_expected_is_undone() -> None:
    economics = Economics(prices=PRICED, rules=CACHED, turns=20, minimum_tokens=10)
    call = call_of({"a": 100, "b": 100, "c": 100})
    a, b, c = (Decision(s, "compressed", "", "w", 100, n) for s, n in zip(call.segments, (20, 30, 95), strict=True))
    why = economics.undone([a, b, c], call, of="request")
    assert list(why) == ["c"]
    assert "saves 5 tokens" in why["c"]
    call = call_of({"a": 100, "b": 100})
    assert list(economics.undone([a, b], call, of="request")) == ["b"]
    assert economics.undone([a, b], call) == {}
    whole = replace(a, action="fallback", tokens_after=100)
    assert economics.undone([whole], call, of="request") == {}


def test_the_models_own_row_says_how_it_caches() -> None:
    assert Economics(model="claude-haiku-4.5").cache is RULES["anthropic-4096"]
    assert Economics(model="claude-haiku-4.5", rules=None).cache is None
    assert Economics(prices=PRICED).cache is None
    assert Economics(prices=PRICED, rules="openai").cache is RULES["openai"]
    assert Economics(throughput=100.0).latency == Latency(100.0)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"model": "gpt-99"}, "prices=Prices"),
        ({"model": "gpt-5", "prices": PRICED}, "not both"),
        ({"prices": {"input": 3.0}}, "Prices"),
        ({"table": {}}, "name it with model"),
        ({"rules": "nobody"}, "anthropic"),
        ({"turns": -1}, "turns"),
        ({"turns": float("nan")}, "turns"),
        ({"throughput": 0}, "prefill_tokens_per_second"),
        ({"throughput": 100.0, "max_delay": 0.0}, "both throughputs"),
        ({"prices": PRICED, "compute_price": 1.0}, "both throughputs"),
        ({"compute_price": 1.0, "throughput": BOTH}, "money"),
        ({"minimum_saving": 1.0}, "money"),
        ({"minimum_tokens": -1}, "minimum_tokens"),
        ({"fallback_share": 1.0}, "fallback_share"),
        ({"prefix_tokens": 1.5}, "prefix_tokens"),
    ],
)
def test_wrong_settings_are_refused_when_they_are_made(settings: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        Economics(**settings)


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0, "0"), (0.00004, "0.00004"), (0.0000123, "0.000012"), (1234.5, "1,234.50"), (0.5, "0.50")]
)
def test_small_amounts_are_shown_without_an_exponent(value: float, shown: str) -> None:
    assert amount(value) in (shown, shown + "0")
