"""The statistics that the tables need: intervals for means and shares, and the receiver operating characteristic."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

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
    # A resample in which the other method loses nothing, but for rounding, has no ratio.
    some = lost_there > 1e-9
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
    return Roc(scores, labels).auroc()


class Roc:
    """Scores held against labels: the receiver operating characteristic, under any weights of the examples.

    Args:
        scores: Higher means "more likely positive"; no NaN.
        labels: True for positives; same length.
        weights: Examples that each one stands for; default 1 each.
    """

    def __init__(self, scores: Sequence[float], labels: Sequence[bool], weights: Sequence[float] | None = None) -> None:
        values = np.asarray(scores, dtype=np.float64)
        self._positive = np.asarray(labels, dtype=np.bool_)
        self._weights = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)
        self._levels, self._level = np.unique(values, return_inverse=True)

    def auroc(self, times: NDArray[np.float64] | None = None) -> float:
        """Area under the curve, ties counted half.

        Args:
            times: How often each example counts, shape (examples,); default once.

        Returns:
            In [0, 1]; NaN when one of the classes is empty.
        """
        hits, alarms = self._by_level(times)
        n, m = float(hits.sum()), float(alarms.sum())
        if not n or not m:
            return float("nan")
        return float(hits @ (np.cumsum(alarms) - alarms / 2)) / (n * m)

    def caught(self, false_alarms: float, times: NDArray[np.float64] | None = None) -> float:
        """The share of positives above the lowest threshold that at most ``false_alarms`` of the negatives exceed.

        Args:
            false_alarms: Share in [0, 1].
            times: As in `auroc`.

        Returns:
            In [0, 1]; NaN when one of the classes is empty.
        """
        _, caught, alarms = self.points(times)
        return float(caught[alarms <= false_alarms + 1e-12].max()) if len(caught) else float("nan")

    def points(
        self, times: NDArray[np.float64] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """The curve: thresholds, and the shares of positives and of negatives that score above each.

        Args:
            times: As in `auroc`.

        Returns:
            Three arrays, shape (points,), from the highest threshold to the lowest, which is below every score; empty
            when one of the classes is.
        """
        hits, alarms = self._by_level(times)
        n, m = float(hits.sum()), float(alarms.sum())
        if not n or not m:
            return np.zeros(0), np.zeros(0), np.zeros(0)
        thresholds = np.append(self._levels[::-1], -np.inf)
        above = [np.concatenate([[0.0], np.cumsum(x[::-1])]) / x.sum() for x in (hits, alarms)]
        return thresholds, above[0], above[1]

    def _by_level(self, times: NDArray[np.float64] | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weight of positives and of negatives at each distinct score, ascending."""
        weights = self._weights if times is None else self._weights * times
        size = len(self._levels)
        hits = np.bincount(self._level, weights * self._positive, size).astype(np.float64)
        return hits, np.bincount(self._level, weights * ~self._positive, size).astype(np.float64)


def record_interval(
    statistic: Callable[[NDArray[np.float64]], float], record: Sequence[int], seed: int, level: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of a statistic over examples of which several come from one record.

    Records are drawn with replacement, each with all of its examples: those of one record are alike (the cluster
    bootstrap; Davison & Hinkley, Bootstrap Methods and their Application, section 3.8).

    Args:
        statistic: The statistic, given how often each example counts, shape (examples,).
        record: The record of each example, numbered from 0.
        seed: Makes it repeatable.
        level: Coverage.

    Returns:
        Lower and upper end; NaN where the statistic has no value in any resample.
    """
    of = np.asarray(record, dtype=np.int64)
    if not of.size:
        return float("nan"), float("nan")
    count = int(of.max()) + 1
    rng = np.random.default_rng(seed)
    found = np.array(
        [
            statistic(np.bincount(rng.integers(0, count, count), minlength=count).astype(np.float64)[of])
            for _ in range(RESAMPLES)
        ]
    )
    return _ends(found[~np.isnan(found)], level)


def clopper_pearson(hits: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Exact interval of a share: the shares under which so many or so few hits are not too rare.

    Clopper & Pearson, Biometrika 26 (1934), by bisection on the binomial tails.

    Args:
        hits: How many of the trials; 0 <= hits <= trials.
        trials: How many there were.
        level: Coverage, at least.

    Returns:
        Lower and upper end; (0, 1) without trials.
    """
    tail = (1 - level) / 2
    low = 0.0 if hits == 0 else _bisect(lambda p: 1 - _binomial(hits - 1, trials, p) - tail)
    high = 1.0 if hits == trials else _bisect(lambda p: tail - _binomial(hits, trials, p))
    return low, high


def _binomial(most: int, trials: int, p: float) -> float:
    """Probability of at most ``most`` hits in ``trials``, for 0 < p < 1."""
    k = np.arange(most + 1)
    choices = math.lgamma(trials + 1) - np.array([math.lgamma(i + 1) + math.lgamma(trials - i + 1) for i in k])
    return float(np.exp(choices + k * math.log(p) + (trials - k) * math.log1p(-p)).sum())


def _bisect(rising: Callable[[float], float]) -> float:
    """Where a rising function of (0, 1) crosses zero."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return low
