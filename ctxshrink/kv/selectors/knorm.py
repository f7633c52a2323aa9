"""Keys of low norm.

Devoto et al. 2024, A Simple and Effective L2 Norm-Based Strategy for KV Cache Compression (arXiv 2406.11430): tokens
whose keys are short get high attention, so those with the longest keys go. Needs no queries.

Simplified: all layers are compressed; the paper leaves the first ones alone for some models.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ctxshrink.kv.types import LayerInput

__all__ = ["Knorm"]


@dataclass(frozen=True, slots=True)
class Knorm:
    """Keeps tokens with short keys."""

    @property
    def name(self) -> str:
        """For reports."""
        return "knorm"

    def score(self, layer: LayerInput, /) -> Tensor:
        """-‖k_j‖₂, shape (B, G, n). Rotation does not change it."""
        return -layer.keys.float().square().sum(-1).sqrt()
