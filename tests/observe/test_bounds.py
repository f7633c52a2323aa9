"""What is forgotten, so that an observer of endless traffic stays small."""

from typing import Any

import pytest

from ctxshrink import ConfigError
from ctxshrink._shadow import Reused
from ctxshrink.observe import Observer
from tests.observe.material import FILLER, HISTORY, SYSTEM, calls, returns, says, shadow, user


def test_the_longest_unused_conversation_is_forgotten() -> None:
    def missed(bound: int) -> int:
        observer = Observer(max_conversations=bound)
        shrinker = shadow(observer)
        first = [*HISTORY, user("Go on.")]
        shrinker.shrink_messages(first)
        shrinker.shrink_messages([*HISTORY, user("Another one.")])
        shrinker.shrink_messages([*first, calls("1", booking="QX7T2"), returns("1", "done"), user("Well?")])
        assert len(observer._states) <= bound
        return observer.report().tool_calls.missed

    assert (missed(2), missed(1)) == (1, 0)


def test_calls_that_had_their_answer_make_room_first() -> None:
    observer = Observer(max_conversations=2)
    shrinker = shadow(observer)
    ours, theirs = [*HISTORY, user("Go on.")], [*HISTORY, user("Another one.")]
    booked = [calls("1", booking="QX7T2"), returns("1", "done"), user("Well?")]
    shrinker.shrink_messages(theirs)
    for _ in range(3):
        shrinker.shrink_messages(ours)
        ours = [*ours, says("Yes."), user("And then?")]
    shrinker.shrink_messages([*theirs, *booked])
    assert observer.report().tool_calls == Reused(1, 1)
    assert observer.report().conversations == 2


def test_facts_beyond_the_bound_are_forgotten_and_said_to_be() -> None:
    observer = Observer(max_facts=2)
    shrinker = shadow(observer)
    first = [SYSTEM, user(FILLER * 3 + "QX7T2 QX7T3 QX7T4 QX7T5"), says("Yes."), user("Go on.")]
    shrinker.shrink_messages(first)
    report = observer.report()
    assert report.forgotten == 2
    assert "2 facts were not remembered" in report.to_text()
    [state] = observer._states.values()
    assert len(state.facts) == 2


def test_sums_for_the_interval_are_bounded() -> None:
    observer = Observer(max_units=3)
    shrinker = shadow(observer)
    for i in range(12):
        shrinker.shrink_documents([f"{i}. {FILLER}"])
    assert len(observer._sums) == 3
    assert len(observer._slots) == 3
    assert all(before > 0 for before, _ in observer._sums)
    assert observer.report().conversations == 12


@pytest.mark.parametrize("name", ["max_conversations", "max_facts", "max_units"])
def test_a_bound_of_nothing_is_an_error(name: str) -> None:
    bounds: dict[str, Any] = {name: 0}
    with pytest.raises(ConfigError, match=name):
        Observer(**bounds)
