"""Detectors made by hand, whose verdicts can be worked out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ctxshrink.guardrails import Detector
from ctxshrink.guardrails._needs import FEATURES as UNIT_FEATURES
from ctxshrink.guardrails._needs import Mode
from ctxshrink.guardrails._omission import FEATURES
from ctxshrink.guardrails.detector import Logistic, Point

MODES: tuple[Mode, ...] = ("query", "blind")
CURVE = (
    Point(0.1, 0.01, 0.005, 0.5, 0.95),
    Point(0.3, 0.05, 0.02, 0.3, 0.9),
    Point(0.5, 0.1, 0.05, 0.08, 0.8),
    Point(0.9, 0.4, 0.2, 0.0, 0.3),
)
"""Risks that may be accepted at rising miss rates; 0.5 is the first that rejects less than one harmless in ten."""
NO_TERMS: Mapping[str, float] = {}
ANCHOR = {"anchor": 1.0, "probe": 0.0}
RECOVERY = {"recovery": -2.0, "probe": 0.0}


def logistic(names: tuple[str, ...], bias: float, weights: Mapping[str, float]) -> Logistic:
    """Zero weights for all other names."""
    return Logistic(bias, {name: weights.get(name, 0.0) for name in names})


def detector(
    *,
    segment: Mapping[str, float] | None = None,
    bias: float = 1.0,
    output: Mapping[str, float] | None = None,
    output_bias: float = 1.0,
    terms: Mapping[str, Mapping[str, float]] | None = None,
    **changes: Any,
) -> Detector:
    """A detector of needs that grow with a unit's share of the query's words or with its facts, and of losses by them.

    Args:
        segment: Weights of segments; default: the logit of the share of the needs that was lost.
        bias: Of segments.
        output: Weights of whole outputs; default likewise.
        output_bias: Of whole outputs.
        terms: Of the language model, by mode; default none.
        changes: Other fields.
    """
    wanted = {
        "query": logistic(UNIT_FEATURES["query"], -4.0, {"match": 6.0}),
        "blind": logistic(UNIT_FEATURES["blind"], -4.0, {"number": 2.0, "date": 2.0, "id": 2.0, "name": 2.0}),
    }
    lost = {"lost": 1.0}
    return Detector(
        **{
            "needs": {mode: {"text": fitted} for mode, fitted in wanted.items()},
            "segment": {mode: logistic(FEATURES, bias, segment or lost) for mode in MODES},
            "output": {mode: logistic(FEATURES, output_bias, output or lost) for mode in MODES},
            "terms": terms or dict.fromkeys(MODES, NO_TERMS),
            "curves": {f"{mode}/{level}": CURVE for mode in MODES for level in ("segment", "output")},
            **changes,
        }
    )
