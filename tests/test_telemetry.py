import asyncio
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("opentelemetry.sdk")

from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from ctxshrink import ConfigError, KeepFacts, MissingExtraError, Shrinker
from ctxshrink.result import ShrinkResult
from ctxshrink.telemetry import COMPACTED, Telemetry, attributes
from ctxshrink.types import Call, Candidate, Job, Segment, Trial, Verdict
from tests.strategies import PROPERTY

DOCS = [
    "The lighthouse of Skarv was built in 1887. It stands 31 metres high. Its keeper kept bees. The honey was sold in "
    "the town. Nobody knows what it cost.",
    "The ferry leaves at 7:45 from pier 3. Bicycles travel free of charge. Dogs need a ticket. The crossing takes an "
    "hour when the sea is calm.",
]
QUESTION = "How high is the lighthouse?"
MESSAGES = [
    {"role": "system", "content": "You answer questions about the coast."},
    {"role": "user", "content": " ".join(DOCS)},
    {"role": "assistant", "content": "Thank you. What would you like to know about the lighthouse or the ferry?"},
    {"role": "user", "content": "When does the ferry leave?"},
    {"role": "assistant", "content": "At 7:45."},
    {"role": "user", "content": QUESTION},
    {"role": "assistant", "content": "31 metres."},
    {"role": "user", "content": "Thank you!"},
]


@dataclass
class Export:
    """A telemetry whose exports stay in memory."""

    spans: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)
    reader: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)

    def __post_init__(self) -> None:
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)
        self.telemetry = Telemetry(self.tracers, self.meters)

    def span(self) -> ReadableSpan:
        [span] = self.spans.get_finished_spans()
        return span

    def points(self) -> dict[str, list[Any]]:
        data = self.reader.get_metrics_data()
        if data is None:
            return {}
        found = (m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics)
        return {m.name: list(m.data.data_points) for m in found}

    def sums(self, name: str, by: str) -> dict[str, int]:
        return {p.attributes[by]: p.value for p in self.points().get(name, [])}

    def everything(self) -> str:
        data = self.reader.get_metrics_data()
        return "\n".join([s.to_json() for s in self.spans.get_finished_spans()] + ([data.to_json()] if data else []))


@pytest.fixture
def export() -> Export:
    return Export()


def shrinker(export: Export, **settings: Any) -> Shrinker:
    given = {"compressors": ["extractive"], "guardrail": KeepFacts(), **settings}
    return Shrinker(telemetry=export.telemetry, **given)


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


class Broken:
    """Every attribute of it, called with anything, raises: with a message that quotes a text."""

    def __getattr__(self, name: str) -> Any:
        def fail(*_: object, **__: object) -> Any:
            raise RuntimeError(DOCS[0])

        return fail


class BrokenSpans(Broken):
    """Starts spans that fail whatever is asked of them."""

    def start_span(self, *_: object, **__: object) -> Broken:
        return Broken()


class Instruments:
    """Makes instruments that fail when they are used."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: Broken()


class Providers:
    def __init__(self, made: object) -> None:
        self._made = made

    def get_tracer(self, *_: object, **__: object) -> Any:
        return self._made

    get_meter = get_tracer


@pytest.mark.parametrize("tracer", [Broken(), BrokenSpans()], ids=["no span", "a span that fails"])
def test_failing_telemetry_never_fails_a_call(tracer: object, caplog: pytest.LogCaptureFixture) -> None:
    plain = Shrinker(compressors=["extractive"], guardrail=None)
    failing: Any = Telemetry(Providers(tracer), Providers(Instruments()))  # pyright: ignore[reportArgumentType]
    shrinker = Shrinker(compressors=["extractive"], guardrail=None, telemetry=failing)
    with caplog.at_level(logging.WARNING, "ctxshrink"):
        for _ in range(3):
            assert shrinker.shrink_documents(DOCS, QUESTION, keep=0.4) == plain.shrink_documents(
                DOCS, QUESTION, keep=0.4
            )
        with pytest.raises(ConfigError, match="keep"):
            shrinker.shrink_text(DOCS[0], keep=7)
    told = [r.getMessage() for r in caplog.records if "telemetry" in r.getMessage()]
    assert told == ["telemetry failed: RuntimeError; calls go on without it"]


def test_a_call_runs_once_whatever_happens() -> None:
    runs: list[int] = []

    def work() -> ShrinkResult[Any]:
        runs.append(1)
        raise KeyError("inside")

    telemetry = Telemetry(Providers(Broken()), Providers(Instruments()))  # pyright: ignore[reportArgumentType]
    with pytest.raises(KeyError, match="inside"):
        telemetry.call(work)
    assert runs == [1]


def test_without_providers_it_uses_the_global_ones_and_does_no_harm() -> None:
    plain = Shrinker(compressors=["extractive"], guardrail=None)
    told = Shrinker(compressors=["extractive"], guardrail=None, telemetry=Telemetry())
    assert told.shrink_documents(DOCS, QUESTION, keep=0.4) == plain.shrink_documents(DOCS, QUESTION, keep=0.4)


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


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_without_it_opentelemetry_is_not_imported() -> None:
    code = (
        "import sys, ctxshrink, ctxshrink.telemetry\n"
        "ctxshrink.Shrinker(compressors=['extractive'], guardrail=None).shrink_text('One. Two. Three.', keep=0.5)\n"
        "print([m for m in sys.modules if m.startswith('opentelemetry')])"
    )
    assert run_python(code).strip() == "[]"


def test_without_opentelemetry_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(MissingExtraError, match=r"ctxshrink\[otel\]"):
        Telemetry()


class Collector(ThreadingHTTPServer):
    """Receives OTLP over HTTP and decodes it."""

    daemon_threads = True

    def __init__(self) -> None:
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        super().__init__(("127.0.0.1", 0), _Receive)
        self.kinds: dict[str, Any] = {
            "/v1/traces": ExportTraceServiceRequest,
            "/v1/metrics": ExportMetricsServiceRequest,
        }
        self.received: list[Any] = []
        self.raw = b""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Receive(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.raw += body
        self.server.received.append(self.server.kinds[self.path].FromString(body))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    server = Collector()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def _value(value: Any) -> Any:
    return getattr(value, value.WhichOneof("value"))


def test_over_otlp_on_loopback(collector: Collector) -> None:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    resource = Resource.create({"service.name": "ferry"})
    tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{collector.url}/v1/traces")))
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{collector.url}/v1/metrics"))
    meters = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
    own = Shrinker(compressors=["extractive"], guardrail=KeepFacts(), telemetry=Telemetry(tracers, meters))
    result = own.shrink_documents(DOCS, QUESTION, keep=0.4)
    tracers.shutdown()
    meters.shutdown()

    spans = [
        s
        for r in collector.received
        for group in getattr(r, "resource_spans", ())
        for c in group.scope_spans
        for s in c.spans
    ]
    metrics = [
        m
        for r in collector.received
        for group in getattr(r, "resource_metrics", ())
        for c in group.scope_metrics
        for m in c.metrics
    ]
    [span] = spans
    told = {a.key: _value(a.value) for a in span.attributes}
    assert span.name == "ctxshrink shrink"
    assert told["ctxshrink.tokens.before"] == result.tokens_before
    assert told["ctxshrink.tokens.after"] == result.tokens_after
    assert [_value(v) for v in told["ctxshrink.compressors"].values] == ["extractive"]
    saved = {m.name: m for m in metrics}["ctxshrink.tokens.saved"]
    assert [p.as_int for p in saved.sum.data_points] == [result.saved]
    assert saved.unit == "{token}"
    words = {w for text in (*DOCS, QUESTION) for w in text.casefold().split() if len(w) > 5}
    assert not [w for w in words if w.encode() in collector.raw.lower()]
