"""AUROC of guardrails on outcomes made by hand."""

from __future__ import annotations

import math

from ctxshrink.bench.kv_detector import detectors
from ctxshrink.bench.kv_needle import Outcome
from ctxshrink.bench.kv_report import cells, rows


def outcome(
    context: int, right: tuple[bool, ...], score: float, *, seed: int = 0, full: bool = True, method: str = "a"
) -> Outcome:
    signals = {"auto": score, "auto ppl": -score}
    signals |= {f"{name} {q}": score for name in ("asked", "asked ppl") for q in range(len(right))}
    return Outcome("needle", method, 0.1, seed, context, right, (full,) * len(right), 1.0, 10.0, 0.1, 5, signals)


def test_a_score_that_tells_and_one_that_does_not() -> None:
    found = [outcome(0, (True, True), 0.1), outcome(1, (False, False), 3.0), outcome(2, (True, True), 0.2)]
    whole = {d.signal: d for d in detectors(found) if d.over == "all"}
    assert whole["auto"].auroc == whole["asked"].auroc == 1
    assert whole["auto ppl"].auroc == 0
    assert whole["auto"].answers == 6
    assert whole["auto"].lost == 1 / 3


def test_what_the_full_cache_has_wrong_is_not_lost() -> None:
    found = [outcome(0, (True, True), 0.1), outcome(1, (False, True), 3.0), outcome(2, (False, False), 9.0, full=False)]
    [auto] = [d for d in detectors(found) if d.over == "all" and d.signal == "auto"]
    assert auto.lost == 1 / 6
    assert auto.auroc < auto.right_only
    assert auto.right_only > 0.5


def test_what_is_not_a_number_is_worst() -> None:
    found = [outcome(0, (True,), 0.1), outcome(1, (False,), math.nan), outcome(2, (True,), 50.0)]
    [auto] = [d for d in detectors(found) if d.over == "all" and d.signal == "auto"]
    assert auto.auroc == 1


def test_one_class_has_no_auroc_and_null_in_the_report() -> None:
    found = detectors([outcome(0, (True,), 0.1)])
    assert all(math.isnan(d.auroc) for d in found)
    assert all(row["auroc"] is None for row in rows(found))


def test_cells_are_means_of_seeds() -> None:
    found = [outcome(0, (True, True), 0, seed=1), outcome(1, (True, True), 0, seed=1), outcome(0, (False, True), 0)]
    [cell] = cells(found)
    assert cell.accuracy == 0.75
    assert math.isclose(cell.spread, 0.125**0.5)
    assert cell.behind == 25
    assert (cell.seeds, cell.answers) == (2, 6)
