from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink import Adaptive, ConfigError, KeepRatio, TokenBudget
from ctxshrink.policies import RECENT_TURNS, policy_goal, recent_turns, unlocked_budget
from ctxshrink.testing import call_for
from ctxshrink.types import Call, Goal, Segment
from tests.strategies import PROPERTY


def conversation(sizes: list[int], goal: Goal, **changes: Any) -> Call:
    """User turns, oldest first."""
    call = call_for(["w " * n for n in sizes])
    segments = tuple(replace(s, kind="user", age=len(sizes) - 1 - i, **changes) for i, s in enumerate(call.segments))
    return replace(call, segments=segments, goal=goal)


def spent(keeps: Any, call: Call) -> float:
    return sum(keeps[s.id] * call.tokens[s.id] for s in call.segments)


@PROPERTY
@given(
    sizes=st.lists(st.integers(1, 400), min_size=1, max_size=20),
    keep=st.floats(0.01, 1),
    relevance=st.floats(0, 1),
    policy=st.sampled_from([Adaptive(), Adaptive(half_life=2), Adaptive(gamma=0), KeepRatio(0.5), TokenBudget(9)]),
)
def test_every_policy_stays_within_the_goal(sizes: list[int], keep: float, relevance: float, policy: Any) -> None:
    call = conversation(sizes, Goal(keep=keep), relevance=relevance)
    keeps = policy(call.segments, call)
    assert all(0 <= k <= 1 + 1e-9 for k in keeps.values())
    assert spent(keeps, call) <= unlocked_budget(call.goal, call) + 1e-3


def test_adaptive_spends_what_the_goal_allows() -> None:
    call = conversation([100] * 10, Goal(keep=0.5))
    assert spent(Adaptive()(call.segments, call), call) == pytest.approx(500, abs=1)


def test_older_turns_are_compressed_harder() -> None:
    call = conversation([100] * 10, Goal(keep=0.5))
    keeps = list(Adaptive()(call.segments, call).values())
    assert keeps == sorted(keeps)
    assert keeps[0] < keeps[-1]


def test_the_oldest_has_half_the_claim_of_the_newest_however_long() -> None:
    for turns in (10, 400):
        call = conversation([100] * turns, Goal(keep=0.3))
        keeps = list(Adaptive(kind_floors={"user": 0.0})(call.segments, call).values())
        assert keeps[0] == pytest.approx(keeps[-1] / 2, rel=0.02)


def test_relevance_decides_between_documents_and_zero_relevance_empties() -> None:
    call = replace(call_for(["w " * 100] * 3), goal=Goal(keep=1 / 3))
    segments = [replace(s, relevance=r) for s, r in zip(call.segments, (1.0, 0.0, 0.0), strict=True)]
    assert Adaptive()(segments, call) == pytest.approx({"0": 1.0, "1": 0.0, "2": 0.0}, abs=1e-3)


def test_code_keeps_more_than_prose_of_the_same_age() -> None:
    call = conversation([100, 100], Goal(keep=0.12))
    segments = [replace(s, age=5, content_type=t) for s, t in zip(call.segments, ("prose", "code"), strict=True)]
    keeps = Adaptive()(segments, call)
    assert keeps["1"] > keeps["0"]


def test_short_segments_stay_whole() -> None:
    call = conversation([5, 200], Goal(keep=0.5))
    assert Adaptive()(call.segments, call)["0"] == 1.0


def test_floors_shrink_together_when_they_do_not_fit() -> None:
    call = conversation([5, 5, 5, 5], Goal(keep=0.5))
    assert set(Adaptive()(call.segments, call).values()) == {0.5}


def test_and_is_the_harder_or_the_softer() -> None:
    call = conversation([100] * 4, Goal())
    hard, soft = KeepRatio(0.2), KeepRatio(0.6)
    for goal, joined in ((0.2, hard & soft), (0.6, hard | soft)):
        assert joined.goal == Goal(keep=goal)
        within = replace(call, goal=joined.goal)
        assert spent(joined(within.segments, within), within) == pytest.approx(goal * 400)


def test_composed_goals_bind_together() -> None:
    assert (Adaptive(keep=0.5) & TokenBudget(100)).goal == Goal(keep=0.5, max_tokens=100)
    assert (Adaptive(keep=0.5) | TokenBudget(100)).goal == Goal()
    assert (TokenBudget(50, recent_turns=2) & Adaptive(recent_turns=7)).recent_turns == 7


def test_a_plain_function_has_the_defaults() -> None:
    def policy(segments: Any, call: Call) -> dict[str, float]:
        return {}

    assert recent_turns(policy) == RECENT_TURNS
    assert policy_goal(policy) == Goal()


def test_locked_tokens_come_off_the_budget_but_not_off_the_share() -> None:
    call = call_for(["w " * 100, "w " * 100])
    locked = replace(call, segments=(replace(call.segments[0], lock_reason="test"), call.segments[1]))
    assert unlocked_budget(Goal(max_tokens=150), locked) == 50
    assert unlocked_budget(Goal(max_tokens=50), locked) == 0
    assert unlocked_budget(Goal(keep=0.5), locked) == 50
    assert unlocked_budget(Goal(keep=0.5, max_tokens=120), locked) == 20


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: KeepRatio(0), "keep"),
        (lambda: KeepRatio(1.5), "keep"),
        (lambda: KeepRatio(True), "keep"),
        (lambda: Adaptive(keep=-1), "keep"),
        (lambda: Adaptive(half_life=0), "half_life"),
        (lambda: Adaptive(gamma=-1), "gamma"),
        (lambda: TokenBudget(-1), "max_tokens"),
        (lambda: TokenBudget(2.5), "max_tokens"),  # type: ignore[arg-type]
    ],
)
def test_wrong_settings_name_the_argument(make: Any, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        make()


def test_segments_are_values() -> None:
    assert Segment("a", "x") == Segment("a", "x")
    assert not Segment("a", "x").locked
    assert Segment("a", "x", lock_reason="pinned").locked
