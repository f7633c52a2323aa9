"""Calls as they come: in threads, inside each other, failing, odd, beside telemetry."""

import threading
from typing import Any

import pytest

from ctxshrink import ConfigError
from ctxshrink._shadow import Reused
from ctxshrink.observe import Observer
from ctxshrink.result import ShrinkResult
from ctxshrink.types import Segment
from tests.observe.material import CHUNKS, HISTORY, calls, returns, shadow, user


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


def test_odd_segments() -> None:
    observer = Observer()
    shrinker = shadow(observer)
    shrinker.shrink_segments([])
    odd = [Segment(str(i), t) for i, t in enumerate(["", "\ud800", "a\x00b", "\u2028", "A1 " * 2000])]
    shrinker.shrink_segments(odd)
    shrinker.shrink_segments([*odd, Segment("more", "\udfff A1", kind="assistant")])
    assert observer.report().calls == 3
