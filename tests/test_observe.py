import gc
import json
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink import ConfigError, KeepFacts, KeepRatio, Shrinker
from ctxshrink._shadow import LEAST_UNITS, Reused, ratio_interval
from ctxshrink.economics import Prices
from ctxshrink.observe import Observer
from ctxshrink.result import ShrinkResult
from ctxshrink.types import Segment
from tests.strategies import PROPERTY, SENTENCES

FILLER = (
    "The gulls were loud. The tide was low. Nobody came. The harbour was quiet all day. The wind turned in the end. "
)
SYSTEM = {"role": "system", "content": "You serve a harbour."}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def says(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def calls(id: str, **arguments: Any) -> dict[str, Any]:
    function = {"name": "act", "arguments": json.dumps(arguments)}
    return {"role": "assistant", "content": None, "tool_calls": [{"id": id, "type": "function", "function": function}]}


def returns(id: str, text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": text}


# "lead" keeps the beginning: B-14 stays, QX7T2 at the end goes.
HISTORY = [
    SYSTEM,
    user("Berth B-14 is mine. " + FILLER * 3 + "My booking is QX7T2."),
    says("Thank you."),
    user("Now to something else."),
    says("Gladly."),
]


def shadow(observer: Any = None, **settings: Any) -> Shrinker:
    policy = KeepRatio(0.3, recent_turns=1)
    return Shrinker(policy=policy, compressors=["lead"], guardrail=None, mode="observe", telemetry=observer, **settings)


def watched(*turns: list[dict[str, Any]]) -> Observer:
    """An observer that saw the calls of one conversation: `HISTORY`, then longer by each of the turns."""
    observer = Observer()
    shrinker = shadow(observer)
    messages = [*HISTORY, user("Go on.")]
    result = shrinker.shrink_messages(messages)
    dropped = next(d for d in result.decisions if "QX7T2" in d.segment.text)
    assert "QX7T2" not in dropped.text
    assert "B-14" in dropped.text
    assert result.output == messages
    for turn in turns:
        messages = [*messages, *turn]
        shrinker.shrink_messages(messages)
    return observer


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


CHUNKS = ["The fee is 1250 kroner. " + FILLER, FILLER + "The master is Ada Quist."]


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


def test_sums_are_those_of_the_results() -> None:
    observer = Observer(Prices(2.0, 8.0, 2.5, 0.5))
    shrinker = Shrinker(compressors=["extractive"], guardrail=KeepFacts(), mode="observe", telemetry=observer)
    results = [shrinker.shrink_documents([text], keep=keep) for text in CHUNKS for keep in (0.3, 0.6)]
    report = observer.report()
    saved = sum(r.saved for r in results)
    assert saved > 0
    assert report.tokens_before == sum(r.tokens_before for r in results)
    assert report.saved == saved
    assert report.share == pytest.approx(saved / report.tokens_before)
    assert report.seconds == pytest.approx(sum(r.seconds for r in results))
    decisions = [d for r in results for d in r.decisions]
    assert sum(report.actions.values()) == len(decisions)
    judged = [d for d in decisions if d.verdict and d.action == "compressed"]
    assert report.judged == len(judged)
    assert report.expected_losses == pytest.approx(sum(d.verdict.score for d in judged if d.verdict))
    assert report.money == pytest.approx(saved * 2e-6)
    assert report.money_cached == pytest.approx(saved * 0.5e-6)


def test_compressed_for_real_is_counted_apart() -> None:
    observer = Observer()
    Shrinker(compressors=["lead"], guardrail=None, telemetry=observer).shrink_documents(CHUNKS, keep=0.5)
    report = observer.report()
    assert (report.calls, report.applied, report.tokens_before) == (0, 1, 0)
    assert "1 calls were compressed for real" in report.to_text()


def test_the_report_as_text_and_json() -> None:
    observer = watched([calls("1", booking="QX7T2"), returns("1", "done"), user("Well?")])
    report = observer.report()
    told = json.loads(json.dumps(report.to_dict()))
    assert told["tool_calls"] == {
        "needed": 1,
        "missed": 1,
        "rate": 1.0,
        "interval": pytest.approx([0.2065, 1.0], abs=1e-4),
    }
    assert (told["saved"], told["share"], told["money"]) == (report.saved, report.share, None)
    text = report.to_text()
    assert f"{report.tokens_before} -> {report.tokens_after} tokens" in text
    assert "later tool calls: 1 of 1 reused strings would have been missed" in text
    assert "money" not in text
    assert Observer().report().to_text() == "no shadow calls were seen"


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


def test_the_account_of_threads_adds_up() -> None:
    observer = Observer()
    shrinker = shadow(observer)

    def traffic(thread: int) -> None:
        for i in range(5):
            messages = [*HISTORY, user(f"Thread {thread}, round {i}.")]
            shrinker.shrink_messages(messages)
            shrinker.shrink_messages([*messages, calls("1", booking="QX7T2"), returns("1", "done"), user("Well?")])

    threads = [threading.Thread(target=traffic, args=(t,)) for t in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report = observer.report()
    assert (report.calls, report.conversations) == (40, 20)
    assert report.tool_calls == Reused(20, 20)
    assert report.share_interval is not None


def test_calls_inside_a_call_are_counted_once() -> None:
    observer = Observer()
    shrinker = shadow(observer)

    def seat() -> ShrinkResult[Any]:
        shrinker.shrink_documents(CHUNKS[:1])
        return shrinker.shrink_documents(CHUNKS)

    result = observer.call(seat)
    shrinker.shrink_documents(CHUNKS)
    assert (observer.report().calls, observer.report().tokens_before) == (2, 2 * result.tokens_before)


class Failing(Observer):
    def watch(self, result: ShrinkResult[Any]) -> None:
        raise RuntimeError("broken")


def test_a_failing_observer_never_fails_a_call(caplog: pytest.LogCaptureFixture) -> None:
    result = shadow(Failing()).shrink_documents(CHUNKS)
    assert result.output == CHUNKS
    assert [r.getMessage() for r in caplog.records] == ["the observer failed: RuntimeError; this call is not counted"]


def test_an_error_of_the_call_comes_through() -> None:
    observer = Observer()
    with pytest.raises(ConfigError, match="keep"):
        shadow(observer).shrink_documents(CHUNKS, keep=3)
    assert observer.report().calls == 0


def test_beside_telemetry() -> None:
    pytest.importorskip("opentelemetry.sdk")
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from ctxshrink.telemetry import Telemetry

    spans = InMemorySpanExporter()
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    observer = Observer(telemetry=Telemetry(tracers))
    shadow(observer).shrink_documents(CHUNKS)
    assert observer.report().calls == 1
    [span] = spans.get_finished_spans()
    assert (span.attributes or {})["ctxshrink.mode"] == "observe"
    assert (span.attributes or {})["ctxshrink.policy"] == "KeepRatio"


def strings_held(value: object) -> list[str]:
    """All text that can be reached from an object, modules, classes and functions aside."""
    found: list[str] = []
    seen: set[int] = set()
    pending = [value]
    while pending:
        item = pending.pop()
        if id(item) in seen or isinstance(item, type) or type(item).__name__ in ("module", "function", "method"):
            continue
        seen.add(id(item))
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, bytes):
            found.append(item.decode("latin-1"))
        pending.extend(gc.get_referents(item))
    return found


MARKER = "zq7vx"
TEXTS = st.lists(
    st.sampled_from([*SENTENCES, f"{MARKER}-1", f"id {MARKER}_2.", f"{MARKER.upper()}9 is Mr {MARKER.title()}."]),
    max_size=5,
).map(" ".join)


@PROPERTY
@given(st.lists(TEXTS, min_size=1, max_size=5))
def test_no_text_is_held(turns: list[str]) -> None:
    observer = Observer()
    shrinker = shadow(observer)
    messages = [SYSTEM, user(f"{MARKER}0 " + turns[0])]
    for turn in turns:
        result = shrinker.shrink_messages(messages)
        messages = [*messages, says(f"{turn} {MARKER}0"), user(turn)]
    observer.answered(result, f"{MARKER}0")
    assert observer.report().answers.needed > 0
    held = strings_held(observer)
    assert observer._key.decode("latin-1") in held
    assert not [text for text in held if MARKER in text.casefold()]


def test_hashes_differ_between_observers() -> None:
    result = shadow().shrink_documents(CHUNKS)
    first, second = Observer(), Observer()
    first.watch(result)
    second.watch(result)
    [one], [two] = first._states.values(), second._states.values()
    assert len(one.facts) == len(two.facts) > 0
    assert not one.facts.keys() & two.facts.keys()
    assert not first._states.keys() & second._states.keys()


def test_odd_segments() -> None:
    observer = Observer()
    shrinker = shadow(observer)
    shrinker.shrink_segments([])
    odd = [Segment(str(i), t) for i, t in enumerate(["", "\ud800", "a\x00b", "\u2028", "A1 " * 2000])]
    shrinker.shrink_segments(odd)
    shrinker.shrink_segments([*odd, Segment("more", "\udfff A1", kind="assistant")])
    assert observer.report().calls == 3


@pytest.mark.parametrize(
    ("missed", "needed", "low", "high"), [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (5, 10, 0.2366, 0.7634)]
)
def test_score_interval(missed: int, needed: int, low: float, high: float) -> None:
    assert Reused(needed, missed).interval == pytest.approx((low, high), abs=1e-4)


def test_no_needs_say_nothing() -> None:
    assert Reused(0, 0).rate is None
    assert Reused(0, 0).interval == (0.0, 1.0)


def test_bootstrap_interval() -> None:
    tops, bottoms = np.arange(40.0), np.full(40, 100.0)
    found = ratio_interval(tops, bottoms)
    assert found is not None
    assert found[0] < tops.sum() / bottoms.sum() < found[1]
    # The mean of n draws has the standard error s / sqrt(n); an interval of 95 % is about four of them wide.
    assert found[1] - found[0] == pytest.approx(4 * tops.std() / 40**0.5 / 100, rel=0.15)
    assert ratio_interval(tops, bottoms) == found
    assert ratio_interval(tops[: LEAST_UNITS - 1], bottoms[: LEAST_UNITS - 1]) is None
    assert ratio_interval(tops, np.zeros(40)) is None
