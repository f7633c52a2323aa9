"""KV-Distill's artefact: what was learned about which tokens of a context a model will need, for any question.

After "KV-Distill: Nearly Lossless Learnable Context Compression for LLMs" (arXiv 2503.10337): a token scorer selects
without knowing the question, the tokens that stay are represented with conditional LoRA weights, and the model itself
stays as it is. `ctxshrink.training.kv_distill` trains it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from ctxshrink.errors import ConfigError
from ctxshrink.kv._adapter_layers import ConditionalLoRA, TokenScorer, rotate
from ctxshrink.kv._trained import load_trained, save_trained
from ctxshrink.kv.fingerprint import fingerprint
from ctxshrink.kv.observe import attention_modules
from ctxshrink.kv.types import LayerInput

__all__ = ["AdapterSizes", "KVDistillAdapter"]

_WEIGHTS = "adapter.safetensors"


@dataclass(frozen=True, slots=True)
class AdapterSizes:
    """What an adapter is made of.

    Attributes:
        layers: Numbers of the attention layers that it serves.
        hidden: Size of the model's hidden states.
        heads: Key-value heads of a layer.
        size: Size of a head.
        width: Size of the scorer's own states.
        pools: Pools of the scorer's summary of the context.
        rank: Of the LoRA weights.
    """

    layers: tuple[int, ...]
    hidden: int
    heads: int
    size: int
    width: int = 128
    pools: int = 2
    rank: int = 8

    @classmethod
    def of(cls, model: Any, *, width: int = 128, pools: int = 2, rank: int = 8) -> AdapterSizes:
        """Sizes for a model; layers with a sliding window are left out, as their cache is not compressed.

        Raises:
            ConfigError: Every layer has a sliding window, or a size is not positive.
            ModelError: The model has no attention layers that can be watched.
        """
        if min(width, pools, rank) < 1:
            raise ConfigError(f"width ({width}), pools ({pools}) and rank ({rank}) of an adapter must be at least 1")
        config = model.config
        numbers = [int(cast(Any, m).layer_idx) for m in attention_modules(model)]
        kinds = getattr(config, "layer_types", None) or ["full_attention"] * (max(numbers) + 1)
        layers = tuple(i for i in numbers if kinds[i] == "full_attention")
        if not layers:
            raise ConfigError(f"{type(model).__name__} has no full-attention layer: there is nothing to compress")
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        return cls(layers, int(config.hidden_size), int(heads), int(size), width, pools, rank)


@dataclass(frozen=True, slots=True)
class Card:
    """Where an adapter comes from.

    Attributes:
        fingerprint: The model that it was trained for (`ctxshrink.kv.fingerprint`).
        sizes: What it is made of.
        training: How it was trained: settings and final losses.
    """

    fingerprint: str
    sizes: AdapterSizes
    training: Mapping[str, Any] = field(default_factory=dict[str, Any])


class KVDistillAdapter(nn.Module):
    """A selector that was trained for one model; it also makes the keys and values of the tokens that stay.

    Args:
        card: Where it comes from. New weights select at random and add nothing.
        seed: Of the weights.
    """

    name = "kv-distill"

    def __init__(self, card: Card, seed: int = 0) -> None:
        super().__init__()
        self.card = card
        s = card.sizes
        random: Any = torch.random
        with random.fork_rng(devices=[]):
            random.manual_seed(seed)
            self.scorers = nn.ModuleDict({str(i): TokenScorer(s.hidden, s.heads, s.width, s.pools) for i in s.layers})
            self.loras = nn.ModuleDict({str(i): ConditionalLoRA(s.hidden, s.heads, s.size, s.rank) for i in s.layers})

    @classmethod
    def new(cls, model: Any, *, width: int = 128, pools: int = 2, rank: int = 8, seed: int = 0) -> KVDistillAdapter:
        """An untrained adapter for a model, on its device."""
        card = Card(fingerprint(model), AdapterSizes.of(model, width=width, pools=pools, rank=rank))
        return cls(card, seed).to(model.device)

    def score(self, layer: LayerInput, /) -> Tensor:
        """How much questions will attend to each token, float32, shape (B, G, n)."""
        return self._part(self.scorers, layer.index)(layer.hidden.float(), layer.real)

    def adjust(self, layer: LayerInput, /) -> tuple[Tensor, Tensor]:
        """Keys and values that each token has if it is kept, both of shape (B, G, n, d), in the model's type."""
        key, value = self._part(self.loras, layer.index)(layer.hidden.float())
        key = rotate(
            key, None if layer.cos is None else layer.cos.float(), None if layer.sin is None else layer.sin.float()
        )
        return (layer.keys + key.to(layer.keys.dtype)), (layer.values + value.to(layer.values.dtype))

    def _part(self, parts: nn.ModuleDict, index: int) -> Any:
        if str(index) not in parts:
            raise ConfigError(f"the adapter was not trained for layer {index}, only for {self.card.sizes.layers}")
        return parts[str(index)]

    def check(self, model: Any) -> None:
        """Refuses a model that this adapter was not trained for.

        Raises:
            ConfigError: It is another one.
        """
        if fingerprint(model) != self.card.fingerprint:
            raise ConfigError(
                "the adapter was trained for another model: load the one that it belongs to, in the same type, or "
                "train an adapter for this one (ctxshrink train kv-distill)"
            )

    def save(self, folder: str | Path) -> None:
        """Writes the weights (safetensors, float16) and a card (JSON) into a folder, which is made if need be.

        Raises:
            OSError: It cannot be written.
        """
        save_trained(self, folder, asdict(self.card), _WEIGHTS)

    @classmethod
    def load(cls, folder: str | Path, model: Any) -> KVDistillAdapter:
        """Reads what `save` wrote.

        Args:
            folder: The folder.
            model: The model that it is to serve.

        Raises:
            ConfigError: There is no adapter there, or it belongs to another model.
            ModelError: The files are damaged or of another format.
        """

        def make(card: Mapping[str, Any]) -> KVDistillAdapter:
            sizes: dict[str, Any] = {**card["sizes"], "layers": tuple(card["sizes"]["layers"])}
            adapter = cls(Card(str(card["fingerprint"]), AdapterSizes(**sizes), card["training"]))
            adapter.check(model)
            return adapter

        return load_trained(folder, _WEIGHTS, "KV adapter", make).to(model.device).requires_grad_(False)
