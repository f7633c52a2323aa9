"""The fitted models behind `PerplexityGuardrail`, and where the shipped ones lie."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ctxshrink.errors import ConfigError, ModelError

Level: TypeAlias = Literal["segment", "output"]

SHIPPED: Final = Path(__file__).parents[1] / "models" / "guardrail" / "config.json"
"""The shipped detector."""
FALSE_FALLBACKS: Final = 0.1
"""Share of the harmless compressions of single segments that may be rejected."""
FORMAT: Final = 2
"""Version of the file's format."""


@dataclass(frozen=True, slots=True)
class Logistic:
    """p = 1 / (1 + exp(-(bias + Σ weights[i] · x[i]))).

    Attributes:
        bias: Intercept.
        weights: By name of the feature, in the features' order.
    """

    bias: float
    weights: Mapping[str, float]

    def risk(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities of rows of features, shape (rows, features) to (rows,)."""
        # Not `x @ weights`: the last bits of a matrix product depend on how many rows are in the batch.
        z = self.bias + (x * np.array(list(self.weights.values()), dtype=np.float64)).sum(axis=1)
        return 1 / (1 + np.exp(-np.clip(z, -30.0, 30.0)))


@dataclass(frozen=True, slots=True)
class Point:
    """What comes of accepting up to a risk, on sources that the models were not fitted on.

    Attributes:
        limit: The highest risk that is accepted.
        missed: Share of the needed strings lost by what is accepted at about this risk, where nine sources in ten lose
            less.
        average: The same, mean over all compressions.
        false_fallbacks: Share of the harmless compressions that are rejected.
        caught: Share of the losses that are rejected.
    """

    limit: float
    missed: float
    average: float
    false_fallbacks: float
    caught: float


@dataclass(frozen=True, slots=True)
class Adjustment:
    """How one user's traffic differs from what the detector was fitted on; see ``ctxshrink calibrate``.

    risk' = 1 / (1 + exp(-(slope · logit(risk) + intercept))) (Platt scaling of the risk of whole outputs).

    Attributes:
        slope: Of the logit.
        intercept: Added to it.
        threshold: Outputs are accepted up to this risk'; None: from ``max_miss_rate``.

    Raises:
        ConfigError: The slope is not positive, or a value is no number of its range.
    """

    slope: float = 1.0
    intercept: float = 0.0
    threshold: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.slope < math.inf:
            raise ConfigError(f"slope must be a positive number; got {self.slope!r}")
        if not math.isfinite(self.intercept):
            raise ConfigError(f"intercept must be a number; got {self.intercept!r}")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ConfigError(f"threshold must be a probability in [0, 1] or None; got {self.threshold!r}")

    def apply(self, risk: float) -> float:
        """Risk'."""
        if (self.slope, self.intercept) == (1.0, 0.0):
            return risk
        return _sigmoid(self.slope * _logit(risk) + self.intercept)

    def revert(self, risk: float) -> float:
        """The risk whose risk' this is."""
        return _sigmoid((_logit(risk) - self.intercept) / self.slope)


def _logit(risk: float) -> float:
    inside = min(max(risk, 1e-6), 1 - 1e-6)
    return math.log(inside / (1 - inside))


def _sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, z))))


@dataclass(frozen=True, slots=True)
class Detector:
    """Logistic models for units, segments and whole outputs.

    Attributes:
        needs: Probability that a unit is needed, by mode and group of content types (`_needs.GROUPS`).
        segment: Probability that a compression of one segment lost needed text, by mode.
        output: Share of the needed strings that an output lost, by mode.
        terms: What the language model's terms add to the logit of a segment's risk, by mode: weights by name.
        curves: By mode and level (``query/output``), points in ascending order of `Point.limit`.
        figures: What was measured when it was fitted.
    """

    needs: Mapping[str, Mapping[str, Logistic]]
    segment: Mapping[str, Logistic]
    output: Mapping[str, Logistic]
    terms: Mapping[str, Mapping[str, float]]
    curves: Mapping[str, Sequence[Point]]
    figures: Mapping[str, Any] = field(default_factory=dict[str, Any], compare=False)

    def limit(self, mode: str, level: Level, max_miss_rate: float) -> float:
        """The highest risk that may be accepted where ``max_miss_rate`` of the needed strings may be lost on average.

        Where no point of the curve of outputs is as good as that, the first one, scaled down. Of segments it is at
        least the limit that rejects one harmless compression in ten: what they lose together is the output's matter.
        """
        curve = self.curves[f"{mode}/{level}"]
        good = [p.limit for p in curve if p.average <= max_miss_rate]
        if level == "segment":
            good += [p.limit for p in curve if p.false_fallbacks <= FALSE_FALLBACKS][:1]
        return max(good) if good else curve[0].limit * max_miss_rate / max(curve[0].average, 1e-9)

    def miss_rate(self, mode: str, risk: float) -> float:
        """The share of the needed strings that outputs accepted up to a risk may lose, by the curve."""
        curve = self.curves[f"{mode}/output"]
        return max((p.average for p in curve if p.limit <= risk), default=0.0)


def load_detector(path: Path = SHIPPED) -> Detector:
    """A detector that ``ctxshrink train guardrail`` wrote; shared in the process until the file changes.

    Args:
        path: Its ``config.json``, or the folder of that; default the shipped one, see its CARD.md.

    Raises:
        ModelError: The file is missing, damaged or of another format.
    """
    file = path / "config.json" if path.is_dir() else path
    try:
        state = file.stat()
    except OSError as error:
        raise _unreadable(file, error) from error
    return _load(file, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=64)
def _load(file: Path, changed: int, size: int) -> Detector:
    """Reads a file as it was at a time, in nanoseconds, and of a size: a file that was written again is read again."""
    try:
        stored = json.loads(file.read_text("utf-8"))
        if stored["format"] != FORMAT:
            raise ModelError(
                f"guardrail file {file} has format {stored['format']!r}, this version reads {FORMAT}: "
                "fit it again with ctxshrink train guardrail, or reinstall ctxshrink"
            )
        return _read(stored)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> ModelError:
    mend = "reinstall ctxshrink" if file == SHIPPED else "fit it again with ctxshrink train guardrail"
    return ModelError(f"guardrail file {file} is missing or damaged ({type(error).__name__}: {error}); {mend}")


def save_detector(detector: Detector, folder: Path) -> Path:
    """Write ``config.json`` into a folder, which is made; returns the file."""
    stored = {
        "format": FORMAT,
        "needs": {m: {g: _stored(f) for g, f in groups.items()} for m, groups in detector.needs.items()},
        "segment": {m: _stored(f) for m, f in detector.segment.items()},
        "output": {m: _stored(f) for m, f in detector.output.items()},
        "terms": detector.terms,
        "curves": {
            k: [[p.limit, p.missed, p.average, p.false_fallbacks, p.caught] for p in points]
            for k, points in detector.curves.items()
        },
        "figures": detector.figures,
    }
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "config.json"
    file.write_text(json.dumps(stored, indent=1) + "\n", "utf-8")
    return file


def check_miss_rate(rate: float) -> float:
    """Return the rate, or raise a `ConfigError`."""
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"max_miss_rate must be a share in (0, 1), like 0.05; got {rate!r}")
    return float(rate)


def _read(stored: Mapping[str, Any]) -> Detector:
    """The parts of a file; raises what a missing or odd part raises."""
    from ._needs import FEATURES as OF_UNITS  # these modules read this one
    from ._omission import FEATURES

    needs = {m: {g: _logistic(f, OF_UNITS[m]) for g, f in stored["needs"][m].items()} for m in OF_UNITS}
    if not all("text" in groups for groups in needs.values()):
        raise KeyError("text")
    return Detector(
        needs,
        {m: _logistic(stored["segment"][m], FEATURES) for m in OF_UNITS},
        {m: _logistic(stored["output"][m], FEATURES) for m in OF_UNITS},
        {m: {k: float(w) for k, w in stored["terms"][m].items()} for m in OF_UNITS},
        {k: _curve(stored["curves"][k]) for m in OF_UNITS for k in (f"{m}/segment", f"{m}/output")},
        stored.get("figures", {}),
    )


def _logistic(stored: Mapping[str, Any], names: Sequence[str]) -> Logistic:
    """A model over these features, in this order."""
    weights = stored["weights"]
    if set(weights) != set(names):
        raise ValueError(f"weights of {sorted(set(weights) ^ set(names))}")
    return Logistic(float(stored["bias"]), {name: float(weights[name]) for name in names})


def _curve(stored: Sequence[Sequence[float]]) -> tuple[Point, ...]:
    if not stored:
        raise ValueError("an empty curve")
    return tuple(Point(*map(float, p)) for p in stored)


def _stored(fitted: Logistic) -> dict[str, Any]:
    return {"bias": fitted.bias, "weights": dict(fitted.weights)}
