"""Compression by age: new turns enter exact and become harder tiers as they grow old."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ctxshrink.errors import ConfigError
from ctxshrink.kv.select import PINNED, Piece, join, shaped
from ctxshrink.kv.types import Block, LayerStates, Quant, Tier, quant_pair

__all__ = ["AgePolicy"]

_LARGEST = 512
"""Entries of a block that runs of the last tier are joined to, at most."""


@dataclass(frozen=True, init=False)
class AgePolicy:
    """Tiers by age, in tokens: ``AgePolicy([(0, 1.0, None), (1024, 0.5, "int8"), (8192, 0.1, "int4")])``.

    Tokens grow old in runs of `chunk`, so they may stay in the first tier for up to `chunk` tokens longer than its age
    says. What is dropped is gone: the entries that a harder tier keeps are the best of those that the one before kept.
    Runs in the last tier are joined to blocks of up to 512 entries, which quantizes them again.

    Args:
        tiers: (age, keep, quant) from young to old; the first begins at age 0. `keep` is the share of the tokens that
            were read, so it must not rise with age; `quant` is None, "int8", "int4" or a pair for keys and values.
        max_tokens: Most entries that a head of a layer holds. Above it the two oldest runs become one of half their
            entries, again and again: what is very old fades. None lets the last tier grow.
        chunk: Tokens that grow old together.

    Raises:
        ConfigError: The tiers are not in order, or a number is out of range.
    """

    tiers: tuple[Tier, ...]
    max_tokens: int | None
    chunk: int

    def __init__(
        self,
        tiers: Sequence[Tier | tuple[int, float, Quant | Sequence[Quant | None] | None]],
        *,
        max_tokens: int | None = None,
        chunk: int = 256,
    ) -> None:
        read = tuple(t if isinstance(t, Tier) else Tier(t[0], t[1], quant_pair(t[2])) for t in tiers)
        if not read or read[0].age != 0:
            raise ConfigError("the first tier of an AgePolicy begins at age 0: AgePolicy([(0, 1.0, None), …])")
        for a, b in pairwise(read):
            if b.age <= a.age or b.keep > a.keep:
                raise ConfigError(f"tiers must grow in age and not in keep: {a} is followed by {b}")
        if any(not 0 < t.keep <= 1 for t in read):
            raise ConfigError("keep of a tier must be in (0, 1]")
        if chunk < 1:
            raise ConfigError(f"chunk must be at least 1, not {chunk}")
        least = read[1].age + chunk if len(read) > 1 else chunk
        if max_tokens is not None and max_tokens < 2 * least:
            raise ConfigError(
                f"max_tokens={max_tokens} is too small: the first tier and a run that leaves it need {2 * least}"
            )
        object.__setattr__(self, "tiers", read)
        object.__setattr__(self, "max_tokens", max_tokens)
        object.__setattr__(self, "chunk", chunk)

    def at(self, age: int) -> int:
        """The tier of tokens of an age."""
        return max(i for i, tier in enumerate(self.tiers) if age >= tier.age)

    def scaled(self, factor: float) -> AgePolicy:
        """The same policy with every share but the first multiplied, at most 1; the guardrail's retries."""
        first, *rest = self.tiers
        softer = [replace(t, keep=min(first.keep, t.keep * factor)) for t in rest]
        return AgePolicy([first, *softer], max_tokens=self.max_tokens, chunk=self.chunk)

    def aged(self, states: LayerStates, sink: int) -> LayerStates:
        """A layer after what has grown old moved on.

        Args:
            states: Blocks with scores, oldest first.
            sink: First tokens of the context, which stay exact.
        """
        blocks = self._pinned(list(states.blocks), sink)
        old = [b for b in blocks if b.tier != 0]
        young = [b for b in blocks if b.tier == 0]
        if young:
            old += self._split(join(young))
        newer = sum(b.covers for b in old)
        done: list[Block] = []
        for block in old:
            newer -= block.covers
            done += [block] if block.tier == PINNED else self._moved(block, self.at(newer))
        return replace(states, blocks=tuple(self._bounded(self._joined(done))))

    def _pinned(self, blocks: list[Block], sink: int) -> list[Block]:
        if not blocks or not sink or blocks[0].tier != 0:
            return blocks
        first = min(sink, blocks[0].covers)
        return shaped(blocks[0], [_exact(first, PINNED), _exact(blocks[0].covers - first)]) + blocks[1:]

    def _split(self, young: Block) -> list[Block]:
        """Runs that have left the first tier, and the rest."""
        runs = 0
        if len(self.tiers) > 1:
            runs = max(0, young.covers - self.tiers[1].age) // self.chunk
        if not runs:
            return [young]
        rest = young.covers - runs * self.chunk
        return shaped(young, [*(_exact(self.chunk) for _ in range(runs)), _exact(rest)])

    def _moved(self, block: Block, tier: int) -> list[Block]:
        if tier <= block.tier or block.covers == 0:
            return [block]
        to = self.tiers[tier]
        moved = shaped(block, [Piece(block.covers, _share(block, to.keep), to.quant, tier)])
        if self.max_tokens is None and tier == len(self.tiers) - 1:
            return [replace(b, scores=None) for b in moved]  # nothing ranks them again
        return moved

    def _joined(self, blocks: list[Block]) -> list[Block]:
        """Neighbours of like size in the last tier as one: many small blocks cost time at every use."""
        last = len(self.tiers) - 1
        out: list[Block] = []
        for block in blocks:
            out.append(block)
            while last and len(out) > 1 and out[-2].tier == out[-1].tier == last and len(out[-2]) <= len(out[-1]):
                if len(out[-2]) + len(out[-1]) > _LARGEST:
                    break
                two = [out.pop(-2), out.pop(-1)]
                merged = join(two)
                out += shaped(merged, [Piece(merged.covers, len(merged), self.tiers[last].quant, last)])
        return out

    def _bounded(self, blocks: list[Block]) -> list[Block]:
        """Merges the two oldest runs that may be, keeping the better half, until the bound holds."""
        while self.max_tokens is not None and sum(len(b) for b in blocks) > self.max_tokens:
            first = next((i for i, b in enumerate(blocks) if b.tier > 0), len(blocks))
            oldest = [b for b in blocks[first : first + 2] if b.tier > 0]
            held = sum(len(b) for b in oldest)
            if held < 2:
                break  # nothing but the first tier and sinks
            tier = max(b.tier for b in oldest)
            merged = join(oldest)
            half = Piece(merged.covers, held // 2, self.tiers[tier].quant, tier)
            blocks[first : first + len(oldest)] = shaped(merged, [half])
        return blocks


def _exact(tokens: int, tier: int = 0) -> Piece:
    return Piece(tokens, tokens, tier=tier)


def _share(block: Block, keep: float) -> int:
    return min(len(block), max(1, round(keep * block.covers)))
