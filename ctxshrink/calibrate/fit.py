"""Fits the guardrail's adjustment to observations of one mode: Platt scaling, then a threshold with a margin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ctxshrink.guardrails import Adjustment

from .observations import LEAST_RISK, Observation, by_record

PRIOR_RECORDS: Final = 10.0
"""Weight of the shipped risk, in records: with as many of one's own, the adjusted risk moves half the way."""

SLOPES: Final = (0.1, 10.0)
"""Least and largest slope: a higher risk stays a higher risk, whatever a few records say."""


def records_to_loosen(max_miss_rate: float) -> int:
    """Records from which on data without a loss is ground for accepting more than the shipped threshold does.

    The bound of `fit_mode` allows no loss at all of fewer than that: n >= 1 / max_miss_rate - 1.
    """
    return math.ceil(1 / max_miss_rate - 1 - 1e-9)


@dataclass(frozen=True, slots=True)
class ModeFit:
    """The adjustment of one mode.

    Attributes:
        adjustment: Slope, intercept and threshold.
        shipped: The shipped threshold on the adjusted scale.
        records: Records that it was fitted on.
        certified: They are enough to accept more than as shipped.
    """

    adjustment: Adjustment
    shipped: float
    records: int
    certified: bool

    def accepts(self, risk: float) -> bool:
        """Whether an output of this risk is let out; NaN never is."""
        limit = self.adjustment.threshold
        return adjusted(risk, self.adjustment) <= (1.0 if limit is None else limit) if math.isfinite(risk) else False


def adjusted(risk: float, adjustment: Adjustment) -> float:
    """The adjusted risk as verdicts give it, to four decimals; 0 stays 0: nothing was left out."""
    return round(adjustment.apply(risk), 4) if risk > 0 else 0.0


def fit_mode(
    observations: Sequence[Observation], max_miss_rate: float, shipped: float, *, certified: bool | None = None
) -> ModeFit:
    """Fit one mode.

    The threshold is the largest observed risk' up to which, at every keep, what is let out lost at most
    (n + 1) * max_miss_rate - 1 records' worth: the bound of conformal risk control (Angelopoulos, Bates, Fisch, Lei and
    Schuster, 2022, theorem 1), whose +1 is what stands between the share that was observed and the one to be expected
    of the next record. Below the shipped threshold one record's worth may be lost in any case: it decides nothing.

    Args:
        observations: Of one mode; at least one.
        max_miss_rate: Most of the needed strings that may be lost, in (0, 1).
        shipped: The shipped threshold, on the scale of the observations' risks.
        certified: Whether there are records enough to go beyond the shipped threshold; default by their number here.
    """
    records = len(by_record(observations))
    slope, intercept = platt([o for o in observations if o.risk > 0])
    plain = Adjustment(slope, intercept)
    if certified is None:
        certified = records >= records_to_loosen(max_miss_rate)
    mapped = adjusted(shipped, plain)
    seen = max((adjusted(o.risk, plain) for o in observations if math.isfinite(o.risk)), default=0.0)
    # Where not even the highest risk that was seen lost too much, what is beyond it is left as shipped.
    allowed, groups = (records + 1) * max_miss_rate - 1, _by_keep(observations)
    limit = min([mapped, *(_largest(group, plain, max(1.0, allowed)) for group in groups)])
    if certified:
        limit = max(limit, min([max(mapped, seen), *(_largest(group, plain, max(0.0, allowed)) for group in groups)]))
    return ModeFit(Adjustment(slope, intercept, limit), mapped, records, certified)


def _by_keep(observations: Sequence[Observation]) -> list[list[Observation]]:
    return [[o for o in observations if o.keep == keep] for keep in sorted({o.keep for o in observations})]


def _largest(observations: Sequence[Observation], plain: Adjustment, allowed: float) -> float:
    """The largest observed risk' that lets out at most ``allowed`` records' worth of loss.

    0 where the smallest lets out more; infinite where all of them together do not.
    """
    rows = sorted((adjusted(o.risk, plain), o.lost) for o in observations if math.isfinite(o.risk))
    total = 0.0
    for index, (risk, lost) in enumerate(rows):
        total += lost
        if total > allowed + 1e-9:
            # Equal risks are let out together or not at all.
            return max((r for r, _ in rows[:index] if r < risk), default=0.0)
    return math.inf


def platt(observations: Sequence[Observation]) -> tuple[float, float]:
    """Slope and intercept that make the risks tell the observed shares.

    Maximum likelihood with fractional labels (Platt, 1999), each record of weight one, with `PRIOR_RECORDS` more that
    have the same risks and lost just what these say; by Newton's method with halved steps.

    Returns:
        Slope, within `SLOPES`, and intercept, to six decimals; (1, 0) without observations.
    """
    if not observations:
        return 1.0, 0.0
    sizes = {record: len(rows) for record, rows in by_record(observations).items()}
    x = np.array([_logit(o.risk) for o in observations])
    y = np.array([o.lost for o in observations])
    weight = np.array([1 / sizes[o.record] for o in observations])
    prior = PRIOR_RECORDS / weight.sum()
    y = (y + prior / (1 + np.exp(-x))) / (1 + prior)
    weight = weight * (1 + prior)
    w = _newton(np.stack([x, np.ones_like(x)], axis=1), y, weight, np.array([1.0, 0.0]))
    slope = min(SLOPES[1], max(SLOPES[0], float(w[0])))
    if slope != w[0]:
        offset = np.stack([np.ones_like(x)], axis=1)
        w = np.array([slope, *_newton(offset, y, weight, np.array([0.0]), slope * x)])
    return round(float(w[0]), 6), round(min(50.0, max(-50.0, float(w[1]))), 6)


def _newton(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    weight: NDArray[np.float64],
    prior: NDArray[np.float64],
    offset: NDArray[np.float64] | float = 0.0,
) -> NDArray[np.float64]:
    # Keeps where it was what the risks cannot tell, as the slope where all of them are equal.
    precision = 1e-3 * np.eye(len(prior))

    def loss(w: NDArray[np.float64]) -> float:
        z = x @ w + offset
        return float((weight * (np.logaddexp(0, z) - y * z)).sum() + (w - prior) @ precision @ (w - prior) / 2)

    w, now = prior, loss(prior)
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(x @ w + offset, -500, 500)))
        gradient = x.T @ (weight * (p - y)) + precision @ (w - prior)
        hessian = (x * (weight * p * (1 - p))[:, None]).T @ x + precision
        step = np.linalg.solve(hessian, gradient)
        scale = 1.0
        while scale > 1e-6 and loss(w - scale * step) > now:
            scale /= 2
        w = w - scale * step
        now = loss(w)
        if float(np.abs(step).max()) < 1e-9:
            break
    return w


def _logit(risk: float) -> float:
    p = min(1 - LEAST_RISK, max(LEAST_RISK, risk))
    return math.log(p / (1 - p))
