from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink.bench.peer_methods.peer_process import PeerFailure
from ctxshrink.bench.peer_methods.search import ENOUGH, fit


@given(
    total=st.integers(1, 5000),
    keep=st.floats(0.02, 1),
    power=st.floats(0.3, 3),
    steps=st.integers(2, 12),
)
def test_what_comes_back_fits_and_the_peer_is_not_asked_too_often(
    total: int, keep: float, power: float, steps: int
) -> None:
    budget = int(keep * total)
    asked = list[float]()

    def ask(level: float) -> int:
        asked.append(level)
        return int(total * level**power)

    found = fit(ask, int, budget, start=keep, steps=steps)
    assert found.answer <= budget
    assert found.calls == len(asked) <= steps + 1
    assert all(0 <= level <= 1 for level in asked)
    seen = [int(total * level**power) for level in asked]
    assert found.answer == max(n for n in seen if n <= budget)


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.7])
def test_a_peer_that_keeps_another_share_than_it_is_asked_for_is_met_in_a_few_calls(factor: float) -> None:
    found = fit(lambda level: int(1000 * factor * level), int, 400, start=0.4, steps=5)
    assert ENOUGH * 400 <= found.answer <= 400
    assert found.calls <= 2 + (factor > 1)


def test_without_a_knob_a_peer_is_asked_once_and_may_be_over() -> None:
    assert fit(lambda level: 900, int, 100, start=0.1, steps=1) == (900, 1)
    assert fit(lambda level: 50, int, 100, start=0.1, steps=1) == (50, 1)


def test_where_nothing_fits_the_hardest_setting_is_tried_and_the_smallest_output_stands() -> None:
    asked = list[float]()

    def ask(level: float) -> int:
        asked.append(level)
        return 300 if level == 0.02 else 500

    assert fit(ask, int, 100, start=0.5, steps=4, least=0.02) == (300, 3)
    assert fit(ask, int, 100, start=0.5, steps=2, least=0.02) == (300, 3)
    assert asked[-1] == 0.02


def test_a_failure_after_a_fit_keeps_the_fit() -> None:
    def ask(level: float) -> int:
        if level > 0.5:
            raise PeerFailure("too much")
        return int(100 * level)

    assert fit(ask, int, 80, start=0.4, steps=6).answer == 40
    with pytest.raises(PeerFailure, match="too much"):
        fit(ask, int, 80, start=0.8, steps=6)


def test_a_hardest_setting_that_fails_does_not_end_the_search() -> None:
    def ask(level: float) -> int:
        if level < 0.05:
            raise PeerFailure("too little")
        return 900 if level > 0.2 else int(400 * level)

    found = fit(ask, int, 100, start=0.9, steps=8, least=0.02)
    assert 0 < found.answer <= 100
    assert fit(ask, int, 10, start=0.9, steps=3, least=0.02).answer == 900


def test_a_peer_that_cannot_get_small_enough_is_not_asked_many_times() -> None:
    asked = list[float]()

    def ask(level: float) -> int:
        asked.append(level)
        return 500 + round(level * 10)

    assert fit(ask, int, 100, start=0.5, steps=9) == (500, 3)
    assert asked[-1] == 0
