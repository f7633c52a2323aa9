"""OpenTelemetry: one span and a few measurements for each call, and nothing of its text in them.

What is exported are numbers, and words of ours or of the settings: actions, modes, the names of plug-ins, the class of
an exception. Never a text, a query, an id of a segment, a reason or a message of an error: these may quote the user.
Without ``Shrinker(telemetry=…)`` nothing of this is imported, and OpenTelemetry need not be installed.

Names are ours (``ctxshrink.…``), save ``gen_ai.conversation.compacted`` of OpenTelemetry's conventions for generative
AI, which are still changing: token counts here are of what ctxshrink saw, so that none is called ``gen_ai.usage.…``,
which is what a provider billed.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypeVar

from .errors import MissingExtraError

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

    from .engine import Engine
    from .result import ShrinkResult
    from .types import Attempt

_log = logging.getLogger("ctxshrink")

Value: TypeAlias = "str | bool | int | float | tuple[str, ...]"

SPAN: Final = "ctxshrink shrink"
COMPACTED: Final = "gen_ai.conversation.compacted"
"""OpenTelemetry's flag on spans whose conversation was shortened; set where that is so, absent otherwise."""
_SCOPE: Final = "ctxshrink"
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_RISKS: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75)

_active: ContextVar[tuple[int, ...]] = ContextVar("ctxshrink_hooks", default=())

R = TypeVar("R", bound="ShrinkResult[Any]")
S = TypeVar("S")


class CallHook(Protocol):
    """What a `Shrinker` runs its calls through: `Telemetry`, or `ctxshrink.observe.Observer`.

    A seat whose one call takes several of the shrinker's runs these inside its own: only the outermost is counted.
    """

    def call(self, work: Callable[[], R], engine: Engine | None, /) -> R:
        """Run a call once and return its result, or let its exception through, unchanged either way.

        Args:
            work: The call.
            engine: The settings it runs with, if known.
        """
        ...


@contextmanager
def outermost(hook: CallHook) -> Generator[bool]:
    """Whether the call that starts here is inside none of the hook's other calls."""
    active = _active.get()
    token = _active.set((*active, id(hook)))
    try:
        yield id(hook) not in active
    finally:
        _active.reset(token)


class Telemetry:
    """Exports a span and measurements of every call through OpenTelemetry. Safe to share between threads.

    The span is current while the call runs: spans of instrumented clients that a plug-in uses, such as a scorer on a
    server, become its children. Whatever OpenTelemetry does, the call goes on: a failure is logged once, by the name of
    its class.

    Args:
        tracer_provider: Where spans go; None is the global provider.
        meter_provider: Where measurements go; None is the global provider.

    Raises:
        MissingExtraError: ``opentelemetry-api`` is not installed.
    """

    def __init__(
        self, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
    ) -> None:
        try:
            from opentelemetry import context, metrics, trace
        except ImportError as error:
            raise MissingExtraError("Telemetry", "otel") from error
        from . import __version__

        self._context, self._trace = context, trace
        self._tracer = trace.get_tracer(_SCOPE, __version__, tracer_provider)
        meter = metrics.get_meter(_SCOPE, __version__, meter_provider)
        self._tokens = meter.create_counter("ctxshrink.tokens.input", "{token}", "Tokens that went in.")
        self._saved = meter.create_counter(
            "ctxshrink.tokens.saved", "{token}", "Tokens saved; with mode observe: that would have been saved."
        )
        self._segments = meter.create_counter("ctxshrink.segments", "{segment}", "Segments by what came out of them.")
        self._verdicts = meter.create_counter("ctxshrink.verdicts", "{verdict}", "Verdicts of the guardrail.")
        self._fallbacks = meter.create_counter(
            "ctxshrink.fallbacks", "{segment}", "Segments that came out whole because every attempt failed."
        )
        self._failures = meter.create_counter("ctxshrink.attempts.failed", "{attempt}", "Attempts that gave no text.")
        self._duration = meter.create_histogram(
            "ctxshrink.duration", "s", "Wall-clock time of a call.", explicit_bucket_boundaries_advisory=_SECONDS
        )
        self._risk = meter.create_histogram(
            "ctxshrink.risk",
            "1",
            "Highest estimated probability, over a call's changed segments, that needed text was lost.",
            explicit_bucket_boundaries_advisory=_RISKS,
        )
        self._told = False

    def call(self, work: Callable[[], R], engine: Engine | None = None, /) -> R:
        """Run a call inside a span and export what came of it; see `CallHook`. Calls inside calls are spans alone."""
        started = time.perf_counter()
        with outermost(self) as outer, ExitStack() as stack:
            span = self._attempt(lambda: self._open(stack))
            try:
                result = work()
            except BaseException as error:
                kind, seconds = type(error).__qualname__, time.perf_counter() - started
                self._attempt(lambda: self._failed(span, kind))
                if outer:
                    self._attempt(lambda: self._duration.record(seconds, {"error.type": kind}))
                raise
            self._attempt(lambda: self._describe(span, result, engine))
            if outer:
                self._attempt(lambda: self._measure(result))
            return result

    def _open(self, stack: ExitStack) -> Span:
        span = self._tracer.start_span(SPAN)
        stack.callback(self._attempt, span.end)
        # Not `use_span`: it would put the message of an exception, which may quote a text, on the span.
        token = self._context.attach(self._trace.set_span_in_context(span))
        stack.callback(self._attempt, lambda: self._context.detach(token))
        return span

    def _failed(self, span: Span | None, kind: str) -> None:
        if span is not None:
            span.set_attribute("error.type", kind)
            span.set_status(self._trace.StatusCode.ERROR)

    def _describe(self, span: Span | None, result: ShrinkResult[Any], engine: Engine | None) -> None:
        if span is not None and span.is_recording():
            span.set_attributes(attributes(result))
            if engine is not None:
                span.set_attributes(settings(engine))

    def _measure(self, result: ShrinkResult[Any]) -> None:
        mode = {"ctxshrink.mode": result.mode}
        attempts = _attempts(result)
        self._tokens.add(result.tokens_before, mode)
        self._saved.add(max(0, result.saved), mode)
        for action, count in Counter(d.action for d in result.decisions).items():
            self._segments.add(count, {**mode, "ctxshrink.action": action})
        for ok, count in Counter(a.verdict.ok for a in attempts if a.verdict).items():
            self._verdicts.add(count, {**mode, "ctxshrink.verdict": "accepted" if ok else "rejected"})
        if result.fallbacks:
            self._fallbacks.add(len(result.fallbacks), mode)
        if failed := sum(a.error is not None for a in attempts):
            self._failures.add(failed, mode)
        self._duration.record(result.seconds, mode)
        if any(d.verdict for d in result.decisions):
            self._risk.record(result.risk, mode)

    def _attempt(self, step: Callable[[], S]) -> S | None:
        """The step's value; None where it failed, which is said once."""
        try:
            return step()
        except Exception as error:  # noqa: BLE001  fail open: the caller's prompt matters more than its figures
            self._tell(error)
            return None

    def _tell(self, error: Exception) -> None:
        if not self._told:
            self._told = True
            _log.warning("telemetry failed: %s; calls go on without it", type(error).__name__)


def attributes(result: ShrinkResult[Any]) -> dict[str, Value]:
    """The attributes of a call's span that come from its result.

    Args:
        result: Of any seat.

    Returns:
        Numbers, truth values, and words that ctxshrink or the settings define. ``ctxshrink.segments.accepted`` are
        those whose compression came out with the guardrail's consent; ``ctxshrink.risk`` is missing where nothing was
        judged.
    """
    actions = Counter(d.action for d in result.decisions)
    attempts = _attempts(result)
    verdicts = Counter(a.verdict.ok for a in attempts if a.verdict is not None)
    conversation = any(d.segment.kind != "document" for d in result.decisions)
    found: dict[str, Value] = {
        "ctxshrink.mode": result.mode,
        "ctxshrink.input": "messages" if conversation else "documents",
        "ctxshrink.counter": result.counter,
        "ctxshrink.counter.exact": result.exact,
        "ctxshrink.goal.lossless": result.goal.lossless,
        "ctxshrink.tokens.before": result.tokens_before,
        "ctxshrink.tokens.after": result.tokens_after,
        "ctxshrink.segments.total": len(result.decisions),
        "ctxshrink.segments.accepted": actions["compressed"] + actions["emptied"],
        **{f"ctxshrink.segments.{action}": count for action, count in sorted(actions.items())},
        "ctxshrink.attempts": len(attempts),
        "ctxshrink.attempts.failed": sum(a.error is not None for a in attempts),
        "ctxshrink.verdicts.accepted": verdicts[True],
        "ctxshrink.verdicts.rejected": verdicts[False],
        "ctxshrink.warnings": len(result.warnings),
        "ctxshrink.seconds": result.seconds,
    }
    if result.goal.keep is not None:
        found["ctxshrink.goal.keep"] = result.goal.keep
    if result.goal.max_tokens is not None:
        found["ctxshrink.goal.max_tokens"] = result.goal.max_tokens
    if any(d.verdict for d in result.decisions):
        found["ctxshrink.risk"] = result.risk
    if conversation and result.mode == "apply" and result.saved > 0:
        found[COMPACTED] = True
    return found


def settings(engine: Engine) -> Mapping[str, Value]:
    """The attributes of a call's span that come from the settings: names of plug-ins."""
    found: dict[str, Value] = {
        "ctxshrink.policy": getattr(engine.policy, "__qualname__", type(engine.policy).__qualname__),
        "ctxshrink.compressors": tuple(c.name for c in engine.compressors),
        "ctxshrink.guardrail": "none" if engine.guardrail is None else engine.guardrail.name,
    }
    if engine.deadline is not None:
        found["ctxshrink.deadline"] = engine.deadline
    return found


def _attempts(result: ShrinkResult[Any]) -> list[Attempt]:
    """Those of this call: a frozen text carries the ones of the turn that decided it."""
    return [a for d in result.decisions if d.action != "frozen" for a in d.attempts]
