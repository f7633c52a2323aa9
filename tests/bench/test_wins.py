from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink.bench.run import Observation
from ctxshrink.bench.wins import holm, pairs, sign_test, wins_table


def seen(
    method: str, scores: list[float], *, set_name: str = "s", by: str = "answers", over: int = 0
) -> list[Observation]:
    return [
        Observation(set_name, "en", method, 0.5, {"score": s, by: s}, 10, 5, 10, 5, over, 0, 0.1) for s in scores
    ]  # fmt: skip


def test_a_pair_counts_records_and_weighs_sets() -> None:
    rows = [*seen("a", [1, 1, 0, 1]), *seen("a", [0.5], set_name="t"), *seen("a", [1], set_name="e", by="evidence")]
    rows += [*seen("b", [0, 1, 1, 0]), *seen("b", [0.5], set_name="t"), *seen("b", [0], set_name="e", by="evidence")]
    [pair] = pairs(rows)
    assert (pair.first, pair.second, pair.wins, pair.losses, pair.ties) == ("a", "b", 2, 1, 2)
    assert pair.difference == pytest.approx(0.125)
    assert pair.interval[0] <= 0.125 <= pair.interval[1]
    assert pair.sign == pair.adjusted == 1.0
    assert pair.kept == (0.5, 0.5)


def test_what_is_over_budget_is_counted() -> None:
    [pair] = pairs([*seen("a", [1, 1], over=3), *seen("a", [0]), *seen("b", [0, 1, 1])])
    assert pair.over == 2
    assert (pair.wins, pair.losses, pair.ties) == (0, 1, 0)
    [none] = pairs([*seen("a", [1, 1], over=3), *seen("b", [0, 1])])
    assert (none.wins, none.losses, none.ties, none.over) == (0, 0, 0, 2)


def test_the_table_marks_who_is_ahead_by_more_than_chance() -> None:
    rows = [*seen("a", [1.0] * 12), *seen("b", [0.0] * 12), *seen("c", [0.0] * 11 + [1.0])]
    shown = wins_table(pairs(rows), 0.5)
    cells = [list(column.cells) for column in shown.columns]
    assert cells[0] == ["a", "b", "c"]
    assert cells[2] == ["[bold]12–0[/bold]", "", "1–0"]  # against b
    assert cells[1] == ["", "0–12", "0–11"]  # against a


def test_one_method_has_no_pairs() -> None:
    assert pairs(seen("a", [1.0])) == []


@given(st.integers(0, 7), st.integers(0, 7))
def test_the_sign_test_counts_coin_throws(wins: int, losses: int) -> None:
    n = wins + losses
    throws = [sum(t) for t in itertools.product((0, 1), repeat=n)]
    as_far = [t for t in throws if abs(t - n / 2) >= abs(wins - n / 2)]
    assert sign_test(wins, losses) == pytest.approx(len(as_far) / len(throws))


def test_the_sign_test_of_many_records() -> None:
    assert sign_test(5000, 5000) == 1.0
    assert 0 < sign_test(5200, 4800) < 1e-4


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert holm([]) == []
