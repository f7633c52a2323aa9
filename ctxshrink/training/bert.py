"""The pruner's network: a BERT encoder (Devlin et al. 2019) with a head on every token, in plain torch.

Parameter names are those of Hugging Face's ``BertModel``, so that a sentence encoder such as all-MiniLM-L6-v2 loads
unchanged. Importing this module imports torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ctxshrink.errors import ConfigError, MissingExtraError

HEADS = 2
"""Logits per token: its unit is one that people ask about; the token itself is part of an answer."""


@dataclass(frozen=True, slots=True)
class BertConfig:
    """Sizes, named as in Hugging Face's ``BertConfig``."""

    vocab_size: int = 30522
    hidden_size: int = 384
    num_hidden_layers: int = 6
    num_attention_heads: int = 12
    intermediate_size: int = 1536
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12


class _Embeddings(nn.Module):
    def __init__(self, c: BertConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(c.vocab_size, c.hidden_size)
        self.position_embeddings = nn.Embedding(c.max_position_embeddings, c.hidden_size)
        self.token_type_embeddings = nn.Embedding(c.type_vocab_size, c.hidden_size)
        self.LayerNorm = nn.LayerNorm(c.hidden_size, eps=c.layer_norm_eps)

    def forward(self, ids: Tensor) -> Tensor:
        places = self.position_embeddings.weight[: ids.shape[1]] + self.token_type_embeddings.weight[0]
        return self.LayerNorm(self.word_embeddings(ids) + places)


class _SelfAttention(nn.Module):
    def __init__(self, c: BertConfig) -> None:
        super().__init__()
        self.heads = c.num_attention_heads
        self.query = nn.Linear(c.hidden_size, c.hidden_size)
        self.key = nn.Linear(c.hidden_size, c.hidden_size)
        self.value = nn.Linear(c.hidden_size, c.hidden_size)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        b, t, d = x.shape
        q, k, v = (f(x).view(b, t, self.heads, -1).transpose(1, 2) for f in (self.query, self.key, self.value))
        # Spelled out: on a CPU the backward pass of the fused kernel costs more than all matrix products together.
        # Outside autocast, which would take the softmax in float32: half the memory traffic.
        with torch.autocast(x.device.type, enabled=False):
            weights = torch.baddbmm(mask, (q * q.shape[-1] ** -0.5).flatten(0, 1), k.flatten(0, 1).transpose(1, 2))
            mixed = torch.bmm(weights.softmax(-1), v.flatten(0, 1)).view(b, self.heads, t, -1)
        return mixed.transpose(1, 2).reshape(b, t, d)


class _Output(nn.Module):
    def __init__(self, size: int, c: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(size, c.hidden_size)
        self.LayerNorm = nn.LayerNorm(c.hidden_size, eps=c.layer_norm_eps)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return self.LayerNorm(self.dense(x) + residual)


class _Layer(nn.Module):
    def __init__(self, c: BertConfig) -> None:
        super().__init__()
        self.attention = nn.ModuleDict({"self": _SelfAttention(c), "output": _Output(c.hidden_size, c)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(c.hidden_size, c.intermediate_size)})
        self.output = _Output(c.intermediate_size, c)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.attention["output"](self.attention["self"](x, mask), x)
        return self.output(F.gelu(self.intermediate["dense"](x)), x)


class Bert(nn.Module):
    """The encoder and its head.

    Args:
        config: Sizes.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = _Embeddings(config)
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(_Layer(config) for _ in range(config.num_hidden_layers))})
        self.head = nn.Linear(config.hidden_size, HEADS)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Vectors of all tokens, (rows, time, hidden).

        Args:
            ids: Token ids, (rows, time); what lies behind a row's length is ignored.
            lengths: Tokens of each row, (rows,).
        """
        real = torch.arange(ids.shape[1], device=ids.device)[None] < lengths[:, None]
        x = self.embeddings(ids)
        dtype = torch.get_autocast_dtype(x.device.type) if torch.is_autocast_enabled(x.device.type) else x.dtype
        hidden = (~real).to(dtype).mul(-1e4)
        mask = hidden.repeat_interleave(self.config.num_attention_heads, 0)[:, None, :]
        for layer in cast("nn.ModuleList", self.encoder["layer"]):
            x = layer(x, mask)
        return x


def read_bert_config(folder: Path) -> BertConfig:
    """Sizes of the encoder in a Hugging Face folder, from its ``config.json``.

    Raises:
        ConfigError: There is none, or it is not a BERT model's.
    """
    try:
        stored: Mapping[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"base: {folder} holds no encoder (config.json and model.safetensors): {error}") from error
    if stored.get("model_type") != "bert":
        raise ConfigError(f"base: {folder} is a {stored.get('model_type')!r} model; a BERT encoder is needed")
    return BertConfig(**{k: stored[k] for k in BertConfig.__dataclass_fields__ if k in stored})


def load_bert(folder: Path, seed: int) -> Bert:
    """An encoder from a Hugging Face folder with ``config.json`` and ``model.safetensors``, the head new.

    Raises:
        MissingExtraError: safetensors is not installed.
        ConfigError: The folder holds no BERT model.
    """
    try:
        import safetensors.torch
    except ImportError as error:
        raise MissingExtraError("reading a base encoder", "train") from error
    config = read_bert_config(folder)
    try:
        weights: Mapping[str, Tensor] = cast(Any, safetensors.torch).load_file(folder / "model.safetensors")
    except (OSError, ValueError) as error:
        raise ConfigError(f"base: {folder} holds no encoder (config.json and model.safetensors): {error}") from error
    cast(Any, torch).manual_seed(seed)
    model = Bert(config)
    nn.init.normal_(model.head.weight, std=0.02)
    nn.init.zeros_(model.head.bias)
    weights = {k.removeprefix("bert."): v.float() for k, v in weights.items()}
    wanted = [k for k in model.state_dict() if not k.startswith("head.")]
    missing = [k for k in wanted if k not in weights]
    if missing:
        raise ConfigError(f"base: {folder} lacks {missing[0]}")
    model.load_state_dict({k: weights[k] for k in wanted}, strict=False)
    return model
