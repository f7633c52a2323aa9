"""Attention that queries to come will pay, expected from the distribution of the queries so far.

Expected Attention, Devoto, Jeblick and Jégou 2025 (arXiv 2510.00636): queries before rotation are taken as
normal with mean μ and covariance Σ; a query at a later position has R μ and R Σ Rᵀ with its rotation R, and R is the
average over the next `future` positions. Then E[exp(s q·k)] = exp(s Rμ·k + s² kᵀ RΣRᵀ k / 2) with the
attention's factor s, which is normalized over the tokens and multiplied by the size of what the token would contribute.

Simplified: μ and Σ come from the queries (un-rotated), not from the hidden states, which is the same thing for a linear
projection and right for models that normalize queries too; the size of a contribution is ‖v‖, without the output
projection; heads of a group are averaged; all heads keep equally many tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ctxshrink.kv.selectors._attention import places
from ctxshrink.kv.selectors._options import at_least
from ctxshrink.kv.selectors._rotary import later, rotate, unrotate
from ctxshrink.kv.types import LayerInput

__all__ = ["ExpectedAttention"]


@dataclass(frozen=True, slots=True)
class ExpectedAttention:
    """Keeps what later queries are expected to attend to.

    Attributes:
        future: Positions behind the context that are averaged over.
        sink: First tokens of the context. Their queries are like no others and left out; they rank above all tokens.
        covariance: Whether Σ counts; without it only the mean query does.
        value_norm: Whether to multiply by ‖v‖.
    """

    future: int = 512
    sink: int = 4
    covariance: bool = True
    value_norm: bool = True

    def __post_init__(self) -> None:
        at_least("expected", "future", self.future, 1)
        at_least("expected", "sink", self.sink, 0)

    @property
    def name(self) -> str:
        """For reports."""
        return "expected"

    def score(self, layer: LayerInput, /) -> Tensor:
        """Expected attention times ‖v‖ times the row's length; first tokens above; shape (B, G, n).

        Raises:
            ConfigError: The model's rotary embedding is of an unknown kind.
        """
        place = places(layer.real) + layer.before
        counted = place >= self.sink
        # A row of nothing but first tokens has no others to learn from.
        counted = torch.where(counted.any(-1, keepdim=True), counted, layer.real)
        batch, groups, n, size = layer.keys.shape
        queries = layer.queries.view(batch, groups, -1, n, size)
        ahead = later(layer, self.future)
        keys = layer.keys.float()
        total = torch.zeros(batch, groups, n, device=keys.device)
        for head in range(layer.groups):  # one head of each group at a time bounds the memory
            asked = unrotate(layer, queries[:, :, head])
            total += self._weights(layer, asked, keys, counted, ahead)
        score = total / layer.groups
        if self.value_norm:
            score = score * layer.values.float().square().sum(-1).sqrt()
        score = score * layer.real.sum(-1)[:, None, None]  # of the order of 1 for any length; the order stays
        first = (~counted & layer.real)[:, None]
        return torch.where(first, score.amax(-1, keepdim=True) + 1, score)

    def _weights(
        self, layer: LayerInput, asked: Tensor, keys: Tensor, counted: Tensor, ahead: tuple[Tensor, Tensor] | None
    ) -> Tensor:
        """Softmax over the counted tokens of the logarithm of the expected attention, shape (B, G, n)."""
        real = counted[:, None, :, None].float()
        count = real.sum(2, keepdim=True)
        mean = (asked * real).sum(2, keepdim=True) / count
        logits = (keys * rotate(layer, mean, ahead)).sum(-1) * layer.scaling
        if self.covariance:
            centered = (asked - mean) * real
            spread = centered.transpose(-1, -2) @ centered / count
            spread = rotate(layer, rotate(layer, spread, ahead).transpose(-1, -2), ahead)
            logits = logits + ((keys @ spread) * keys).sum(-1) * (layer.scaling**2 / 2)
        return logits.masked_fill(~counted[:, None], torch.finfo(torch.float32).min).softmax(-1)
