"""What selectors are compared with: what a model's layers were given, and the attention weights that it reports."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ctxshrink.kv.prefill import read
from ctxshrink.kv.selectors import resolve_selector
from ctxshrink.kv.types import ContextSelector, LayerInput

from ..models import model_of

FAMILIES = ("llama-mha", "llama-gqa", "llama-mqa", "qwen2", "qwen3", "mistral")
NAMES = ("h2o", "snapkv", "tova", "streaming", "knorm", "keydiff", "expected", "kvzip", "random")


def scores_of(model: Any, which: Any, ids: Tensor, mask: Tensor | None = None) -> dict[int, Tensor]:
    """Scores of every layer, by whichever kind of selector."""
    selector = resolve_selector(which)
    if isinstance(selector, ContextSelector):
        return dict(selector.score_context(model, read(model, ids, mask).context))
    return read(model, ids, mask, selector=selector).scores


class Seen:
    """Keeps what a selector is shown."""

    name = "seen"

    def __init__(self) -> None:
        self.layers: list[LayerInput] = []

    def score(self, layer: LayerInput, /) -> Tensor:
        self.layers.append(layer)
        return torch.zeros(layer.keys.shape[:3])


def seen_by(model: Any, ids: Tensor, mask: Tensor | None = None) -> list[LayerInput]:
    """The input of every layer."""
    seen = Seen()
    read(model, ids, mask, selector=seen)
    return seen.layers


def eager_weights(family: str, ids: Tensor) -> tuple[Tensor, ...]:
    """Attention weights of every layer as the model itself gives them, shape (B, H, n, n)."""
    with torch.no_grad():
        return tuple(model_of(family, attention="eager")(ids, output_attentions=True).attentions)


def by_group(per_head: Tensor, groups: int) -> Tensor:
    """Mean over the query heads of each key head: (B, H, n) to (B, G, n)."""
    heads = per_head.shape[1] // groups
    return torch.stack([per_head[:, g * heads : (g + 1) * heads].mean(1) for g in range(groups)], dim=1)
