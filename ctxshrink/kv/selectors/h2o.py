"""Heavy hitters: attention summed over all queries.

H2O, Zhang et al. 2023 (arXiv 2306.14048): a token is worth the sum of the softmax attention
that it got from every query up to now; the most recent tokens are kept besides.

Simplified: all tokens are ranked once, when the context has been read, in place of an eviction at each step; the recent
tokens are the compressor's `recent`; query heads that share a key head are averaged. With a context before the new
tokens, only attention among the new ones counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ctxshrink.kv.selectors._attention import attention
from ctxshrink.kv.types import LayerInput

__all__ = ["H2O"]


@dataclass(frozen=True, slots=True)
class H2O:
    """Keeps tokens that got the most attention in all. Costs as much as the attention itself, n² / 2 weights a head."""

    @property
    def name(self) -> str:
        """For reports."""
        return "h2o"

    def score(self, layer: LayerInput, /) -> Tensor:
        """Sum over real queries i of the mean over the group's heads of softmax(q_i K)_j, shape (B, G, n)."""
        total = torch.zeros(layer.keys.shape[:3], device=layer.keys.device)
        for _, weights in attention(layer.queries, layer.keys, layer.scaling, seen=layer.real):
            total[..., : weights.shape[-1]] += weights.mean(2).sum(2)
        return total
