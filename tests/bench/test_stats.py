from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from ctxshrink.bench.stats import auroc, lost_ratio, mean, stratified_interval


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
