"""First and last tokens.

StreamingLLM, Xiao et al. 2023 (arXiv 2309.17453): a few first tokens, on which attention rests whatever
they say, and a window of the most recent ones.

Simplified: kept tokens keep the positions that they had; the paper counts positions anew within the cache.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ctxshrink.kv.selectors._attention import places
from ctxshrink.kv.selectors._options import at_least
from ctxshrink.kv.types import LayerInput

__all__ = ["Streaming"]

_TOP = 2.0**30


@dataclass(frozen=True, slots=True)
class Streaming:
    """Keeps the beginning and the end.

    Attributes:
        sink: First tokens that rank above all others.
    """

    sink: int = 4

    def __post_init__(self) -> None:
        at_least("streaming", "sink", self.sink, 0)

    @property
    def name(self) -> str:
        """For reports."""
        return "streaming"

    def score(self, layer: LayerInput, /) -> Tensor:
        """The place of each token in its row; 2³⁰ for the first ones; shape (B, G, n)."""
        place = places(layer.real) + layer.before
        score = place.float().masked_fill((place >= 0) & (place < self.sink), _TOP)
        return score[:, None].repeat(1, layer.keys.shape[1], 1)
