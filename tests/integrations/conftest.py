"""Fixtures of the integration tests."""

from pathlib import Path

import pytest

import ctxshrink


@pytest.fixture
def embedded_guardrail() -> None:
    """Asks for the embedded scorer and its calibration; without them every compression falls back."""
    models = Path(ctxshrink.__file__).parent / "models"
    for file in (models / "scorer" / "model.onnx", models / "guardrail" / "config.json"):
        if not file.exists():
            pytest.skip(f"{file.parent.name}/{file.name} is not built yet")
