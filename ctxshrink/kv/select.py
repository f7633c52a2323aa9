"""From scores to the entries that stay: which places, gathered and quantized."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ctxshrink.kv.quant import Axis, quantize
from ctxshrink.kv.types import Block, Packed, Quant, QuantPair, as_dense

__all__ = ["PINNED", "Piece", "budget", "gather", "join", "kept_places", "owned", "pack", "part_of", "shaped"]

PINNED = -1
"""Tier of blocks that stay as they are: sinks, and what was compressed once for all."""
_BITS = {"int8": 8, "int4": 4}


@dataclass(frozen=True, slots=True)
class Piece:
    """What becomes of a run of tokens.

    Attributes:
        tokens: How many it takes.
        count: Entries that each head keeps of them.
        quant: What they are stored as.
        tier: Tier of the block that they become.
    """

    tokens: int
    count: int
    quant: QuantPair = (None, None)
    tier: int = 0


def budget(real: Tensor, keep: float, protected: int = 0) -> int:
    """Entries that each head keeps: the share of the longest row's tokens, at least what is protected, at least one.

    Args:
        real: False for padding, shape (B, n).
        keep: Share, in (0, 1].
        protected: Tokens that stay whatever their score.
    """
    longest = int(real.sum(-1).max()) if real.numel() else 0
    return min(longest, max(1, round(keep * longest), min(protected, longest)))


def kept_places(scores: Tensor, real: Tensor, count: int) -> Tensor:
    """The places of the best tokens, ascending, int64, shape (B, G, count); -1, in front, where a row has fewer.

    Args:
        scores: Worth of each token, shape (B, G, n). What is not a number counts least.
        real: False for padding, which lies on the left, shape (B, n).
        count: How many stay, at most n.
    """
    order = torch.nan_to_num(scores.float(), nan=-1e30, neginf=-1e30, posinf=1e30)
    order = order.masked_fill(~real[:, None], -torch.inf)
    # A stable order makes equal scores choose the same tokens everywhere: the earliest.
    best = order.argsort(dim=-1, descending=True, stable=True)[..., :count]
    missing = ~real.gather(-1, best.flatten(1)).view(best.shape)
    return best.masked_fill(missing, -1).sort(dim=-1).values


def gather(block: Block, places: Tensor) -> Block:
    """The entries of a block at some places, shape (B, G, m); -1 makes an entry that holds nothing."""
    at = places.clamp(min=0)
    keys, values = (_take(x, at) for x in (block.keys, block.values))
    positions = block.positions.gather(-1, at).masked_fill(places < 0, -1)
    scores = None if block.scores is None else block.scores.gather(-1, at)
    return replace(block, keys=keys, values=values, positions=positions, scores=scores)


def _take(x: Tensor | Packed, at: Tensor) -> Tensor:
    dense = as_dense(x)
    return dense.gather(2, at[..., None].expand(*at.shape, dense.shape[-1]))


def pack(block: Block, quant: QuantPair) -> Block:
    """The block with its keys and values quantized as asked.

    What would not become smaller (a few tokens) or is not finite stays as it is.
    """
    keys, values = block.dense()
    held = block.positions >= 0
    return replace(
        block, keys=_packed(keys, quant[0], "channel", held), values=_packed(values, quant[1], "token", held)
    )


def _packed(x: Tensor, quant: Quant | None, axis: Axis, held: Tensor) -> Tensor | Packed:
    if quant is None or not x.numel() or not bool(x.isfinite().all()):
        return x
    made = quantize(x, _BITS[quant], axis=axis, held=held)
    return made if made.nbytes < x.nbytes else x


def join(blocks: Sequence[Block]) -> Block:
    """Neighbouring blocks as one, dequantized; the tier is that of the first."""
    if len(blocks) == 1:
        return blocks[0]
    dense = [block.dense() for block in blocks]
    scores = [block.scores for block in blocks if block.scores is not None]
    return Block(
        torch.cat([k for k, _ in dense], dim=2),
        torch.cat([v for _, v in dense], dim=2),
        torch.cat([block.positions for block in blocks], dim=-1),
        torch.cat(scores, dim=-1) if len(scores) == len(blocks) else None,
        sum(block.covers for block in blocks),
        blocks[0].tier,
    )


def shaped(block: Block, pieces: Sequence[Piece]) -> list[Block]:
    """Cuts a block into pieces and keeps the entries of each with the best `Block.scores`.

    Args:
        block: What is cut; every entry stands for one token where there is more than one piece.
        pieces: Their tokens together are the block's.

    Returns:
        A block for each piece that has tokens.
    """
    out: list[Block] = []
    start = 0
    for piece in pieces:
        if not piece.tokens:
            continue
        part = part_of(block, start, start + piece.tokens) if len(pieces) > 1 else block
        start += piece.tokens
        if piece.count < len(part):
            part = gather(part, kept_places(_scores(part), part.positions[:, 0] >= 0, piece.count))
        out.append(replace(pack(part, piece.quant), covers=piece.tokens, tier=piece.tier))
    return out


def _scores(block: Block) -> Tensor:
    return torch.zeros_like(block.positions, dtype=torch.float32) if block.scores is None else block.scores


def part_of(block: Block, start: int, end: int) -> Block:
    """Some neighbouring entries of a block; the caller says what they cover."""
    keys, values = block.dense()
    return replace(
        block,
        keys=owned(keys[:, :, start:end]),
        values=owned(values[:, :, start:end]),
        positions=owned(block.positions[..., start:end]),
        scores=None if block.scores is None else owned(block.scores[..., start:end]),
    )


def owned(x: Tensor) -> Tensor:
    """The same values without the rest of a larger tensor that they are a part of."""
    return x.clone() if x.untyped_storage().nbytes() > x.nbytes else x
