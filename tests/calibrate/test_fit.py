from __future__ import annotations

import math
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink.calibrate.fit import ModeFit, adjusted, fit_mode, platt
from ctxshrink.calibrate.observations import Observation
from ctxshrink.guardrails import Adjustment

from .conftest import observation, simulate

SHIPPED = 0.2


def lost(fit: ModeFit, rows: list[Observation], keep: float) -> float:
    return mean(o.lost * fit.accepts(o.risk) for o in rows if o.keep == keep)


def accepted(fit: ModeFit, rows: list[Observation]) -> float:
    return mean(fit.accepts(o.risk) for o in rows)


def test_a_risk_that_is_right_stays_as_it_is() -> None:
    slope, intercept = platt(simulate(1500, lambda r: r))
    assert slope == pytest.approx(1, abs=0.15)
    assert intercept == pytest.approx(0, abs=0.15)


def test_a_risk_that_is_wrong_is_corrected() -> None:
    rows = simulate(1500, lambda r: r**2 / (r**2 + (1 - r) ** 2))  # the logit is doubled
    slope, intercept = platt(rows)
    assert slope == pytest.approx(2, abs=0.25)
    assert intercept == pytest.approx(0, abs=0.25)
    too_low = Adjustment(*platt(simulate(500, lambda r: min(1.0, 3 * r))))
    assert mean(adjusted(o.risk, too_low) for o in rows) > mean(o.risk for o in rows)


def test_little_data_changes_little() -> None:
    few, many = (platt([observation(f"r{i}", 0.1, 1.0) for i in range(n)]) for n in (2, 200))
    start = math.log(0.1 / 0.9)
    assert adjusted(0.1, Adjustment(*few)) == pytest.approx((2 + 10 * 0.1) / 12, abs=0.001)
    assert adjusted(0.1, Adjustment(*many)) > 0.85
    assert start < few[0] * start + few[1] < many[0] * start + many[1]
    assert platt([]) == (1.0, 0.0)


def test_a_higher_risk_stays_higher_whatever_the_data_says() -> None:
    fit = fit_mode(simulate(500, lambda r: 1 - r), 0.02, SHIPPED)
    assert fit.adjustment.slope > 0
    risks = [adjusted(r / 20, fit.adjustment) for r in range(21)]
    assert risks == sorted(risks)
    assert risks[0] == 0


@pytest.mark.parametrize("limit", [0.02, 0.05, 0.1])
@pytest.mark.parametrize("power", [0.5, 1, 2])
@pytest.mark.parametrize("count", [100, 200])
def test_the_miss_rate_holds_on_other_records(limit: float, power: float, count: int) -> None:
    unseen = simulate(3000, lambda r: r**power, seed=99)
    fits = [fit_mode(simulate(count, lambda r: r**power, seed=s), limit, SHIPPED) for s in range(8)]
    for keep in (0.25, 0.5):
        assert mean(lost(f, unseen, keep) for f in fits) <= 1.15 * limit  # eight draws
    # and it is no empty promise
    assert max(lost(f, unseen, keep) for f in fits for keep in (0.25, 0.5)) > limit / 4


def test_it_accepts_more_where_less_is_lost_than_the_risk_says() -> None:
    rows = simulate(300, lambda r: r / 10)
    fit = fit_mode(rows, 0.02, SHIPPED)
    assert accepted(fit, rows) > mean(o.accepted for o in rows) + 0.05


def test_it_accepts_less_where_more_is_lost() -> None:
    rows = simulate(300, lambda r: math.sqrt(r))
    fit = fit_mode(rows, 0.02, SHIPPED)
    assert accepted(fit, rows) < mean(o.accepted for o in rows) - 0.1
    assert lost(fit, rows, 0.5) <= 0.02


def test_no_losses_in_few_records_leave_the_shipped_threshold() -> None:
    rows = simulate(40, lambda _: 0.0)
    fit = fit_mode(rows, 0.02, SHIPPED)
    assert not fit.certified
    assert [fit.accepts(o.risk) for o in rows] == [o.accepted for o in rows]
    assert fit.adjustment.threshold == fit.shipped


def test_no_losses_in_many_records_allow_what_was_seen_and_no_more() -> None:
    rows = [observation(f"r{i}", i / 500, 0.0) for i in range(200)]
    fit = fit_mode(rows, 0.02, SHIPPED)
    assert fit.certified
    assert all(fit.accepts(o.risk) for o in rows)
    assert not fit.accepts(0.5)


def test_where_all_is_lost_nothing_is_accepted() -> None:
    rows = [observation(f"r{i}", 0.01 + i / 1000, 1.0) for i in range(60)]
    fit = fit_mode(rows, 0.02, SHIPPED)
    assert sum(fit.accepts(o.risk) for o in rows) <= 1
    assert fit.accepts(0.0)  # what left nothing out


def test_one_lost_record_of_ten_decides_nothing() -> None:
    rows = [observation(f"r{i}", 0.05 + i / 100, float(i == 0)) for i in range(10)]
    assert all(fit_mode(rows, 0.02, SHIPPED).accepts(o.risk) for o in rows)


def test_equal_risks_are_let_out_together_or_not_at_all() -> None:
    rows = [observation(f"r{i}", 0.1 if i < 100 else 0.3, float(i >= 100 and i % 2)) for i in range(200)]
    fit = fit_mode(rows, 0.02, 0.9)
    assert fit.accepts(0.1)
    assert not fit.accepts(0.3)


def test_risks_that_are_no_numbers_are_rejected_and_not_learned_from() -> None:
    rows = simulate(100, lambda r: r)
    odd = [observation(f"n{i}", math.nan, 1.0) for i in range(50)]
    assert platt([o for o in rows + odd if o.risk > 0]) == platt(rows)
    assert not fit_mode(rows + odd, 0.02, SHIPPED).accepts(math.nan)


ROWS = st.lists(st.tuples(st.floats(0, 1), st.sampled_from([0.0, 0.0, 0.0, 0.5, 1.0])), min_size=1, max_size=300)


@given(ROWS, st.floats(0.001, 0.4), st.floats(1, 10), st.floats(0.01, 0.9))
def test_a_smaller_miss_rate_never_accepts_more(
    drawn: list[tuple[float, float]], limit: float, factor: float, shipped: float
) -> None:
    rows = [observation(f"r{i // 2}", risk, lost, (0.25, 0.5)[i % 2]) for i, (risk, lost) in enumerate(drawn)]
    strict, loose = fit_mode(rows, limit, shipped), fit_mode(rows, min(0.99, limit * factor), shipped)
    for o in rows:
        assert loose.accepts(o.risk) or not strict.accepts(o.risk)


@given(ROWS)
def test_few_records_never_accept_what_the_shipped_threshold_rejects(drawn: list[tuple[float, float]]) -> None:
    rows = [observation(f"r{i}", risk, lost) for i, (risk, lost) in enumerate(drawn[:48])]
    fit = fit_mode(rows, 0.02, SHIPPED)
    assert all(o.risk <= SHIPPED + 1e-4 for o in rows if fit.accepts(o.risk))
