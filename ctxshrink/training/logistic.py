"""Ridge logistic regression with weights, fractional labels and an offset."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ctxshrink.guardrails.detector import Logistic

Floats = NDArray[np.float64]

ITERATIONS = 100
"""Most steps."""
CLOSE = 1e-7
"""The last step is shorter than this in every weight."""


def fit_logistic(
    x: Floats,
    y: Floats,
    weight: Floats,
    names: Sequence[str],
    *,
    ridge: float = 1.0,
    offset: Floats | None = None,
    bias: bool = True,
) -> Logistic:
    """Newton's method (iteratively reweighted least squares), with steps halved until they go down.

    Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, section 4.4.1.

    Args:
        x: Features, shape (rows, features).
        y: Labels or shares in [0, 1], shape (rows,).
        weight: Of each row, scaled to a mean of 1; shape (rows,).
        names: Of the features.
        ridge: L2 penalty on the weights of standardised features; of the features as they are without a bias.
        offset: Added to the logit of each row, shape (rows,).
        bias: Whether there is one; without it a row of zeros keeps its offset.

    Returns:
        The model of the raw features, rounded to six digits.
    """
    weight = weight / max(1e-12, float(weight.mean()))
    mean, scale = (x.mean(0), x.std(0)) if bias else (np.zeros(x.shape[1]), np.ones(x.shape[1]))
    scale[scale == 0] = 1.0
    z = np.hstack([np.full((len(x), 1), float(bias)), (x - mean) / scale])
    base = np.zeros(len(x)) if offset is None else offset
    penalty = np.diag([1e-6] + [ridge] * x.shape[1])

    def loss(w: Floats) -> float:
        eta = z @ w + base
        return float(weight @ (np.logaddexp(0.0, eta) - y * eta) + w @ penalty @ w / 2)

    w = np.zeros(z.shape[1])
    for _ in range(ITERATIONS):
        p = 1 / (1 + np.exp(-np.clip(z @ w + base, -30, 30)))
        gradient = z.T @ (weight * (p - y)) + penalty @ w
        hessian = (z * (weight * np.maximum(p * (1 - p), 1e-9))[:, None]).T @ z + penalty
        step = np.linalg.solve(hessian, gradient)
        # Far from the solution, with offsets above all, a whole step may lead away from it.
        now = loss(w)
        while loss(w - step) > now and float(np.abs(step).max()) > CLOSE:
            step /= 2
        w = w - step
        if float(np.abs(step).max()) < CLOSE:
            break
    raw = w[1:] / scale
    return Logistic(
        round(float(w[0] - raw @ mean), 6), {n: round(float(v), 6) for n, v in zip(names, raw, strict=True)}
    )
