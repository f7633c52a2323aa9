import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink.errors import ConfigError
from ctxshrink.shares import checked_keeps, shares
from ctxshrink.testing import call_for
from tests.strategies import PROPERTY

SIZES = st.lists(st.integers(1, 60), min_size=1, max_size=8)


@PROPERTY
@given(sizes=SIZES, data=st.data(), budget=st.integers(0, 300))
def test_shares_add_up_to_at_most_the_budget(sizes: list[int], data: st.DataObject, budget: int) -> None:
    call = call_for(["w " * n for n in sizes])
    keeps = {s.id: data.draw(st.floats(0, 1)) for s in call.segments}
    least = {s.id: data.draw(st.integers(0, 1)) for s in call.segments}
    share = shares(keeps, call.segments, call, budget, least)
    assert sum(share.values()) <= max(budget, sum(least.values()))
    assert all(least[i] <= n <= call.tokens[i] for i, n in share.items())


def test_a_budget_that_holds_gives_each_what_it_asked() -> None:
    call = call_for(["w " * 10, "w " * 20])
    assert shares({"0": 0.5, "1": 1.0}, call.segments, call, 30, {"0": 0, "1": 0}) == {"0": 5, "1": 20}


def test_remainders_are_spent() -> None:
    call = call_for(["w " * 3] * 3)
    share = shares(dict.fromkeys("012", 0.5), call.segments, call, 4, dict.fromkeys("012", 0))
    assert sum(share.values()) == 4


def test_too_much_is_scaled_down_by_one_factor() -> None:
    call = call_for(["w " * 100, "w " * 50])
    assert shares({"0": 1.0, "1": 1.0}, call.segments, call, 75, {"0": 0, "1": 0}) == {"0": 50, "1": 25}


def test_keeps_are_clamped_and_default_to_one() -> None:
    call = call_for(["a", "b", "c"])
    assert checked_keeps({"0": 7.0, "1": -1.0}, call.segments, print) == {"0": 1.0, "1": 0.0, "2": 1.0}


@pytest.mark.parametrize("bad", [{"0": math.nan}, {"0": "half"}, ["0"], None])
def test_an_unusable_answer_names_the_policy(bad: object) -> None:
    with pytest.raises(ConfigError, match="policy sorted"):
        checked_keeps(bad, call_for(["a"]).segments, sorted)  # type: ignore[arg-type]
