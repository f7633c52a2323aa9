"""Rotary embeddings from what a layer was given: taking them off queries, and carrying them on behind the context."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ctxshrink.errors import ConfigError
from ctxshrink.kv.types import LayerInput

__all__ = ["later", "rotate", "unrotate"]


def unrotate(layer: LayerInput, queries: Tensor) -> Tensor:
    """Queries of the layer's tokens as they were before their rotation, float32.

    Args:
        layer: The layer.
        queries: Any of its heads, shape (B, heads, n, d).
    """
    if layer.cos is None or layer.sin is None:
        return queries.float()
    cos, sin = layer.cos.float(), layer.sin.float()
    size = cos.square() + sin.square()  # not 1 where a model scales its rotation (YaRN)
    return rotate(layer, queries.float(), (cos / size, -sin / size))


def rotate(layer: LayerInput, x: Tensor, by: tuple[Tensor, Tensor] | None) -> Tensor:
    """Rotates vectors as the model rotates its queries.

    Args:
        layer: Says which model it is.
        x: Shape (B, heads, n, d).
        by: Cosines and sines, shape (B or 1, n or 1, rotary size); None turns nothing.

    Raises:
        ConfigError: The model's way of rotating is unknown.
    """
    return x if by is None else _function(layer)(x, x, *by)[0]


def later(layer: LayerInput, future: int) -> tuple[Tensor, Tensor] | None:
    """Mean cosines and sines of the positions behind the tokens, float32, shape (B or 1, 1, rotary size).

    Models compute them from positions by rules of their own (scaled, interpolated, by length), which need not be known:
    two tokens that lie k apart give the rotation by k, and this carries the last token's on.

    Args:
        layer: The layer; None is returned where it has no rotary embedding.
        future: How many positions.
    """
    if layer.cos is None or layer.sin is None:
        return None
    turns = torch.complex(layer.cos.float(), layer.sin.float())
    size = turns.abs()[:, -1:]
    units = turns / turns.abs()
    # All rows turn alike; the one with the fewest padding tokens shows the most.
    real = layer.real.sum(-1)
    row, known = (int(real.argmax()), int(real.max())) if len(units) > 1 else (0, units.shape[1])
    seen = units[row, -known:]
    by = seen[-1] * seen.flip(0).conj()  # the rotation by 0, 1, 2, … positions
    while 1 < len(by) <= future:
        by = torch.cat([by, by[1:] * by[-1]])
    mean = by[1 : future + 1].mean(0) if len(by) > 1 else by[0]
    ahead = units[:, -1:] * mean * size
    return ahead.real, ahead.imag


def _function(layer: LayerInput) -> Callable[..., Any]:
    """The function of the model's own file, which knows which entries of a vector turn together."""
    found = getattr(sys.modules[type(layer.module).__module__], "apply_rotary_pos_emb", None)
    if not callable(found) or list(inspect.signature(found).parameters)[:4] != ["q", "k", "cos", "sin"]:
        raise ConfigError(
            f"how {type(layer.module).__name__} rotates its queries is not known, which the selector expected needs: "
            "choose another, such as keydiff"
        )
    return found
