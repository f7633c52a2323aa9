from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink.bench.stats import (
    Roc,
    auroc,
    clopper_pearson,
    lost_ratio,
    mean,
    record_interval,
    stratified_interval,
)


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9]), st.booleans()), max_size=40))
def test_auroc_is_the_share_of_pairs_in_order(pairs: list[tuple[float, bool]]) -> None:
    positive = [s for s, label in pairs if label]
    negative = [s for s, label in pairs if not label]
    found = auroc([s for s, _ in pairs], [label for _, label in pairs])
    if not positive or not negative:
        assert math.isnan(found)
        return
    wins = sum((p > n) + 0.5 * (p == n) for p in positive for n in negative)
    assert math.isclose(found, wins / (len(positive) * len(negative)))


def test_mean_of_nothing_is_not_a_number() -> None:
    assert math.isnan(mean([]))
    assert mean([0.0, 1.0]) == 0.5


def test_interval_holds_the_mean_and_shrinks_with_more_records() -> None:
    few, many = [0.0, 1.0] * 10, [0.0, 1.0] * 500
    low, high = stratified_interval([few], 1)
    assert 0.2 < low < 0.5 < high < 0.8
    narrow_low, narrow_high = stratified_interval([many], 1)
    assert narrow_high - narrow_low < (high - low) / 4
    # Half-width of a binomial mean of 1,000: 1.96 · sqrt(0.25 / 1000) = 0.031.
    assert math.isclose(narrow_high - narrow_low, 0.062, abs_tol=0.008)


def test_interval_is_repeatable_and_takes_groups_apart() -> None:
    groups = [[1.0] * 50, [0.0] * 2]
    assert stratified_interval(groups, 3) == (0.5, 0.5)  # pooled, the mean would be 0.96 and vary
    mixed = [[0.0, 1.0, 1.0], [0.0, 1.0]]
    assert stratified_interval(mixed, 3) == stratified_interval(mixed, 3)
    assert stratified_interval([[], [1.0]], 0) == (1.0, 1.0)
    assert all(math.isnan(x) for x in stratified_interval([], 0))


def test_lost_ratio_weighs_sets_equally_and_resamples_in_pairs() -> None:
    ours, theirs = [[1.0] * 30 + [0.0] * 10, [1.0, 0.5]], [[1.0] * 20 + [0.0] * 20, [0.5, 0.5]]
    ratio, low, high = lost_ratio(ours, theirs, 1)
    assert ratio == (1 - (0.75 + 0.75) / 2) / (1 - (0.5 + 0.5) / 2)
    assert 0 < low < ratio < high < 1.1
    # The same records are drawn on both sides: with equal scores every resample's ratio is 1.
    assert lost_ratio(theirs, theirs, 1) == (1.0, 1.0, 1.0)


def test_nothing_lost_has_no_ratio() -> None:
    assert all(math.isnan(x) for x in lost_ratio([[0.5, 0.5]], [[1.0, 1.0]], 0))
    assert lost_ratio([[1.0, 1.0]], [[0.0, 1.0]], 0)[0] == 0.0
    # Resamples in which the other method loses nothing are left out.
    assert lost_ratio([[0.0, 1.0]], [[0.0, 1.0]], 0) == (1.0, 1.0, 1.0)


def test_clopper_pearson_holds_exact_ends() -> None:
    # With no hit in n the upper end solves (1 - p)^n = 0.025, and so on by symmetry.
    assert clopper_pearson(0, 20) == (0.0, pytest.approx(1 - 0.025 ** (1 / 20)))
    assert clopper_pearson(20, 20) == (pytest.approx(0.025 ** (1 / 20)), 1.0)
    low, high = clopper_pearson(4, 20)
    assert (low, high) == (pytest.approx(0.0573, abs=1e-4), pytest.approx(0.4366, abs=1e-4))
    assert clopper_pearson(16, 20) == (pytest.approx(1 - high), pytest.approx(1 - low))
    assert clopper_pearson(0, 0) == (0.0, 1.0)
    assert clopper_pearson(50, 5000)[1] < 0.0135


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.5, 0.9]), st.booleans(), st.integers(0, 3)), max_size=30))
def test_a_weight_is_that_many_copies(rows: list[tuple[float, bool, int]]) -> None:
    copies = [(s, label) for s, label, n in rows for _ in range(n)]
    weighted = Roc([s for s, _, _ in rows], [label for _, label, _ in rows], [n for _, _, n in rows])
    plain = Roc([s for s, _ in copies], [label for _, label in copies])
    assert weighted.auroc() == pytest.approx(plain.auroc(), nan_ok=True)
    for most in (0.0, 0.3, 1.0):
        assert weighted.caught(most) == pytest.approx(plain.caught(most), nan_ok=True)
    twice = plain.auroc(np.full(len(copies), 2.0))
    assert twice == pytest.approx(plain.auroc(), nan_ok=True)


def test_caught_is_the_share_above_the_threshold_that_few_negatives_exceed() -> None:
    roc = Roc([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], [True, False, True, True, False, False])
    assert [roc.caught(most) for most in (0.0, 0.3, 0.34, 1.0)] == [1 / 3, 1 / 3, 1.0, 1.0]
    thresholds, caught, alarms = roc.points()
    assert thresholds.tolist() == [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, -math.inf]
    assert caught.tolist() == pytest.approx([0, 1 / 3, 1 / 3, 2 / 3, 1, 1, 1])
    assert alarms.tolist() == pytest.approx([0, 0, 1 / 3, 1 / 3, 1 / 3, 2 / 3, 1])


def test_records_are_resampled_with_all_their_examples() -> None:
    # Ten examples of each of 30 records, half of which are all hits: as wide as for 30 examples.
    hits = np.repeat(np.arange(30) % 2 == 0, 10).astype(float)
    record = np.repeat(np.arange(30), 10).tolist()

    def share(times: np.ndarray[Any, Any]) -> float:
        return float(times @ hits / times.sum())

    low, high = record_interval(share, record, 1)
    assert 0.28 < low < 0.37
    assert 0.63 < high < 0.72
    alone = record_interval(share, list(range(300)), 1)
    assert alone[1] - alone[0] < (high - low) / 2
    assert all(map(math.isnan, record_interval(share, [], 1)))
    assert record_interval(share, record, 1) == (low, high)


def test_a_rounding_error_is_no_loss_to_divide_by() -> None:
    ours = [[1.0, 0.5]] * 9
    theirs = [[1.0, 0.9]] + [[1.0, 1.0]] * 8
    ratio, low, high = lost_ratio(ours, theirs, seed=0)
    assert 0 <= low <= ratio <= high < 1e6
