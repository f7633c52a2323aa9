"""Telemetry whose exports stay in memory, and texts and messages to shrink. Import it after `pytest.importorskip`."""

from dataclasses import dataclass, field
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ctxshrink import KeepFacts, Shrinker
from ctxshrink.telemetry import Telemetry

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


def shrinker(export: Export, **settings: Any) -> Shrinker:
    given = {"compressors": ["extractive"], "guardrail": KeepFacts(), **settings}
    return Shrinker(telemetry=export.telemetry, **given)
