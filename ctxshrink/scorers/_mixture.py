"""The network's probabilities mixed with those of counted contexts, from short contexts to long ones.

    p_k = (1 - w_k) p_(k-1) + w_k s_k,

where s_k is the share of the places with context k at which the token in question followed, and p_(-1) is the
network's probability of it. Every step mixes two distributions over the vocabulary, so the result is one, and it needs
the network's probability of that token alone. The weight w_k depends on k and on what is known of the context: this is
the interpolation of Jelinek and Mercer 1980 with a network as its lowest order. The contexts are those of a table of
n-grams (`_ngrams`) first, then those that stood in the window before (`_copying`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctxshrink.scorers._windows import Window

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

WIDTH = 30
"""Weights of a step."""

_FEW = 1e-30


@dataclass(frozen=True, slots=True)
class Steps:
    """What counted contexts tell of tokens.

    Attributes:
        cells: Which weight of its step applies, in [0, `WIDTH`), or -1 where the context is not known; shape (tokens,
            steps).
        shares: s_k of the token that followed, in [0, 1], the same shape.
    """

    cells: Ints
    shares: Floats

    def __add__(self, other: Steps) -> Steps:
        """First these steps, then the other ones."""
        return Steps(np.hstack([self.cells, other.cells]), np.hstack([self.shares, other.shares]))

    def used(self, weights: Floats, step: int) -> Floats:
        """w_k of every token, 0 where the context is not known."""
        cells = self.cells[:, step]
        return np.where(cells >= 0, weights[step, cells], 0.0)


@dataclass(frozen=True, slots=True)
class Mixture:
    """A network's neighbours.

    Attributes:
        weights: In [0, 1), shape (steps, `WIDTH`).
        ngrams: A table of n-grams, whose steps come first, or None.
    """

    weights: Floats
    ngrams: Any = None

    @classmethod
    def read(cls, stored: Mapping[str, Any], ngrams: Any = None) -> Mixture:
        """Reads the weights as `to_config` wrote them.

        Raises:
            ValueError: They have another shape, or one is not in [0, 1).
        """
        from ctxshrink.scorers._copying import STEPS

        weights = np.asarray(stored["weights"], dtype=np.float64)
        steps = STEPS + (ngrams.steps if ngrams is not None else 0)
        if weights.shape != (steps, WIDTH) or not ((weights >= 0) & (weights < 1)).all():
            raise ValueError(f"mixture.weights must be {steps} rows of {WIDTH} numbers in [0, 1)")
        return cls(weights, ngrams)

    def to_config(self) -> dict[str, Any]:
        """For ``config.json``."""
        return {"weights": [[round(float(w), 4) for w in row] for row in self.weights]}

    def steps(self, windows: Sequence[Window]) -> Steps:
        """The steps of the scored tokens of all windows, one window after the other."""
        from ctxshrink.scorers._copying import copy_steps

        copying = copy_steps(windows)
        return copying if self.ngrams is None else self.ngrams.look_up(windows) + copying

    def mix(self, windows: Sequence[Window], nats: Floats) -> Floats:
        """The nats of the mixture.

        Args:
            windows: What was scored.
            nats: The network's, of the scored tokens of all windows one after the other, shape (tokens,).
        """
        steps = self.steps(windows)
        p = np.exp(-nats)
        for k in range(len(self.weights)):
            w = steps.used(self.weights, k)
            p = (1 - w) * p + w * steps.shares[:, k]
        return np.where(np.isfinite(nats), -np.log(np.maximum(p, _FEW)), nats)


def scored_tokens(windows: Sequence[Window]) -> tuple[Ints, Ints, Ints]:
    """All windows' tokens one after the other, the index of each one's window, and where the scored ones stand."""
    tokens = np.concatenate([np.asarray(w.tokens, dtype=np.int64) for w in windows])
    lengths = np.array([len(w.tokens) for w in windows], dtype=np.int64)
    owner = np.repeat(np.arange(len(windows)), lengths)
    ends = np.cumsum(lengths)[owner]
    scored = np.flatnonzero(np.arange(len(tokens)) >= ends - np.array([w.scored for w in windows])[owner])
    return tokens, owner, scored
