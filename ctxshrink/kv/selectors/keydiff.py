"""Keys that differ from the others.

KeyDiff, Park et al. 2025 (arXiv 2504.15364): with the anchor μ = mean of k_j / ‖k_j‖, a token is worth -cos(μ, k_j).
Keys that point away from the common direction are those that some query singles out. Needs no queries.

Simplified: the anchor is the mean over all tokens that are read at once; the paper works through a long prompt in
blocks, evicting after each.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from ctxshrink.kv.types import LayerInput

__all__ = ["KeyDiff"]


@dataclass(frozen=True, slots=True)
class KeyDiff:
    """Keeps tokens whose keys are unlike the mean key."""

    @property
    def name(self) -> str:
        """For reports."""
        return "keydiff"

    def score(self, layer: LayerInput, /) -> Tensor:
        """-cos(μ, k_j), in [-1, 1], shape (B, G, n)."""
        keys = layer.keys.float()
        real = layer.real[:, None, :, None]
        anchor = (normalize(keys, dim=-1) * real).sum(2, keepdim=True) / real.sum(2, keepdim=True)
        return -cosine_similarity(keys, anchor, dim=-1)
