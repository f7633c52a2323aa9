"""Attention while the model repeats the context.

KVzip, Kim et al. 2025 (arXiv 2505.23416): behind the full cache, the model reads an instruction to repeat
the context and the context again; a token is worth the maximum, over all these queries and the heads of a group, of the
softmax attention that its key gets. A long context is repeated in chunks: each is put behind the full cache alone, led
in by the end of the chunk before it, and attention is normalized over the first tokens, the chunk's keys in the cache
and the repetition's own keys, so that the cost of scoring grows with n × chunk.

Simplified: the same number of tokens is kept in every head and layer (the paper shares one budget out among them), and
the end of the chunk before stands in the answer, not in the instruction. Costs one more reading of the context.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch
from torch import Tensor

from ctxshrink.errors import ConfigError
from ctxshrink.kv.context import CompressedContext
from ctxshrink.kv.observe import AttentionCall, observe
from ctxshrink.kv.selectors._attention import attention
from ctxshrink.kv.selectors._options import at_least
from ctxshrink.kv.types import Block, LayerStates

__all__ = ["KVzip"]

_WHOLE = "Repeat the previous context exactly."
_PART = "Repeat a part of the previous context exactly."
_FRAME = "\n\n{question}\n\n"


@dataclass(frozen=True, slots=True)
class KVzip:
    """Keeps what the model needs to repeat the context.

    Attributes:
        tokenizer: Words the instruction, behind messages as a user's turn. None: the context is repeated without one.
        chunk: Tokens that are repeated at a time.
        sink: First tokens that attention is normalized over in each chunk.
        lead: Tokens of the chunk before that lead in the next one.
    """

    tokenizer: Any = field(default=None, repr=False)
    chunk: int = 2048
    sink: int = 4
    lead: int = 8

    def __post_init__(self) -> None:
        at_least("kvzip", "chunk", self.chunk, 1)
        at_least("kvzip", "sink", self.sink, 0)
        at_least("kvzip", "lead", self.lead, 0)

    @property
    def name(self) -> str:
        """For reports."""
        return "kvzip"

    @torch.no_grad()
    def score_context(self, model: Any, full: CompressedContext, /) -> Mapping[int, Tensor]:
        """Maximum attention from the repetition, in [0, 1], by layer index, shape (B, G, n).

        Raises:
            ConfigError: The context is compressed already, or longer than the token ids that it remembers.
        """
        if full.physical != full.length or full.ids.shape[1] != full.length:
            raise ConfigError(
                "the selector kvzip repeats the whole context: it must be uncompressed and its token ids known; use "
                "another selector, such as keydiff, for a context that grows"
            )
        rows = [self._row(model, _row_of(full, i)) for i in range(full.batch)]
        return {index: torch.cat([_padded(row[index], full.length) for row in rows]) for index in rows[0]}

    def _row(self, model: Any, row: CompressedContext) -> dict[int, Tensor]:
        found: dict[int, list[Tensor]] = {i: [] for i, states in enumerate(row.layers) if states.window is None}
        for start in range(0, row.length, self.chunk):
            end = min(row.length, start + self.chunk)

            def rank(call: AttentionCall, start: int = start, end: int = end) -> None:
                if call.index in found:
                    found[call.index].append(self._chunk(call, row.length, start, end))

            ids = torch.cat([self._opening(row, start), row.ids[:, start:end]], dim=-1).to(model.device)
            with observe(model, rank):
                model.base_model(
                    input_ids=ids.long(), attention_mask=None, position_ids=row.positions(ids.shape[1]),
                    past_key_values=row.to_cache(), use_cache=True,
                )  # fmt: skip
        return {index: torch.cat(chunks, dim=-1) for index, chunks in found.items()}

    def _chunk(self, call: AttentionCall, length: int, start: int, end: int) -> Tensor:
        """Maximum attention to the context's keys from start to end, shape (1, G, end - start)."""
        sink = min(self.sink, start)
        keys = torch.cat(
            [call.keys[:, :, :sink], call.keys[:, :, start:end], call.keys[:, :, length:]], dim=2
        )  # the repetition's own keys come last, so that it sees all of the others
        best = torch.zeros(*keys.shape[:2], end - start, device=keys.device)
        for _, weights in attention(call.queries, keys, call.scaling):
            torch.maximum(best, weights[..., sink : sink + end - start].amax((2, 3)), out=best)
        return best

    def _opening(self, row: CompressedContext, start: int) -> Tensor:
        """What stands between the context and the chunk: the instruction, and the end of the chunk before."""
        lead = row.ids[:, max(0, start - self.lead) : start]
        if self.tokenizer is None:
            return lead
        from ctxshrink.kv.prompts import PromptKind, question_ids

        kind = cast(PromptKind, row.prompt)
        words = question_ids(self.tokenizer, kind, _PART if start else _WHOLE, before=row.ids, frame=_FRAME)
        return torch.cat([words.to(lead), lead], dim=-1)


def _row_of(full: CompressedContext, row: int) -> CompressedContext:
    """One row without its padding, so that it is ranked as it would be alone."""
    padding = int(full.padding[row])
    layers = tuple(
        LayerStates(tuple(_block_of(block, row, padding) for block in states.blocks), states.window)
        for states in full.layers
    )
    return replace(
        full, layers=layers, length=full.length - padding, padding=full.padding[row : row + 1] * 0,
        ids=full.ids[row : row + 1, padding:],
    )  # fmt: skip


def _block_of(block: Block, row: int, padding: int) -> Block:
    keys, values = block.dense()
    positions = block.positions[row : row + 1]
    empty = int((positions[0, 0] < 0).sum())
    return replace(
        block, keys=keys[row : row + 1, :, empty:], values=values[row : row + 1, :, empty:],
        positions=positions[:, :, empty:] - padding, scores=None, covers=block.covers - empty,
    )  # fmt: skip


def _padded(scores: Tensor, length: int) -> Tensor:
    return torch.nn.functional.pad(scores, (length - scores.shape[-1], 0))
