from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink.economics import PRICES, Prices, Usage, bill, break_even_turns
from ctxshrink.errors import ConfigError
from ctxshrink.providers import RULES, CacheRules


def test_the_two_figures_of_the_design() -> None:
    assert math.ceil(break_even_turns(1000, 0.5, 0)) == 12
    assert math.ceil(break_even_turns(1000, 0.5, 1000)) == 35


def test_nothing_to_save_never_pays_and_free_writing_always_does() -> None:
    free = replace(RULES["anthropic"], write=0.1)
    assert break_even_turns(0, 0.5) == math.inf
    assert break_even_turns(1000, 1.0) == math.inf
    assert break_even_turns(1000, 0.5, 9000, free) == 0
    assert break_even_turns(1000, 0.5, 0, CacheRules("own", "all", 0, 1.0, 0.0, 60)) == math.inf
    with pytest.raises(ConfigError, match="keep"):
        break_even_turns(1000, 0.0)


@given(
    tokens=st.integers(1, 10**6),
    keep=st.floats(0.05, 0.95),
    after=st.integers(0, 10**6),
    name=st.sampled_from(sorted(RULES)),
)
def test_after_the_break_even_the_bill_is_lower_and_before_it_higher(
    tokens: int, keep: float, after: int, name: str
) -> None:
    rules = RULES[name]
    turns = break_even_turns(tokens, keep, after, rules)

    def gain(n: float) -> float:
        old = n * rules.read * (tokens + after) + rules.read * (tokens + after)
        new = n * rules.read * (keep * tokens + after) + rules.write * (keep * tokens + after)
        return old - new

    # The rewriting request itself saves reading what was dropped: one turn of the saving is in the constant part.
    assert gain(turns + 0.01 + turns * 1e-9) > 0
    assert gain(turns - 1.01 - turns * 1e-9) < 1e-6 * (tokens + after)


def test_a_bill_adds_up() -> None:
    prices = Prices(3.0, 15.0, 3.75, 0.3)
    usage = Usage(1_000_000, 2_000_000, 10_000_000, 100_000)
    assert bill(usage, prices) == pytest.approx(3 + 7.5 + 3 + 1.5)
    assert bill(usage + usage, prices) == pytest.approx(2 * bill(usage, prices))
    assert usage.input == 13_000_000


def test_prices_from_rules_and_the_table_agree() -> None:
    sonnet = PRICES["claude-sonnet-4.6"]
    made = Prices.of(RULES["anthropic"], 3.0, 15.0)
    assert (made.cache_write, made.cache_read) == pytest.approx((sonnet.cache_write, sonnet.cache_read))
    assert all(p.as_of and p.source for p in PRICES.values())
    with pytest.raises(ConfigError):
        Prices(-1.0, 1.0, 1.0, 1.0)
