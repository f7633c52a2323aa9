from __future__ import annotations

import pytest

from ctxshrink.calibrate.floors import Trial, keep_floors, try_floors
from ctxshrink.calibrate.observations import Place
from ctxshrink.calibrate.validate import held_out, outcome, validate
from ctxshrink.errors import ConfigError

from .conftest import observation, simulate


def test_the_shares_of_an_outcome() -> None:
    rows = [
        observation("a", 0.1, 1.0),
        observation("b", 0.1, 0.5),
        observation("c", 0.9, 1.0),
        observation("d", 0, 0.0),
    ]
    found = outcome(rows, [True, True, False, True])
    assert found.miss_rate.value == pytest.approx(1.5 / 4)
    assert found.savings.value == pytest.approx(150 / 400)
    assert found.acceptance.value == pytest.approx(3 / 4)
    for estimate in (found.miss_rate, found.savings, found.acceptance):
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


def test_no_loss_in_few_records_is_no_proof() -> None:
    few, many = (outcome([observation(f"r{i}", 0.1, 0.0) for i in range(n)], [True] * n) for n in (10, 300))
    assert few.miss_rate.value == many.miss_rate.value == 0
    assert few.miss_rate.high == pytest.approx(0.308, abs=0.001)
    assert many.miss_rate.high == pytest.approx(0.0122, abs=0.0005)


def test_records_of_a_group_count_as_alike() -> None:
    rows = [observation(f"r{i}", 0.1, float(i % 2)) for i in range(100)]
    grouped = [observation(f"r{i}", 0.1, float(i % 2), group=str(i % 4)) for i in range(100)]
    apart, alike = (outcome(r, [True] * 100).miss_rate for r in (rows, grouped))
    assert alike.high - alike.low > 2 * (apart.high - apart.low)


def test_a_group_is_judged_by_fits_that_never_saw_it() -> None:
    # Within each group the risk tells nothing: only a fit that saw the group would know that "bad" loses all.
    good = [observation(f"g{i}", 0.01 + i / 1e4, 0.0) for i in range(200)]
    bad = [observation(f"b{i}", 0.001 + i / 1e5, 1.0, group="bad") for i in range(20)]
    accepted = held_out([*good, *bad], 0.02, 0.2, certified=True)
    assert all(accepted[200:])
    assert sum(accepted[:200]) < 100  # the four fits that saw it accept next to nothing


def test_one_group_cannot_be_tested() -> None:
    with pytest.raises(ConfigError, match=r'one group, "same".*different "group"'):
        held_out([observation(f"r{i}", 0.1, 0.0, group="same") for i in range(20)], 0.02, 0.2, certified=False)


def test_calibrated_shipped_and_unguarded_side_by_side() -> None:
    rows = simulate(400, lambda r: r / 8, seed=3)
    found = validate(rows, held_out(rows, 0.02, 0.2, certified=True))
    assert found.records == found.needed == 400
    assert list(found.by_keep) == [0.25, 0.5]
    assert found.shipped.savings.value < found.calibrated.savings.value <= found.unguarded.savings.value
    assert found.unguarded.acceptance.value == 1
    assert found.calibrated.miss_rate.value <= 0.03


def test_floors_are_where_losses_begin() -> None:
    def places(kind: str, content_type: str, lost: int, of: int) -> tuple[Place, ...]:
        return tuple(Place(kind, content_type, i < lost) for i in range(of))

    rows = [
        observation("a", 0.1, 0.0, 0.5, places=places("tool_result", "json", 0, 100) + places("user", "prose", 1, 100)),
        observation(
            "a", 0.1, 0.0, 0.25, places=places("tool_result", "json", 1, 100) + places("user", "prose", 5, 100)
        ),
        observation("a", 0.1, 0.0, 0.1, places=places("tool_result", "json", 9, 100) + places("user", "prose", 1, 100)),
        observation("b", 0.1, 0.0, 0.5, places=places("assistant", "log", 10, 20)),
        observation("b", 0.1, 0.0, 0.25, places=places("assistant", "log", 10, 20)),
    ]
    floors = keep_floors(rows, 0.02)
    assert floors.kinds == {"tool_result": 0.25, "user": 0.5}
    assert floors.types == {"json": 0.25, "prose": 0.5}
    assert floors.losses["user"] == {0.1: 0.01, 0.25: 0.05, 0.5: 0.01}
    assert keep_floors(rows, 0.0001).kinds == {"tool_result": 0.5, "user": 0.5}
    assert keep_floors([], 0.02).kinds == {}


def test_floors_must_help() -> None:
    assert Trial(0.2, 0.1, 0.5, 0.5).helped
    assert not Trial(0.2, 0.4, 0.5, 0.5).helped
    assert not Trial(0.2, 0.1, 0.5, 0.6).helped
    assert try_floors([], simulate(20, lambda r: r), 0.02, [0.5]) is None
