"""Reading tokens with a model: fresh or behind a context, with scores for every layer that can be compressed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from ctxshrink.errors import ConfigError, ModelError
from ctxshrink.kv.cache import CompressedLayer
from ctxshrink.kv.context import MAX_IDS, CompressedContext
from ctxshrink.kv.fingerprint import check_model, fingerprint
from ctxshrink.kv.observe import AttentionCall, observe
from ctxshrink.kv.select import owned
from ctxshrink.kv.types import Adjuster, Block, LayerInput, LayerStates, Selector

__all__ = ["Read", "continue_logits", "layer_input", "read"]


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """What reading some tokens gave.

    Attributes:
        context: Everything read so far, the new tokens as one exact block behind what was there.
        scores: By layer index, worth of the new tokens, shape (B, G, n); empty without a selector.
        adjusted: By layer index, keys and values as they are stored for tokens that are selected, where the selector is
            an `Adjuster`.
        real: False for padding among the new tokens, shape (B, n).
        hidden: Last hidden states of the new tokens, shape (B, n, hidden size).
    """

    context: CompressedContext
    scores: dict[int, Tensor]
    adjusted: dict[int, tuple[Tensor, Tensor]]
    real: Tensor
    hidden: Tensor


@torch.no_grad()
def read(
    model: Any, ids: Tensor, mask: Tensor | None = None, *, selector: Selector | None = None,
    past: CompressedContext | None = None, prompt: str = "text", vectors: Tensor | None = None,
) -> Read:  # fmt: skip
    """Reads tokens once, keeps all their keys and values and ranks them.

    Args:
        model: A Hugging Face causal language model.
        ids: Token ids, shape (B, n), n >= 1.
        mask: 0 for padding, which must be on the left, shape (B, n); None for none.
        selector: Ranks the tokens while the layers run.
        past: What was read before.
        prompt: How questions follow; with `past`, that of `past` stays.
        vectors: Read in place of the tokens' input embeddings, shape (B, m, hidden size), without padding; the ids are
            then only remembered.

    Raises:
        ConfigError: The model has no full-attention layer, or layers with a recurrent state; padding is not on the
            left; the ids are no integers; another model read `past`, or it has another number of rows.
        ModelError: The model cannot be watched.
    """
    if past is not None:
        check_model(past.fingerprint, model)
        if ids.ndim == 2 and ids.shape[0] != past.batch:
            raise ConfigError(f"{ids.shape[0]} rows of new tokens cannot follow a context of {past.batch} rows")
    ids = ids.to(model.device)
    if ids.is_floating_point():
        raise ConfigError(f"token ids must be integers; got a tensor of {ids.dtype}")
    real = _real(ids, mask, past) if vectors is None else _real(vectors[..., 0], None, past)
    n = real.shape[1]
    if past is None:
        cache, length = _fresh(model), 0
        padding = n - real.sum(-1)
        asked, positions = real.long(), (real.long().cumsum(-1) - 1).clamp(min=0)
    else:
        cache, length, padding = past.to_cache(), past.length, past.padding
        asked, positions = past.attention_mask(n), past.positions(n)
    scores: dict[int, Tensor] = {}
    adjusted: dict[int, tuple[Tensor, Tensor]] = {}

    def rank(call: AttentionCall) -> None:
        if selector is None or _window(cache.layers[call.index]) is not None:
            return
        layer = layer_input(call, real, length)
        found = selector.score(layer)
        if found.shape != layer.keys.shape[:3]:
            raise ConfigError(
                f"the selector {selector.name} gave scores of shape {tuple(found.shape)} for keys of shape "
                f"{tuple(layer.keys.shape)}: one for each row, head and token is needed"
            )
        scores[call.index] = found.float()
        if past is None and isinstance(selector, Adjuster):
            adjusted[call.index] = selector.adjust(layer)

    # No mask where nothing is masked: one of a context's logical length costs time for every token ever read.
    plain = bool(asked.all()) if past is None else not bool(padding.any())
    with observe(model, rank):
        out = model.base_model(
            input_ids=ids if vectors is None else None, inputs_embeds=vectors, attention_mask=None if plain else asked,
            position_ids=positions, past_key_values=cache, use_cache=True,
        )  # fmt: skip
    before = past.layers if past else (None,) * len(cache.layers)
    layers = tuple(_states(layer, old, length, real) for layer, old in zip(cache.layers, before, strict=True))
    if all(states.window is not None for states in layers):
        raise ConfigError(
            f"every layer of {type(model).__name__} has a sliding window, which bounds its cache already: there is "
            "nothing to compress"
        )
    seen = ids.int() if past is None else torch.cat([past.ids, ids.int()], dim=-1)
    context = CompressedContext(
        layers=layers, length=length + n, padding=padding, ids=seen[:, -MAX_IDS:], fingerprint=fingerprint(model),
        prompt=prompt if past is None else past.prompt,
    )  # fmt: skip
    return Read(context, scores, adjusted, real, out.last_hidden_state)


def layer_input(call: AttentionCall, real: Tensor, before: int = 0) -> LayerInput:
    """What a selector sees of a call that read new tokens.

    Args:
        call: The call; its keys may begin with those of a context.
        real: False where the new tokens are padding, shape (B, n).
        before: Tokens that were read before.
    """
    new = slice(call.keys.shape[2] - real.shape[1], None)
    keys, values = call.keys[:, :, new], call.values[:, :, new]
    return LayerInput(
        call.index, call.queries, keys, values, call.hidden, call.cos, call.sin, real.to(keys.device), call.scaling,
        call.module, before,
    )  # fmt: skip


@torch.no_grad()
def continue_logits(model: Any, context: CompressedContext, ids: Tensor) -> Tensor:
    """Logits for new tokens behind a context, which is left as it is.

    Args:
        model: The model that made the context.
        context: The context, of B rows.
        ids: New token ids without padding, shape (B, n); or (n,) or (1, n), the same for all rows.

    Returns:
        Float tensor, shape (B, n, vocabulary): entry i predicts the token behind new token i.
    """
    ids = ids.expand(context.batch, -1)
    n = ids.shape[1]
    mask = context.attention_mask(n) if bool(context.padding.any()) else None
    out = model(
        input_ids=ids.to(model.device), attention_mask=mask, position_ids=context.positions(n),
        past_key_values=context.to_cache(), use_cache=True,
    )  # fmt: skip
    return cast(Tensor, out.logits)


def _real(ids: Tensor, mask: Tensor | None, past: CompressedContext | None) -> Tensor:
    if ids.ndim != 2 or not ids.numel():
        raise ConfigError(
            f"token ids of shape (rows, tokens) with at least one token are needed; got {tuple(ids.shape)}"
        )
    if mask is None:
        return torch.ones_like(ids, dtype=torch.bool)
    real = mask.to(ids.device).bool()
    if real.shape != ids.shape:
        raise ConfigError(f"the attention mask has the shape {tuple(real.shape)}, the token ids {tuple(ids.shape)}")
    if not bool(real.any(-1).all()):
        raise ConfigError("a row holds nothing but padding: leave it out")
    if past is not None and not bool(real.all()):
        raise ConfigError("tokens behind a context cannot be padded: extend rows of equal length, or one row at a time")
    if bool((real[:, :-1] & ~real[:, 1:]).any()):
        raise ConfigError('padding must be on the left (tokenizer.padding_side = "left"), as for generation')
    return real


def _fresh(model: Any) -> Any:
    """An empty cache with the layers that the model needs, refused where one cannot be kept."""
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    cache = DynamicCache(config=model.config)
    odd = sorted({type(layer).__name__ for layer in cache.layers if not isinstance(layer, DynamicLayer)})
    if odd:
        raise ConfigError(
            f"{type(model).__name__} has layers whose state is no list of keys and values ({', '.join(odd)}): the KV "
            "level takes models of full-attention layers, or those mixed with sliding windows"
        )
    return cache


def _window(layer: Any) -> int | None:
    return int(layer.sliding_window) if getattr(layer, "is_sliding", False) else None


def _states(layer: Any, old: LayerStates | None, length: int, real: Tensor) -> LayerStates:
    """What a layer holds after reading; the new tokens as a block of their own."""
    window = _window(layer)
    held = layer.tail if isinstance(layer, CompressedLayer) else (layer.keys, layer.values)
    if held is None or held[0] is None:
        raise ModelError("a layer of the model stored no keys: layers that share another's cache are not supported")
    keys, values = held
    batch, groups, stored, _ = keys.shape
    n = real.shape[1]
    last = torch.arange(length + n - stored, length + n, dtype=torch.int32, device=keys.device)
    positions = last.expand(batch, groups, -1)
    if not bool(real.all()):
        seen = real[:, n - min(n, stored) :]
        hidden = torch.nn.functional.pad(~seen, (stored - seen.shape[1], 0))
        positions = positions.masked_fill(hidden[:, None], -1)
    block = Block(owned(keys), owned(values), positions.contiguous(), covers=n)
    if window is not None:
        return LayerStates((block,), window)
    return LayerStates((*(old.blocks if old else ()), block))
