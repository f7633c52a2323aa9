"""Weights of the language model's terms, beside a risk that rankings and facts estimated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ctxshrink.guardrails._terms import TERMS

from .logistic import fit_logistic

Floats = NDArray[np.float64]

RIDGE = 5.0
"""L2 penalty on the weights: few compressions carry terms."""


def term_weights(
    terms: Sequence[Mapping[str, float] | None], y: Floats, weight: Floats, source: NDArray[np.str_], crossed: Floats
) -> dict[str, float]:
    """What each term adds to the logit of the risk.

    There is no bias: a term of 0 is a likelihood that did not change, which says nothing. A term is kept where, fitted
    on the other sources, it lowers the log loss, and speaks the right way: more surprise by the query is a loss, more
    that can be told from what was kept is none.

    Args:
        terms: Values by name; None where the model was not asked.
        y: Whether needed text was lost, in [0, 1], shape (compressions,).
        weight: Of each compression, shape (compressions,).
        source: Where each is from.
        crossed: Risks by models that have not seen the source, in [0, 1], shape (compressions,).

    Returns:
        Weights by name; none of a term that does not help.
    """
    told = {i: t for i, t in enumerate(terms) if t is not None}
    if not told:
        return {}
    asked = np.array(list(told))
    y, weight, source = y[asked], weight[asked], source[asked]
    clipped = np.clip(crossed[asked], 1e-6, 1 - 1e-6)
    logit = np.log(clipped / (1 - clipped))

    def values(names: Sequence[str]) -> Floats:
        return np.array([[t.get(name, 0.0) for name in names] for t in told.values()])

    def fitted(names: Sequence[str], of: NDArray[np.bool_]) -> Floats:
        model = fit_logistic(values(names)[of], y[of], weight[of], names, ridge=RIDGE, offset=logit[of], bias=False)
        return np.array(list(model.weights.values()))

    def loss(shift: Floats) -> float:
        eta = logit + shift
        return float(weight @ (np.logaddexp(0.0, eta) - y * eta))

    def helps(term: str) -> bool:
        shift = np.zeros(len(asked))
        for held in (source == s for s in set(source)):
            if not held.all():
                shift[held] = values([term])[held] @ fitted([term], ~held)
        return loss(shift) < loss(np.zeros(len(asked)))

    every = np.ones(len(asked), bool)
    kept = [t for t in TERMS if helps(t) and (float(fitted([t], every)[0]) > 0) == (t == "anchor")]
    return dict(zip(kept, map(float, fitted(kept, every)), strict=True)) if kept else {}
