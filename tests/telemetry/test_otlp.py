"""Spans and metrics as a collector on loopback receives them."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from ctxshrink import KeepFacts, Shrinker
from ctxshrink.telemetry import Telemetry
from tests.telemetry.material import DOCS, QUESTION


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
