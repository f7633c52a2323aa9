"""The two small networks that KV-Distill adds to each attention layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["ConditionalLoRA", "TokenScorer", "rotate"]


class TokenScorer(nn.Module):
    """How much future questions will attend to each token, from the hidden states alone.

    A token is judged by its own state, by that of the token before it, and by a summary of all tokens read: what a
    context is about may be said far from the fact that it makes important. The summary is a few attention pools with
    learned queries, so that the cost stays linear in the tokens.

    Args:
        hidden: Size of the hidden states.
        heads: Key-value heads; each has scores of its own.
        width: Size of the scorer's own states.
        pools: Pools of the summary.
    """

    def __init__(self, hidden: int, heads: int, width: int, pools: int) -> None:
        super().__init__()
        self.look = nn.Linear(hidden, pools, bias=False)
        self.whole = nn.Linear(pools * hidden, width, bias=False)
        self.near = nn.Linear(2 * hidden, width)
        self.mix = nn.Linear(width, width)
        self.out = nn.Linear(width, heads)

    def forward(self, hidden: Tensor, real: Tensor) -> Tensor:
        """Scores, shape (B, G, n), of hidden states of shape (B, n, hidden); `real` is False for padding."""
        x = hidden * real[..., None]
        before = F.pad(x[:, :-1], (0, 0, 1, 0))
        share = self.look(x).masked_fill(~real[..., None], -torch.inf).softmax(dim=1)
        summary = self.whole((share.transpose(1, 2) @ x).flatten(1))
        y = F.gelu(self.near(torch.cat([x, before], dim=-1)))
        y = F.gelu(self.mix(y) + summary[:, None])
        return self.out(y).transpose(1, 2)


class ConditionalLoRA(nn.Module):
    """Low-rank additions (Hu et al. 2021) to the keys and values of the tokens that are kept.

    Args:
        hidden: Size of the hidden states.
        heads: Key-value heads.
        size: Size of a head.
        rank: Of the additions. They are zero before training.
    """

    def __init__(self, hidden: int, heads: int, size: int, rank: int) -> None:
        super().__init__()
        self.heads, self.size = heads, size
        self.down = nn.Linear(hidden, 2 * rank, bias=False)
        self.key = nn.Linear(rank, heads * size, bias=False)
        self.value = nn.Linear(rank, heads * size, bias=False)
        nn.init.zeros_(self.key.weight)
        nn.init.zeros_(self.value.weight)

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """What is added to keys (before their rotation) and values, both of shape (B, G, n, d)."""
        a, b = self.down(hidden).chunk(2, dim=-1)
        return self._heads(self.key(a)), self._heads(self.value(b))

    def _heads(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, self.size).transpose(1, 2)


def rotate(x: Tensor, cos: Tensor | None, sin: Tensor | None) -> Tensor:
    """Rotary positions (Su et al. 2021), halves paired as Hugging Face pairs them; the rest of a head is left as it is.

    Args:
        x: Shape (B, G, n, d).
        cos: Shape (B or 1, n, rotary size), rotary size <= d; None for no rotation.
        sin: Likewise.
    """
    if cos is None or sin is None:
        return x
    size = cos.shape[-1]
    turned, rest = x[..., :size], x[..., size:]
    a, b = turned.chunk(2, dim=-1)
    turned = turned * cos[:, None] + torch.cat([-b, a], dim=-1) * sin[:, None]
    return torch.cat([turned, rest], dim=-1)
