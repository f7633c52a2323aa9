"""The weights of the language model's terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from ctxshrink.training.guardrail_terms import term_weights

ROWS = 240
SOURCES = np.array(["a", "b", "c", "d"] * (ROWS // 4))


def weights(term: str, values: np.ndarray, lost: np.ndarray) -> dict[str, float]:
    told: Sequence[Mapping[str, float] | None] = [{term: float(v)} for v in values]
    return term_weights(told, lost.astype(float), np.ones(ROWS), SOURCES, np.full(ROWS, 0.3))


@pytest.mark.parametrize(("term", "sign"), [("anchor", 1.0), ("recovery", -1.0), ("probe", -1.0)])
def test_a_term_that_tells_losses_is_kept_with_its_sign(term: str, sign: float) -> None:
    draws = np.random.default_rng(3)
    lost = draws.random(ROWS) < 0.3
    values = sign * np.where(lost, 0.8, -0.2) + draws.normal(0, 0.1, ROWS)
    found = weights(term, values, lost)
    assert set(found) == {term}
    assert found[term] * sign > 0


@pytest.mark.parametrize(("term", "sign"), [("anchor", -1.0), ("recovery", 1.0)])
def test_a_term_that_speaks_the_wrong_way_is_left_out(term: str, sign: float) -> None:
    lost = np.random.default_rng(4).random(ROWS) < 0.3
    assert weights(term, sign * np.where(lost, 0.8, -0.2), lost) == {}


def test_a_term_that_helps_in_one_source_alone_is_left_out() -> None:
    lost = np.random.default_rng(5).random(ROWS) < 0.3
    sign = np.where(SOURCES == "a", 3.0, -1.0)
    assert weights("anchor", sign * np.where(lost, 0.8, -0.2), lost) == {}


def test_without_asked_compressions_there_are_no_terms() -> None:
    lost = np.zeros(ROWS)
    assert term_weights([None] * ROWS, lost, np.ones(ROWS), SOURCES, np.full(ROWS, 0.3)) == {}
