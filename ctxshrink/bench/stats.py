"""The statistics that the tables need: intervals for means, and the area under the ROC curve."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean; NaN for no values."""
    return sum(values) / len(values) if values else float("nan")


def stratified_interval(groups: Sequence[Sequence[float]], seed: int, level: float = 0.95) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of several groups' means; every group is resampled on its own.

    With one group: of its mean (Efron & Tibshirani, An Introduction to the Bootstrap, section 13.3).

    Args:
        groups: One score per record, by set; empty groups are left out.
        seed: Makes it repeatable.
        level: Coverage.

    Returns:
        Lower and upper end; both NaN when nothing is left.
    """
    return _ends(_resampled_means(groups, seed), level)


def lost_ratio(
    ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]], seed: int, level: float = 0.95
) -> tuple[float, float, float]:
    """What one method loses as a share of what another loses: (1 - mean of ours) / (1 - mean of theirs).

    Args:
        ours: One score in [0, 1] per record, by set; empty groups are left out.
        theirs: The other method's scores of the same records.
        seed: Makes it repeatable.
        level: Coverage.

    Returns:
        The ratio and the ends of its percentile bootstrap interval, records resampled in pairs within their sets. NaN
        where the other method loses nothing.
    """
    mine, other = mean([mean(g) for g in ours if g]), mean([mean(g) for g in theirs if g])
    # The same seed and the same group sizes draw the same records.
    lost, lost_there = 1 - _resampled_means(ours, seed), 1 - _resampled_means(theirs, seed)
    if not other < 1:
        return float("nan"), float("nan"), float("nan")
    # A resample in which the other method loses nothing has no ratio.
    some = lost_there > 0
    return (1 - mine) / (1 - other), *_ends(lost[some] / lost_there[some], level)


def _resampled_means(groups: Sequence[Sequence[float]], seed: int) -> NDArray[np.float64]:
    """Bootstrap distribution of the mean of the groups' means, shape (`RESAMPLES`,); shape (0,) without groups."""
    rng = np.random.default_rng(seed)
    samples = [np.asarray(g, dtype=np.float64) for g in groups if g]
    means = np.zeros(RESAMPLES if samples else 0)
    for sample in samples:
        means += sample[rng.integers(0, len(sample), size=(RESAMPLES, len(sample)))].mean(axis=1) / len(samples)
    return means


def _ends(values: NDArray[np.float64], level: float) -> tuple[float, float]:
    if not values.size:
        return float("nan"), float("nan")
    tail = (1 - level) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def auroc(scores: Sequence[float], labels: Sequence[bool]) -> float:
    """Probability that a positive scores higher than a negative, ties counted half (Mann-Whitney U statistic).

    Args:
        scores: Higher means "more likely positive".
        labels: True for positives; same length.

    Returns:
        In [0, 1]; NaN when one of the classes is empty.
    """
    values = np.asarray(scores, dtype=np.float64)
    positive = np.asarray(labels, dtype=np.bool_)
    n, m = int(positive.sum()), int((~positive).sum())
    if not n or not m:
        return float("nan")
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    # Equal scores share the mean of their ranks.
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2)[inverse]
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))
