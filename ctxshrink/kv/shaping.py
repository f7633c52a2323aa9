"""From what was read to what is stored: once for a whole context, or by age as it grows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ctxshrink.errors import ConfigError
from ctxshrink.kv.context import CompressedContext
from ctxshrink.kv.latent import LatentEncoder
from ctxshrink.kv.policy import AgePolicy
from ctxshrink.kv.prefill import Read, read
from ctxshrink.kv.select import PINNED, budget, gather, kept_places, pack, part_of
from ctxshrink.kv.types import Block, LayerStates, QuantPair, Tier

__all__ = ["Once", "grown", "latent"]


@dataclass(frozen=True, slots=True)
class Once:
    """Settings of a compression in one step.

    Attributes:
        keep: Share of the tokens that stays in each head, sinks and recent tokens counted.
        sink: First tokens, which stay exact.
        recent: Last tokens, which stay exact.
        quant: What the others are stored as.
    """

    keep: float
    sink: int
    recent: int
    quant: QuantPair

    def scaled(self, factor: float) -> Once:
        """The same with more kept, at most everything."""
        return replace(self, keep=min(1.0, self.keep * factor))

    def later(self) -> AgePolicy:
        """What becomes of turns that come after: exact while they are recent, then as the context."""
        return AgePolicy([Tier(0), Tier(max(1, self.recent), self.keep, self.quant)])

    def apply(self, got: Read, scores: Mapping[int, Tensor]) -> CompressedContext:
        """Compresses what was read.

        Args:
            got: All of it.
            scores: Worth of the tokens by layer index, shape (B, G, n).
        """
        count = budget(got.real, self.keep, self.sink + self.recent)
        layers = list(got.context.layers)
        for i, found in scores.items():
            [whole] = layers[i].blocks
            places = self._places(found, got.real, count)
            kept = gather(replace(whole, scores=found), places)
            keys, values = got.adjusted.get(i, (whole.keys, whole.values))
            layers[i] = self._parts(kept, gather(replace(whole, keys=keys, values=values, scores=found), places))
        return replace(got.context, layers=tuple(layers))

    def _places(self, scores: Tensor, real: Tensor, count: int) -> Tensor:
        """Places that stay, int64, shape (B, G, count): sinks and recent tokens, then the best of the others."""
        n = real.shape[1]
        place = torch.arange(n, device=scores.device)
        recent = min(self.recent, count)
        first = (n - real.sum(-1))[:, None]
        held = (place < first + min(self.sink, count - recent)) | (place >= n - recent)
        return kept_places(scores.masked_fill(held[:, None], torch.inf), real, count)

    def _parts(self, exact: Block, adjusted: Block) -> LayerStates:
        """Sinks, body and recent tokens: the body alone is adjusted and quantized, the recent alone grow old."""
        size = len(exact)
        empty = int((exact.positions[:, 0] < 0).sum(-1).max())
        recent = min(self.recent, size)
        head = min(empty + self.sink, size - recent)
        sinks = replace(part_of(exact, 0, head), scores=None, covers=head, tier=PINNED)
        covers = exact.covers - head - recent
        body = replace(part_of(adjusted, head, size - recent), scores=None, covers=covers, tier=1)
        last = replace(part_of(exact, size - recent, size), covers=recent)
        return LayerStates(tuple(b for b in (sinks, pack(body, self.quant), last) if b.covers))


@torch.no_grad()
def latent(model: Any, encoder: LatentEncoder, got: Read, ids: Tensor, quant: QuantPair) -> CompressedContext:
    """A context whose entries are vectors that stand for windows of tokens, at places of their own.

    Raises:
        ConfigError: The rows are padded, or the encoder belongs to another model.
    """
    encoder.check(model)
    if not bool(got.real.all()):
        raise ConfigError("a latent encoder takes rows of equal length, without padding: compress each text alone")
    vectors = encoder.vectors(model, ids)
    made = read(model, ids, vectors=vectors, prompt=got.context.prompt).context
    layers = (
        s if s.window is not None else replace(s, blocks=tuple(replace(pack(b, quant), tier=PINNED) for b in s.blocks))
        for s in made.layers
    )
    return replace(made, layers=tuple(layers))


def grown(got: Read, policy: AgePolicy, sink: int) -> CompressedContext:
    """What was read behind a context (or first of all), after everything grew old by a policy."""
    layers = list(got.context.layers)
    for i, scores in got.scores.items():
        *before, new = layers[i].blocks
        layers[i] = policy.aged(replace(layers[i], blocks=(*before, replace(new, scores=scores))), sink)
    return replace(got.context, layers=tuple(layers))
