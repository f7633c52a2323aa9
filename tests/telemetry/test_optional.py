"""OpenTelemetry is optional: not imported unless asked for, and named where it is missing."""

import subprocess
import sys

import pytest

from ctxshrink import MissingExtraError
from ctxshrink.telemetry import Telemetry


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
