"""Weights to start a needle model from: an induction circuit in noise, so that minutes on a CPU are enough."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

__all__ = ["induction_start"]


@torch.no_grad()
def induction_start(model: Any, seed: int = 0) -> None:
    """Writes the two heads of an induction circuit, roughly.

    Such a circuit (Olsson et al. 2022, "In-context Learning and Induction Heads") attends to what followed an earlier
    occurrence; from random weights it appears only after many millions of tokens. Here the first layer's first
    key-value head starts by looking at the token before, and the second layer's heads by matching a token with what
    those wrote, and by copying. It is rough, a tenth of the answers are right, and it is trained like all weights.

    Args:
        model: A Hugging Face Llama with tied embeddings, at least two layers, and heads of less than half its width.
        seed: Of the random directions.
    """
    config = model.config
    width, heads, groups = config.hidden_size, config.num_attention_heads, config.num_key_value_heads
    size, per = width // heads, heads // groups
    half = size // 2
    draw = torch.Generator().manual_seed(seed)
    base = float(config.rope_parameters["rope_theta"])
    turn = base ** (-torch.arange(half) / half)  # radians per token, for each pair of a head's entries

    axes, written = _axes(width, width, draw), _axes(width, size, draw)
    mark, identity = axes[0], axes[1 : 1 + size]
    embeddings = model.model.embed_tokens.weight
    words = torch.randn(embeddings.shape, generator=draw)
    words -= (words @ mark)[:, None] * mark
    words /= words.square().sum(1, keepdim=True).sqrt()
    embeddings.copy_(0.4 * mark + math.sqrt(1 - 0.4**2) * words)  # one direction that all share stands in for a bias

    before = model.model.layers[0].self_attn
    fast = (turn > 0.02).float()
    before.k_proj.weight[:size] = 1.6 * torch.cat([fast, torch.zeros(half)])[:, None] * mark
    query = 1.6 * torch.cat([fast * turn.cos(), -fast * turn.sin()])[:, None] * mark  # turned back by one token
    before.v_proj.weight[:size] = identity
    for h in range(per):
        before.q_proj.weight[h * size : (h + 1) * size] = query
        before.o_proj.weight[:, h * size : (h + 1) * size] = 4 / (per * math.sqrt(width)) * written.T

    match = model.model.layers[1].self_attn
    slow = [i for i in range(half) if turn[i] <= 0.003]  # entries that distance hardly turns
    slow = [*slow, *(half + i for i in slow)]
    for g in range(groups):
        rows = [(g * len(slow) + i) % size for i in range(len(slow))]
        at = [g * size + i for i in slow]
        match.k_proj.weight[at] = 2 * written[rows]
        copied = axes[1 + size * (g + 1) : 1 + size * (g + 2)] if 1 + size * (g + 2) <= width else axes[-size:]
        match.v_proj.weight[g * size : (g + 1) * size] = copied
        for h in range(g * per, (g + 1) * per):
            match.q_proj.weight[[h * size + i for i in slow]] = 2 * identity[rows]
            match.o_proj.weight[:, h * size : (h + 1) * size] = 4 / per * copied.T


def _axes(width: int, count: int, draw: torch.Generator) -> Tensor:
    """Orthonormal rows, shape (count, width)."""
    linalg: Any = torch.linalg
    return linalg.qr(torch.randn(width, count, generator=draw))[0].T
