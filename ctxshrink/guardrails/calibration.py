"""The logistic models behind `PerplexityGuardrail`, and where the shipped ones lie."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ctxshrink.errors import ModelError

SHIPPED = Path(__file__).parents[1] / "models" / "guardrail" / "config.json"
"""The shipped calibrations."""

RANGES: Mapping[str, tuple[float, float]] = {"anchor": (-1.0, 4.0), "recovery": (-0.25, 1.0)}
"""What the language model can say at most: its terms are cut to these. The anchor term is in nats per token; of 3,376
compressions of the development half 98.5 % lay inside. Since a term cannot leave its range, some compressions are
decided by the other features, and the model is not asked."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """A logistic model over the features of one compression.

    p(needed text was lost) = 1 / (1 + exp(-(bias + Σ weights[f] · feature f))).

    Attributes:
        bias: Intercept.
        weights: By feature name.
        threshold: Rejected above this probability.
    """

    bias: float
    weights: Mapping[str, float]
    threshold: float

    def risk(self, features: Mapping[str, float]) -> float:
        """Estimated probability in [0, 1] that needed text was lost."""
        z = self.bias + sum(w * features.get(f, 0.0) for f, w in self.weights.items())
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, z))))


@lru_cache(maxsize=8)
def load_calibrations(file: Path = SHIPPED) -> Mapping[str, Calibration]:
    """Fitted models by mode: ``query`` (a query is known) and ``blind`` (none is).

    Args:
        file: A ``config.json`` as ``ctxshrink train guardrail`` writes it; default the shipped one, see its CARD.md.

    Raises:
        ModelError: The file is missing or damaged.
    """
    try:
        stored = json.loads(file.read_text("utf-8"))["calibrations"]
        return {mode: _calibration(stored[mode]) for mode in ("query", "blind")}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"guardrail calibration {file.name} is missing or damaged; reinstall ctxshrink") from error


def _calibration(stored: Mapping[str, Any]) -> Calibration:
    weights = {str(k): float(w) for k, w in stored["weights"].items()}
    return Calibration(float(stored["bias"]), weights, float(stored["threshold"]))
