"""Attention weights for selectors, a few queries at a time.

Weights are computed again from the rotated queries and keys: fused kernels do not give them away. What some models add
to plain softmax attention (capped logits, learned sinks) is left out, which changes little in the order of the tokens.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

__all__ = ["attention", "first_place", "places"]

_FLOATS = 2**24
"""Weights held at once, about (64 MiB in float32); a single query may need more."""


def attention(
    queries: Tensor, keys: Tensor, scaling: float, *, seen: Tensor | None = None
) -> Iterator[tuple[slice, Tensor]]:
    """Causal softmax attention of the last q of k tokens, in runs of queries.

    Args:
        queries: Rotated, shape (B, H, q, d), of the last q tokens.
        keys: Rotated, shape (B, G, k, d).
        scaling: Factor of the dot products.
        seen: False for tokens that are no part of their row, shape (B, k). None: all are.

    Yields:
        Which of the q queries a run holds (c of them), and their weights on the first e keys, float32, shape
        (B, G, H / G, c, e): keys behind e are behind all of these queries. Weights of queries that are no part of their
        row are 0.
    """
    batch, heads, asked, size = queries.shape
    groups, known = keys.shape[1:3]
    past = known - asked
    step = max(1, _FLOATS // (batch * heads * known))
    grouped = queries.reshape(batch, groups, heads // groups, asked, size)
    for start in range(0, asked, step):
        end = min(asked, start + step)
        visible = past + end
        few = grouped[:, :, :, start:end].reshape(batch, groups, -1, size)
        logits = (few @ keys[:, :, :visible].transpose(-1, -2)).float().mul_(scaling)
        logits = logits.view(batch, groups, heads // groups, end - start, visible)
        at = torch.arange(visible, device=keys.device)
        hidden = (at > at[past + start :, None])[None]
        if seen is not None:
            hidden = hidden | ~seen[:, None, :visible]
        # The lowest number rather than minus infinity: a row of padding, which sees nothing, must not become NaN.
        weights = logits.masked_fill_(hidden[:, None, None], torch.finfo(torch.float32).min).softmax(-1)
        if seen is not None:
            weights = weights.masked_fill_(~seen[:, None, None, past + start : visible, None], 0.0)
        yield slice(start, end), weights


def first_place(real: Tensor) -> Tensor:
    """The place of the first token that is no padding, int64, shape (B,)."""
    return real.shape[-1] - real.sum(-1)


def places(real: Tensor) -> Tensor:
    """The place of each token in its row, counted without padding (which gets negative ones), int64, shape (B, n)."""
    return torch.arange(real.shape[-1], device=real.device) - first_place(real)[:, None]
