"""Spans and metrics: what they say, how they nest, and that nothing of the text is in them."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("opentelemetry.sdk")

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from ctxshrink import ConfigError, KeepFacts, Shrinker
from ctxshrink.result import ShrinkResult
from ctxshrink.telemetry import COMPACTED, Telemetry, attributes
from ctxshrink.types import Call, Candidate, Job, Segment, Trial, Verdict
from tests.strategies import PROPERTY
from tests.telemetry.material import DOCS, MESSAGES, QUESTION, Export, shrinker


def test_a_span_says_in_numbers_what_the_result_says(export: Export) -> None:
    result = shrinker(export).shrink_documents(DOCS, QUESTION, keep=0.5)
    span = export.span()
    told = dict(span.attributes or {})
    assert span.name == "ctxshrink shrink"
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "ctxshrink"
    assert span.status.is_ok
    assert told["ctxshrink.tokens.before"] == result.tokens_before
    assert told["ctxshrink.tokens.after"] == result.tokens_after
    assert told["ctxshrink.goal.keep"] == 0.5
    assert "ctxshrink.goal.max_tokens" not in told
    assert told["ctxshrink.mode"] == "apply"
    assert told["ctxshrink.input"] == "documents"
    assert told["ctxshrink.counter"] == result.counter
    assert told["ctxshrink.counter.exact"] is result.exact
    assert told["ctxshrink.segments.total"] == 2
    for action in ("compressed", "fallback", "kept"):
        assert told.get(f"ctxshrink.segments.{action}", 0) == sum(d.action == action for d in result.decisions)
    assert told["ctxshrink.attempts"] == sum(len(d.attempts) for d in result.decisions)
    assert told["ctxshrink.risk"] == result.risk
    assert told["ctxshrink.seconds"] == result.seconds
    assert told["ctxshrink.policy"] == "Adaptive"
    assert told["ctxshrink.compressors"] == ("extractive",)
    assert told["ctxshrink.guardrail"] == KeepFacts().name
    assert COMPACTED not in told


def test_measurements_add_up_over_calls(export: Export) -> None:
    applied = shrinker(export)
    results = [applied.shrink_documents(DOCS, QUESTION, keep=k) for k in (0.3, 0.6)]
    results.append(applied.shrink_messages(MESSAGES, keep=0.3))
    observed = shrinker(export, mode="observe").shrink_text(DOCS[0], QUESTION, max_tokens=20)
    assert export.sums("ctxshrink.tokens.input", "ctxshrink.mode") == {
        "apply": sum(r.tokens_before for r in results),
        "observe": observed.tokens_before,
    }
    assert export.sums("ctxshrink.tokens.saved", "ctxshrink.mode") == {
        "apply": sum(r.saved for r in results),
        "observe": observed.saved,
    }
    points = export.points()
    counted: dict[str, int] = {}
    for point in points["ctxshrink.segments"]:
        counted[point.attributes["ctxshrink.action"]] = (
            counted.get(point.attributes["ctxshrink.action"], 0) + point.value
        )
    everything = [*results, observed]
    decisions = [d for r in everything for d in r.decisions]
    assert counted == {a: sum(d.action == a for d in decisions) for a in {d.action for d in decisions}}
    verdicts = [a.verdict.ok for d in decisions for a in d.attempts if a.verdict]
    assert True in verdicts
    assert False in verdicts
    for word, ok in (("accepted", True), ("rejected", False)):
        told = [p.value for p in points["ctxshrink.verdicts"] if p.attributes["ctxshrink.verdict"] == word]
        assert sum(told) == verdicts.count(ok)
    assert sum(p.count for p in points["ctxshrink.duration"]) == len(everything)
    assert sum(p.sum for p in points["ctxshrink.duration"]) == pytest.approx(sum(r.seconds for r in everything))
    judged = [r for r in everything if any(d.verdict for d in r.decisions)]
    assert sum(p.count for p in points["ctxshrink.risk"]) == len(judged)
    assert sum(p.value for p in points.get("ctxshrink.fallbacks", [])) == sum(len(r.fallbacks) for r in everything)


def test_a_shortened_conversation_carries_the_flag_of_the_conventions(export: Export) -> None:
    shorter = shrinker(export, guardrail=None).shrink_messages(MESSAGES, keep=0.3)
    assert shorter.saved > 0
    assert (export.span().attributes or {})[COMPACTED] is True
    seen = shrinker(export, guardrail=None, mode="observe").shrink_messages(MESSAGES, keep=0.3)
    assert COMPACTED not in attributes(seen)


class Spanning:
    """A compressor that makes a span of its own, as an instrumented client would."""

    name = "spanning"

    def __init__(self, tracers: TracerProvider) -> None:
        self._tracer = tracers.get_tracer("client")

    def compress(self, jobs: Sequence[Job], call: Call, /) -> Sequence[Candidate]:
        with self._tracer.start_as_current_span("client request"):
            return [Candidate(job.segment.text[:20], ((0, 20),)) for job in jobs]


def test_spans_nest(export: Export) -> None:
    own = shrinker(export, compressors=[Spanning(export.tracers)], guardrail=None)

    async def agent() -> None:
        with export.tracers.get_tracer("agent").start_as_current_span("agent"):
            await own.ashrink_text(DOCS[0], keep=0.2)

    asyncio.run(agent())
    inner, middle, outer = export.spans.get_finished_spans()
    assert [inner.name, middle.name, outer.name] == ["client request", "ctxshrink shrink", "agent"]
    assert inner.parent is not None
    assert middle.parent is not None
    assert inner.parent.span_id == middle.context.span_id
    assert middle.parent.span_id == outer.context.span_id


def test_an_error_of_the_call_is_told_by_its_class_alone(export: Export) -> None:
    before = trace.get_current_span()
    with pytest.raises(ConfigError, match="keep"):
        shrinker(export).shrink_text(DOCS[0], keep=7)
    span = export.span()
    assert dict(span.attributes or {}) == {"error.type": "ConfigError"}
    assert not span.status.is_ok
    assert span.status.description is None
    assert span.events == ()
    [point] = export.points()["ctxshrink.duration"]
    assert (point.count, dict(point.attributes)) == (1, {"error.type": "ConfigError"})
    assert trace.get_current_span() is before


def test_calls_inside_a_call_are_spans_and_counted_once(export: Export) -> None:
    own = shrinker(export)

    def seat() -> ShrinkResult[Any]:
        own.shrink_text(DOCS[0], keep=0.9)
        return own.shrink_text(DOCS[0], keep=0.5)

    result = export.telemetry.call(seat)
    first, second, outer = export.spans.get_finished_spans()
    for inner in (first, second):
        assert inner.parent is not None
        assert inner.parent.span_id == outer.context.span_id
    assert export.sums("ctxshrink.tokens.input", "ctxshrink.mode") == {"apply": result.tokens_before}
    assert [p.count for p in export.points()["ctxshrink.duration"]] == [1]
    own.shrink_text(DOCS[1], keep=0.5)
    assert [p.count for p in export.points()["ctxshrink.duration"]] == [2]


def test_a_span_that_is_not_sampled_costs_no_attributes(export: Export) -> None:
    tracers = TracerProvider(ALWAYS_OFF, shutdown_on_exit=False)
    quiet = Shrinker(compressors=["extractive"], guardrail=None, telemetry=Telemetry(tracers, export.meters))
    quiet.shrink_text(DOCS[0], keep=0.5)
    assert export.spans.get_finished_spans() == ()
    assert export.points()["ctxshrink.tokens.input"][0].value > 0


class Quoting:
    """A compressor and guardrail whose errors, reasons and features quote what they see."""

    name = "quoting"

    def compress(self, jobs: Sequence[Job], call: Call, /) -> Sequence[Candidate]:
        if len(jobs) > 1:
            raise ValueError(f"cannot shorten {[j.segment.text for j in jobs]} for {call.query}")
        [job] = jobs
        half = len(job.segment.text) // 2
        error = f"no luck with {job.segment.text}" if job.segment.id.endswith("1") else None
        return [Candidate(job.segment.text[:half], ((0, half),), error=error)]

    def check(self, trials: Sequence[Trial], call: Call, /) -> Sequence[Verdict]:
        return [Verdict(len(t.text) % 2 == 0, 0.5, f"drops {t.segment.text}", {t.segment.text: 1.0}) for t in trials]


MARKER = "zq7vx"
MARKED = st.text(max_size=30).map(lambda text: f"{MARKER} {text} {MARKER}. {text} {MARKER}")


@PROPERTY
@given(
    st.lists(st.tuples(MARKED, MARKED), min_size=1, max_size=4),
    MARKED,
    st.floats(0.05, 0.95),
    st.sampled_from(["apply", "observe"]),
)
def test_nothing_of_the_text_is_exported(pairs: list[tuple[str, str]], query: str, keep: float, mode: Any) -> None:
    export = Export()
    segments = [Segment(f"{MARKER} {title} {i}", text, title=title) for i, (text, title) in enumerate(pairs)]
    plugins: list[Any] = [Quoting()]
    own = Shrinker(compressors=plugins, guardrail=plugins[0], mode=mode, telemetry=export.telemetry)
    own.shrink_segments(segments, query=query, keep=keep)
    own.shrink_documents([{"id": title, "text": text, "title": title} for text, title in pairs], query, keep=keep)
    with pytest.raises(ConfigError):
        own.shrink_segments([*segments, segments[0]], query=query, keep=keep)
    exported = export.everything()
    assert len(export.spans.get_finished_spans()) == 3
    assert "ctxshrink.tokens.before" in exported
    assert MARKER not in exported.casefold()
