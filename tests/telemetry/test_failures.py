"""Telemetry that fails: calls go on without it."""

import logging
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk")

from ctxshrink import ConfigError, Shrinker
from ctxshrink.result import ShrinkResult
from ctxshrink.telemetry import Telemetry
from tests.telemetry.material import DOCS, QUESTION


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
