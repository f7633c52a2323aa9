"""Tokens drawn at random: what every other selector must beat."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ctxshrink.kv.selectors._attention import places
from ctxshrink.kv.selectors._options import at_least
from ctxshrink.kv.types import LayerInput

__all__ = ["Random"]


@dataclass(frozen=True, slots=True)
class Random:
    """Keeps tokens at random, other ones in each layer and head; the same in each run and row.

    Attributes:
        seed: Another number, other tokens.
    """

    seed: int = 0

    def __post_init__(self) -> None:
        at_least("random", "seed", self.seed, 0)

    @property
    def name(self) -> str:
        """For reports."""
        return "random"

    def score(self, layer: LayerInput, /) -> Tensor:
        """Numbers in [0, 1) by seed, layer, head and the token's place without padding, shape (B, G, n)."""
        batch, groups, n, _ = layer.keys.shape
        # On the CPU: alike on all devices.
        made = torch.Generator().manual_seed((self.seed * 100_003 + layer.index) * 1_000_003 + layer.before)
        drawn = torch.rand(n, groups, generator=made).to(layer.keys.device).T
        at = places(layer.real).clamp(min=0)[:, None].expand(batch, groups, n)
        return drawn.expand(batch, groups, n).gather(-1, at)
