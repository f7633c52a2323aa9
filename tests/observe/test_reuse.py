"""What later turns and answers reuse of what would have been left out."""

import pytest

from ctxshrink._shadow import Reused
from ctxshrink.observe import Observer
from tests.observe.material import CHUNKS, HISTORY, SYSTEM, calls, returns, says, shadow, user, watched


def test_what_a_later_tool_call_takes_from_dropped_text_is_a_miss() -> None:
    report = watched([calls("1", booking="QX7T2", berth="B-14"), returns("1", "done"), user("Well?")]).report()
    assert report.tool_calls == Reused(needed=2, missed=1)
    assert report.answers == Reused(0, 0)
    assert (report.calls, report.conversations) == (2, 1)


def test_what_an_answer_repeats_is_counted_apart() -> None:
    report = watched([says("It is QX7T2, B-14."), user("Thank you.")]).report()
    assert (report.tool_calls, report.answers) == (Reused(0, 0), Reused(2, 1))


def test_what_was_shown_again_is_not_missed() -> None:
    turn = [calls("1", find="bookings"), returns("1", "QX7T2"), calls("2", booking="QX7T2"), returns("2", "done")]
    assert watched([*turn, user("Well?")]).report().tool_calls == Reused(0, 0)


def test_each_prompt_answers_for_what_came_after_it() -> None:
    turn = [calls("1", booking="QX7T2"), returns("1", "done"), user("Again.")]
    again = [calls("2", booking="QX7T2"), returns("2", "done"), user("Again.")]
    assert watched(turn, again).report().tool_calls == Reused(needed=2, missed=1)  # the first call now shows it


def test_a_retry_and_a_branch_are_not_counted_twice() -> None:
    turn = [calls("1", booking="QX7T2"), returns("1", "done"), user("Well?")]
    observer = watched(turn, [])
    report = observer.report()
    assert report.calls == 3
    assert report.conversations == 1
    assert report.tool_calls == Reused(1, 1)


def test_conversations_are_told_apart_by_their_texts() -> None:
    observer = Observer()
    shrinker = shadow(observer)
    ours, theirs = [*HISTORY, user("Go on.")], [SYSTEM, user("Other text."), user("QX7T2? Go on.")]
    shrinker.shrink_messages(ours)
    shrinker.shrink_messages(theirs)
    shrinker.shrink_messages([*theirs, says("QX7T2 it is."), user("Yes.")])
    shrinker.shrink_messages([*ours, calls("1", booking="QX7T2"), returns("1", "done"), user("Well?")])
    report = observer.report()
    assert (report.calls, report.conversations) == (4, 2)
    assert (report.tool_calls, report.answers) == (Reused(1, 1), Reused(1, 0))


@pytest.mark.parametrize(
    ("answer", "reused"),
    [("It costs 1250.", Reused(1, 0)), ("Ask Ada Quist.", Reused(1, 1)), ("I cannot say.", Reused(0, 0))],
)
def test_an_answer_to_chunks(answer: str, reused: Reused) -> None:
    observer = Observer()
    result = shadow(observer).shrink_documents(CHUNKS, "What does it cost?")
    observer.answered(result, answer)
    assert observer.report().answers == reused


def test_an_answer_to_a_prompt_that_was_not_watched_counts_nothing() -> None:
    observer = Observer()
    observer.answered(shadow().shrink_documents(CHUNKS), "Ask Ada Quist.")
    assert observer.report().answers == Reused(0, 0)
