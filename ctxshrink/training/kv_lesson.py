"""What the teacher shows KV-Distill about a batch, and what the student answers from a compressed cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ctxshrink.errors import ConfigError
from ctxshrink.kv.adapter import KVDistillAdapter
from ctxshrink.kv.observe import AttentionCall, observe
from ctxshrink.kv.prefill import layer_input
from ctxshrink.kv.select import budget, kept_places
from ctxshrink.kv.types import LayerInput

__all__ = ["DistillBatch", "Lesson", "answer", "ask_behind", "teach"]


@dataclass(frozen=True, slots=True, eq=False)
class DistillBatch:
    """Contexts, and what follows each of them.

    Attributes:
        context_ids: Token ids without padding, shape (B, n).
        question_ids: For each context Q pieces that may follow it, independent of each other, with their answers but
            for an answer's last token, int64, shape (B, Q, q).
        first: First token of a piece whose prediction counts, in [0, q).
    """

    context_ids: Tensor
    question_ids: Tensor
    first: int = 0

    def __post_init__(self) -> None:
        if self.question_ids.ndim != 3 or not 0 <= self.first < self.question_ids.shape[2]:
            raise ConfigError(f"questions of shape (B, Q, q) with first in [0, q) are needed; got first {self.first}")


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What the teacher did.

    Attributes:
        batch: With which contexts and questions.
        layers: Each attention layer's input while the context was read.
        attention: By layer index: share of the questions' attention that each context token got, sums to 1, float32,
            shape (B, G, n).
        logits: For every counted question token, shape (B, Q, q - first, vocabulary).
    """

    batch: DistillBatch
    layers: tuple[LayerInput, ...]
    attention: dict[int, Tensor]
    logits: Tensor


@torch.no_grad()
def teach(model: Any, batch: DistillBatch) -> Lesson:
    """Reads contexts and answers their questions with the full cache."""
    from transformers import DynamicCache

    ids = batch.context_ids.to(model.device)
    real = torch.ones_like(ids, dtype=torch.bool)
    layers: list[LayerInput] = []
    cache: Any = DynamicCache(config=model.config)
    with observe(model, lambda call: layers.append(layer_input(call, real))):
        model.base_model(input_ids=ids, past_key_values=cache, use_cache=True)
    attention: dict[int, Tensor] = {}

    def watch(call: AttentionCall) -> None:
        if not cache.layers[call.index].is_sliding:
            attention[call.index] = _paid(call, batch, ids.shape[1])

    with observe(model, watch):
        logits = ask_behind(model, batch, cache, ids.shape[1])
    return Lesson(batch, tuple(layers), attention, logits)


def answer(model: Any, adapter: KVDistillAdapter, lesson: Lesson, keep: float, *, sink: int, recent: int) -> Tensor:
    """Logits with the cache that the adapter compresses; gradients reach its LoRA weights, not its scorers.

    Args:
        model: The model.
        adapter: Selects, and adjusts what stays.
        lesson: The teacher's.
        keep: Share of the tokens that stays, in (0, 1].
        sink: First tokens that stay in any case.
        recent: Last tokens that stay in any case.

    Returns:
        As `Lesson.logits`.
    """
    from transformers import DynamicCache

    cache: Any = DynamicCache(config=model.config)
    for layer in lesson.layers:
        keys, values = layer.keys, layer.values
        if layer.index in adapter.card.sizes.layers:
            n = keys.shape[2]
            place = torch.arange(n, device=keys.device)
            exact = (place < sink) | (place >= n - recent)
            with torch.no_grad():
                scores = adapter.score(layer).masked_fill(exact, torch.finfo(torch.float32).max)
                places = kept_places(scores, layer.real, budget(layer.real, keep, sink + recent))
            at = places[..., None].expand(*places.shape, keys.shape[-1])
            new_keys, new_values = adapter.adjust(layer)
            keys = torch.where(exact[:, None], keys, new_keys).gather(2, at)
            values = torch.where(exact[:, None], values, new_values).gather(2, at)
        cache.update(keys, values, layer.index)
    return ask_behind(model, lesson.batch, cache, lesson.batch.context_ids.shape[1])


def ask_behind(model: Any, batch: DistillBatch, cache: Any, n: int) -> Tensor:
    """Logits of all questions, read side by side: each sees the context and itself, as if it came right behind.

    Args:
        model: The model.
        batch: The questions; of the contexts only their number counts.
        cache: What the model kept of the contexts.
        n: Place of the first token behind a context.

    Returns:
        Float tensor, shape (B, Q, q - first, vocabulary).
    """
    b, count, q = batch.question_ids.shape
    ids = batch.question_ids.to(model.device).flatten(1)
    place = torch.arange(q, device=ids.device).repeat(count)
    which = torch.arange(count, device=ids.device).repeat_interleave(q)
    own = (which[:, None] == which) & (place[:, None] >= place)
    stored = max(int(layer.get_seq_length()) for layer in cache.layers if not layer.is_sliding)
    every = torch.ones(len(place), stored, dtype=torch.bool, device=ids.device)
    mask: Any = _additive(model, torch.cat([every, own], dim=-1), b)
    windows = {int(layer.sliding_window) for layer in cache.layers if layer.is_sliding}
    if windows:  # such a layer holds the newest tokens of the context, and a question sees those within its window
        [window] = windows
        held = min(n, window - 1)
        back = held - torch.arange(held, device=ids.device)
        near = place[:, None] + back < window
        mask = {"full_attention": mask, "sliding_attention": _additive(model, torch.cat([near, own], dim=-1), b)}
    out = model(
        input_ids=ids, attention_mask=mask, position_ids=(n + place).expand(b, -1), past_key_values=cache,
        use_cache=True,
    )  # fmt: skip
    return out.logits.unflatten(1, (count, q))[:, :, batch.first :]


def _additive(model: Any, seen: Tensor, rows: int) -> Tensor:
    dtype = next(iter(model.parameters())).dtype
    mask = torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill(~seen, torch.finfo(dtype).min)
    return mask.expand(rows, 1, -1, -1)


def _paid(call: AttentionCall, batch: DistillBatch, n: int) -> Tensor:
    """Attention from the counted question tokens to the context, mean over them and the heads of a group."""
    groups = call.queries.shape[1] // call.keys.shape[1]
    keys = call.keys.repeat_interleave(groups, dim=1).float()
    dots = call.queries.float() @ keys.transpose(-1, -2) * call.scaling
    if call.mask is not None:
        dots = dots + call.mask
    paid = dots.softmax(-1)[..., :n]
    b, h = paid.shape[:2]
    count, q = batch.question_ids.shape[1:]
    paid = paid.view(b, h, count, q, n)[:, :, :, batch.first :]
    paid = paid.mean((2, 3)).view(b, h // groups, groups, n).mean(2)
    return paid / paid.sum(-1, keepdim=True).clamp(min=1e-12)
