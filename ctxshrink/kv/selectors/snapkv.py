"""Attention of an observation window at the end, pooled along the tokens.

SnapKV, Li et al. 2024 (arXiv 2404.14469): the last `window` queries vote, with their softmax
attention, for the tokens before the window; the votes are pooled over neighbouring tokens, so that what is kept keeps
its surroundings; the window itself stays.

Simplified: query heads that share a key head are averaged. The method was made for a question at the end of the prompt;
here the window is the end of the context and no question is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import avg_pool1d, max_pool1d

from ctxshrink.errors import ConfigError
from ctxshrink.kv.selectors._attention import attention
from ctxshrink.kv.selectors._options import at_least, one_of
from ctxshrink.kv.types import LayerInput

__all__ = ["SnapKV"]


@dataclass(frozen=True, slots=True)
class SnapKV:
    """Keeps what the last queries attend to.

    Attributes:
        window: Queries that vote, and last tokens that rank above all others.
        kernel: Tokens that are pooled, odd.
        pooling: Mean or maximum of them.
    """

    window: int = 32
    kernel: int = 5
    pooling: Literal["mean", "max"] = "mean"

    def __post_init__(self) -> None:
        at_least("snapkv", "window", self.window, 1)
        at_least("snapkv", "kernel", self.kernel, 1)
        one_of("snapkv", "pooling", self.pooling, ("mean", "max"))
        if self.kernel % 2 == 0:
            raise ConfigError(f"kernel of the selector snapkv must be odd, not {self.kernel}")

    @property
    def name(self) -> str:
        """For reports."""
        return "snapkv"

    def score(self, layer: LayerInput, /) -> Tensor:
        """Pooled mean attention of the window, in [0, 1]; above 1, rising, in the window; shape (B, G, n)."""
        n = layer.keys.shape[2]
        window = min(self.window, n)
        votes = torch.zeros(layer.keys.shape[:3], device=layer.keys.device)
        for _, weights in attention(layer.queries[:, :, -window:], layer.keys, layer.scaling, seen=layer.real):
            votes[..., : weights.shape[-1]] += weights.mean(2).sum(2)
        votes /= window
        # Tokens beyond either end, padding among them, count as no votes.
        pool, half = (avg_pool1d if self.pooling == "mean" else max_pool1d), self.kernel // 2
        before = votes[..., : n - window]
        if n > window:
            before = pool(before, self.kernel, stride=1, padding=half)
        last = 1 + torch.arange(self.window - window + 1, self.window + 1, device=votes.device) / self.window
        return torch.cat([before, last.expand(*before.shape[:2], window)], dim=-1)
