"""Words of the KV level: what selectors see, and what compressed contexts are made of. Read this file first.

Shapes: B rows of a batch, H query heads, G key-value heads (G divides H), n tokens, d head size, L layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor, nn

from ctxshrink.errors import ConfigError

if TYPE_CHECKING:
    from ctxshrink.kv.context import CompressedContext

Quant: TypeAlias = Literal["int8", "int4"]
QuantPair: TypeAlias = tuple[Quant | None, Quant | None]
"""What keys and values are stored as; None is the model's own type."""


@dataclass(frozen=True, slots=True, eq=False)
class LayerInput:
    """One attention layer while it reads new tokens: what a selector ranks them by.

    Attributes:
        index: Number of the layer in the model.
        queries: Rotated queries of the new tokens, shape (B, H, n, d).
        keys: Rotated keys of the new tokens, shape (B, G, n, d).
        values: Values of the new tokens, shape (B, G, n, d).
        hidden: What the attention block reads (after its norm), shape (B, n, hidden size).
        cos: Cosines of the rotary embedding, shape (B or 1, n, rotary size); None for a model without one.
        sin: Sines, likewise.
        real: False where a row has padding, shape (B, n).
        scaling: Factor of the dot products, usually 1 / sqrt(d).
        module: The attention layer itself.
        before: Tokens that were read before these.
    """

    index: int
    queries: Tensor
    keys: Tensor
    values: Tensor
    hidden: Tensor
    cos: Tensor | None
    sin: Tensor | None
    real: Tensor
    scaling: float
    module: nn.Module
    before: int = 0

    @property
    def groups(self) -> int:
        """Query heads for each key-value head."""
        return self.queries.shape[1] // self.keys.shape[1]


@runtime_checkable
class Selector(Protocol):
    """Ranks the tokens of each layer and head; the best are kept."""

    @property
    def name(self) -> str:
        """Short name for reports."""
        ...

    def score(self, layer: LayerInput, /) -> Tensor:
        """How much each token is worth keeping, float, shape (B, G, n); higher is kept first, padding is ignored."""
        ...


@runtime_checkable
class ContextSelector(Protocol):
    """Ranks tokens by reading more than one pass over the context (a reconstruction, say)."""

    @property
    def name(self) -> str:
        """Short name for reports."""
        ...

    def score_context(self, model: Any, full: CompressedContext, /) -> Mapping[int, Tensor]:
        """Scores as of `Selector.score`, by layer index, for every layer of `full` that can be compressed.

        Args:
            model: The model.
            full: Everything that was read, uncompressed; `CompressedContext.to_cache` gives caches to go on from.
        """
        ...


@runtime_checkable
class Adjuster(Protocol):
    """A selector that also changes the keys and values of what it selects (KV-Distill)."""

    def adjust(self, layer: LayerInput, /) -> tuple[Tensor, Tensor]:
        """Keys and values of all tokens, each as it would be if it were kept, both of shape (B, G, n, d)."""
        ...


class Packed(Protocol):
    """A quantized tensor of shape (B, G, n, d); `ctxshrink.kv.quant` has the real one."""

    @property
    def nbytes(self) -> int:
        """Bytes of the integers, scales and zero points."""
        ...

    @property
    def shape(self) -> torch.Size:
        """(B, G, n, d)."""
        ...

    def dequantize(self) -> Tensor:
        """The values, in the type that they were packed from."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Some tokens of one layer, in ascending order of their positions in each head.

    Attributes:
        keys: Rotated keys, shape (B, G, n, d).
        values: Values, shape (B, G, n, d).
        positions: Place of each token in its row (padding counted), int32, shape (B, G, n); -1 for slots that hold
            nothing, which are the same in all heads and layers.
        scores: What the tokens were worth, float32, shape (B, G, n); None where no later step needs to know.
        covers: Tokens of the context that the block stands for, kept or not: with those of the blocks before it, the
            place that it begins at.
        tier: Number of the policy's tier that it is in; -1 for what no policy touches.
    """

    keys: Tensor | Packed
    values: Tensor | Packed
    positions: Tensor
    scores: Tensor | None = None
    covers: int = 0
    tier: int = 0

    def __len__(self) -> int:
        return int(self.positions.shape[-1])

    @property
    def nbytes(self) -> int:
        """Bytes of everything stored."""
        rest = [t for t in (self.positions, self.scores) if t is not None]
        return self.keys.nbytes + self.values.nbytes + sum(t.nbytes for t in rest)

    def dense(self) -> tuple[Tensor, Tensor]:
        """Keys and values, dequantized."""
        return as_dense(self.keys), as_dense(self.values)


def as_dense(x: Tensor | Packed) -> Tensor:
    """A tensor of what may be packed."""
    return x if isinstance(x, Tensor) else x.dequantize()


@dataclass(frozen=True, slots=True, eq=False)
class LayerStates:
    """What one layer keeps.

    Attributes:
        blocks: Oldest first. For a layer with a sliding window, the one block that it would have anyway.
        window: Size of the sliding window; None for full attention, which is what is compressed.
    """

    blocks: tuple[Block, ...]
    window: int | None = None

    def __len__(self) -> int:
        return sum(len(block) for block in self.blocks)

    @property
    def nbytes(self) -> int:
        """Bytes of all blocks."""
        return sum(block.nbytes for block in self.blocks)


@dataclass(frozen=True, slots=True)
class KVVerdict:
    """What a guardrail says about one compressed context.

    Attributes:
        ok: Whether it may stand in for the full one.
        kl: Mean KL divergence of the next-token distributions from the full cache's on the probes, nats per token.
        ppl_ratio: Perplexity of the probes with the compressed cache over that with the full one.
        reason: One sentence.
    """

    ok: bool
    kl: float
    ppl_ratio: float
    reason: str


@dataclass(frozen=True, slots=True)
class KVAttempt:
    """One compression that was tried.

    Attributes:
        select: Name of the selector.
        keep: Share of the tokens that was asked for.
        nbytes: Bytes of what came out.
        verdict: The guardrail's; None where none was asked.
    """

    select: str
    keep: float
    nbytes: int
    verdict: KVVerdict | None = None


@dataclass(frozen=True, slots=True)
class KVReport:
    """What was done to a context, and why.

    Attributes:
        tokens: Tokens read, rows together, without padding.
        kept: Tokens stored per full-attention layer and head, rows together.
        nbytes: Bytes stored: keys, values, positions, scales.
        nbytes_full: Bytes of the uncompressed cache in the model's type.
        attempts: Every compression tried, in order.
        fallback: True where the full cache stands because the guardrail rejected what was tried.
        reason: One sentence on the outcome.
        prefill_seconds: Reading the context.
        compress_seconds: Ranking, selecting, quantizing and checking.
    """

    tokens: int
    kept: int
    nbytes: int
    nbytes_full: int
    attempts: tuple[KVAttempt, ...] = ()
    fallback: bool = False
    reason: str = ""
    prefill_seconds: float = 0.0
    compress_seconds: float = 0.0

    @property
    def keep(self) -> float:
        """Share of the tokens that is stored."""
        return self.kept / self.tokens if self.tokens else 1.0

    @property
    def bytes_ratio(self) -> float:
        """Stored bytes over those of the full cache."""
        return self.nbytes / self.nbytes_full if self.nbytes_full else 1.0


@dataclass(frozen=True, slots=True)
class Tier:
    """What happens to tokens from a certain age on.

    Attributes:
        age: Least number of newer tokens.
        keep: Share that stays, in (0, 1].
        quant: What keys and values become.
    """

    age: int
    keep: float = 1.0
    quant: QuantPair = (None, None)


NOTHING = KVReport(0, 0, 0, 0)
"""The report of a context that was not compressed."""


def quant_pair(quant: Quant | Sequence[Quant | None] | None) -> QuantPair:
    """Reads a setting: None, one word for both, or one each for keys and values.

    Raises:
        ConfigError: It is something else.
    """
    given = (quant, quant) if quant is None or isinstance(quant, str) else tuple(quant)
    if len(given) != 2 or any(q not in (None, "int8", "int4") for q in given):
        raise ConfigError(
            'quant must be None, "int8", "int4" or a pair of them for keys and values, such as ("int8", "int4"); '
            f"got {quant!r}"
        )
    return given[0], given[1]
