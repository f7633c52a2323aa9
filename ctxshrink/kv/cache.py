"""A `transformers` cache that is physically short and logically long.

Kept keys stay rotated for the places they had. A layer tells the model the logical length, so that new tokens get the
right positions, and shows the mask its physical entries as the newest places of the context: all of them lie before
every new token, which is all that a causal mask asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer, DynamicSlidingWindowLayer

from ctxshrink.kv.types import Block, LayerStates, as_dense

__all__ = ["CompressedLayer", "build_cache", "sliding_layer"]


class CompressedLayer(DynamicLayer):
    """One layer: blocks that are shared and never written, and a tail of its own that grows.

    Quantized blocks are dequantized at each use and stay packed between.

    Args:
        blocks: What was kept.
        length: Tokens of the context, kept or not.
    """

    def __init__(self, blocks: Sequence[Block], length: int) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]
        self._blocks = tuple(blocks)
        self._gap = length - sum(len(block) for block in blocks)
        self._physical = length - self._gap
        self._rows: Tensor | None = None

    @property
    def tail(self) -> tuple[Tensor, Tensor] | None:
        """Keys and values of the tokens that were read since; None before the first."""
        if not self.is_initialized or self.keys is None or self.values is None:
            return None
        return self.keys, self.values

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Appends new tokens; returns the keys and values of all, shape (B, G, physical + new, d).

        More rows than the context has are as many copies of each: ``generate`` makes them for beams and several answers
        without telling a cache that it was given.
        """
        if self.tail is None and self._blocks and (copies := key_states.shape[0] // self._count()) > 1:
            self.batch_repeat_interleave(copies)
        keys, values = super().update(key_states, value_states)  # pyright: ignore[reportUnknownMemberType]
        if not self._physical:
            return keys, values
        return self._joined([block.keys for block in self._blocks], keys), self._joined(
            [block.values for block in self._blocks], values
        )

    def _joined(self, blocks: Sequence[Any], tail: Tensor) -> Tensor:
        dense = [as_dense(block) for block in blocks]
        if self._rows is not None:
            dense = [x.index_select(0, self._rows.to(x.device)) for x in dense]
        return torch.cat([*dense, tail], dim=-2)

    def _tail_length(self) -> int:
        return 0 if self.tail is None else super().get_seq_length()

    def get_seq_length(self) -> int:
        """Logical length: context and new tokens."""
        return self._gap + self._physical + self._tail_length()

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Physical length after the next tokens, and the place that the first physical entry is shown at."""
        return self._physical + self._tail_length() + query_length, self._gap

    def reset(self) -> None:
        """Forgets what was read since; the context stays."""
        super().reset()
        self._rows = None

    def crop(self, tokens_to_remove: int) -> None:
        """Removes the newest tokens (assisted decoding does); the context cannot be cut.

        Raises:
            ValueError: More tokens than were read since.
        """
        if abs(tokens_to_remove) > self._tail_length():
            raise ValueError(
                f"cannot remove {abs(tokens_to_remove)} tokens: {self._tail_length()} were read behind the context"
            )
        super().crop(tokens_to_remove)

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Puts rows in the order of a beam search's survivors."""
        self._take(beam_idx)
        if self.tail is not None:
            self.keys, self.values = (x.index_select(0, beam_idx.to(x.device)) for x in self.tail)

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeats each row; the blocks are not copied."""
        if self._blocks:
            self._take(torch.arange(self._count()).repeat_interleave(repeats))
        if self.tail is not None:
            super().batch_repeat_interleave(repeats)

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keeps some rows."""
        self._take(indices)
        if self.tail is not None:
            super().batch_select_indices(indices)

    def _count(self) -> int:
        return self._blocks[0].positions.shape[0] if self._rows is None else len(self._rows)

    def _take(self, rows: Tensor) -> None:
        rows = rows.cpu()
        self._rows = rows if self._rows is None else self._rows[rows]


class SlidingLayer(DynamicSlidingWindowLayer):
    """A layer with a sliding window that copies its rows as `CompressedLayer` does."""

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Appends new tokens and forgets those that leave the window; returns what the new ones see."""
        if self.keys is not None and (copies := key_states.shape[0] // max(1, self.keys.shape[0])) > 1:
            self.batch_repeat_interleave(copies)
        return super().update(key_states, value_states)  # pyright: ignore[reportUnknownMemberType]


def sliding_layer(states: LayerStates, length: int) -> SlidingLayer:
    """A layer with a sliding window, as it was after reading `length` tokens."""
    layer = SlidingLayer(int(states.window or 0))
    [block] = states.blocks
    keys, values = block.dense()
    layer.lazy_initialization(keys, values)
    layer.keys, layer.values, layer.cumulative_length = keys, values, length
    return layer


def build_cache(layers: Sequence[LayerStates], length: int) -> Cache:
    """A cache for ``model.generate`` and ``model.forward`` that shares the states and never writes to them."""
    return Cache(
        layers=[
            CompressedLayer(states.blocks, length) if states.window is None else sliding_layer(states, length)
            for states in layers
        ]
    )
