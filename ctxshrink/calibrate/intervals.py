"""Shares of few records, with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ctxshrink.bench.stats import clopper_pearson, record_interval


@dataclass(frozen=True, slots=True)
class Estimate:
    """A share and the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """For JSON, rounded."""
        return {"value": round(self.value, 5), "low": round(self.low, 5), "high": round(self.high, 5)}


def ratio(over: Sequence[float], under: Sequence[float], groups: Sequence[str], seed: int) -> Estimate:
    """Σ over / Σ under, with the bootstrap over groups; 0 where there is nothing to divide by.

    Args:
        over: One number per record.
        under: One number per record, 0 or more.
        groups: The group of each record: those of a group are alike, and are drawn together.
        seed: Makes it repeatable.
    """
    tops, bottoms = np.asarray(over, dtype=np.float64), np.asarray(under, dtype=np.float64)
    if not bottoms.sum():
        return Estimate(0.0, 0.0, 0.0)
    numbers = {group: i for i, group in enumerate(dict.fromkeys(groups))}

    def statistic(times: NDArray[np.float64]) -> float:
        bottom = float(bottoms @ times)
        return float(tops @ times) / bottom if bottom else math.nan

    low, high = record_interval(statistic, [numbers[g] for g in groups], seed)
    return Estimate(float(tops.sum() / bottoms.sum()), low, high)


def at_least_exact(estimate: Estimate, hits: float, records: int) -> Estimate:
    """The estimate with the interval of Clopper and Pearson where that is wider: no hit in few records is no proof.

    Args:
        estimate: A share of records, from the bootstrap.
        hits: Records' worth of hits; a fraction is rounded outwards.
        records: Out of how many.
    """
    low, _ = clopper_pearson(math.floor(hits + 1e-9), records)
    _, high = clopper_pearson(math.ceil(hits - 1e-9), records)
    return Estimate(estimate.value, min(low, estimate.low), max(high, estimate.high))
