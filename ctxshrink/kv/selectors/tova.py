"""Attention of the last query.

TOVA, Oren et al. 2024 (Transformers are Multi-State RNNs, arXiv 2401.06104), the policy of that name: when the state is
full, the token with the lowest softmax attention from the newest query goes; weights are averaged over the heads of a
layer, so all heads keep the same tokens.

Simplified: the last query of the context ranks all tokens once, in place of one eviction at each step.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ctxshrink.kv.selectors._attention import attention
from ctxshrink.kv.types import LayerInput

__all__ = ["TOVA"]


@dataclass(frozen=True, slots=True)
class TOVA:
    """Keeps what the last token of the context attends to."""

    @property
    def name(self) -> str:
        """For reports."""
        return "tova"

    def score(self, layer: LayerInput, /) -> Tensor:
        """Mean over all heads of softmax(q_last K), the same for each key head, shape (B, G, n)."""
        [(_, weights)] = attention(layer.queries[:, :, -1:], layer.keys, layer.scaling, seen=layer.real)
        return weights[:, :, :, 0].mean((1, 2))[:, None].repeat(1, layer.keys.shape[1], 1)
