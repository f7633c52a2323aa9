"""A context that a model has read, compressed: the value that everything at the KV level takes and gives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ctxshrink.kv.cache import build_cache
from ctxshrink.kv.types import NOTHING, KVReport, LayerStates

if TYPE_CHECKING:
    from transformers.cache_utils import Cache

__all__ = ["MAX_IDS", "CompressedContext"]

MAX_IDS = 65_536
"""Newest token ids of each row that a context remembers; the rest of a context is bounded, and so is this."""


@dataclass(frozen=True, slots=True, eq=False)
class CompressedContext:
    """The keys and values that stay of a context, shared by all that go on from it and never written to.

    Attributes:
        layers: What each layer keeps.
        length: Tokens of a row, padding counted: the place of the next one.
        padding: Padding tokens at the left of each row, int64, shape (B,).
        ids: The newest token ids, at most `MAX_IDS` of a row, int32, shape (B, n).
        fingerprint: Which model made it (`ctxshrink.kv.fingerprint`).
        prompt: How a question is put after it (`ctxshrink.kv.prompts`): "text", or "messages" by the chat template.
        report: What was done and why.
    """

    layers: tuple[LayerStates, ...]
    length: int
    padding: Tensor
    ids: Tensor
    fingerprint: str
    prompt: str = "text"
    report: KVReport = NOTHING

    @property
    def batch(self) -> int:
        """Rows."""
        return len(self.padding)

    @property
    def physical(self) -> int:
        """Entries that each full-attention layer stores for a row and head."""
        return max((len(states) for states in self.layers if states.window is None), default=0)

    @property
    def nbytes(self) -> int:
        """Bytes of keys, values, positions, scales and token ids, on whatever device."""
        return sum(states.nbytes for states in self.layers) + self.ids.nbytes + self.padding.nbytes

    def to_cache(self) -> Cache:
        """A cache to go on from, with ``model.generate`` or ``model.forward``.

        Every call gives a new one that shares the compressed states: what is read after it stays its own. Give
        ``generate`` the new tokens alone, with `attention_mask` for context and new tokens::

            model.generate(ids, attention_mask=context.attention_mask(ids.shape[1]), past_key_values=context.to_cache())
        """
        return build_cache(self.layers, self.length)

    def attention_mask(self, new: int | Tensor) -> Tensor:
        """The mask for this context and new tokens behind it, int64, shape (B, length + new).

        It has as many zeros as the row has padding, so that positions come out right, and puts them where the row's
        slots hold nothing.

        Args:
            new: How many tokens follow, or their own mask, shape (B, new).
        """
        device = self.padding.device
        tail = torch.ones(self.batch, new, dtype=torch.long) if isinstance(new, int) else new.long()
        mask = torch.ones(self.batch, self.length, dtype=torch.long)
        if bool(self.padding.any()):
            states = next(states for states in self.layers if states.window is None)
            held = torch.cat([block.positions[:, 0] for block in states.blocks], dim=-1).cpu() >= 0
            gap = self.length - held.shape[1]
            hidden = self.padding.cpu() - (~held).sum(-1)
            mask[:, :gap] = (torch.arange(gap) >= hidden[:, None]).long()
            mask[:, gap:] = held.long()
        return torch.cat([mask.to(device), tail.to(device)], dim=-1)

    def positions(self, new: int) -> Tensor:
        """Positions of the next tokens, for ``model.forward(position_ids=…)``, int64, shape (B, new)."""
        first = self.length - self.padding
        return first[:, None] + torch.arange(new, device=first.device)

    def save(self, path: str | Path, *, tokenizer: Any = None) -> None:
        """Writes one safetensors file whose header says which model made it.

        Args:
            path: The file.
            tokenizer: The model's; its vocabulary and chat template are then noted too, and compared by `load`.

        Raises:
            ConfigError: The folder is missing or cannot be written to.
            OSError: The disk is full, say; nothing half-written is left.
        """
        from ctxshrink.kv.files import save_context

        save_context(self, path, tokenizer=tokenizer)

    @classmethod
    def load(
        cls, path: str | Path, model: Any, *, device: str | None = None, tokenizer: Any = None
    ) -> CompressedContext:
        """Reads what `save` wrote.

        Args:
            path: The file.
            model: The model that is to go on from it.
            device: Where the tensors go; None is the model's device.
            tokenizer: The model's, to be compared with the one that the file names.

        Raises:
            ConfigError: There is no such file, or another model or tokenizer made it.
            ModelError: The file is truncated, was changed, or is not a compressed context.
        """
        from ctxshrink.kv.files import load_context

        return load_context(path, model, device=device, tokenizer=tokenizer)

    def with_report(self, report: KVReport) -> CompressedContext:
        """The same context with another report."""
        return replace(self, report=report)
