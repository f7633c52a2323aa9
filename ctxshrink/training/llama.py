"""The scorer's network: Llama (Touvron et al. 2023) with tied embeddings, in plain torch.

Parameter names are those of Hugging Face's ``LlamaForCausalLM``, so a state dict loads there unchanged. Importing this
module imports torch; everything outside ``training/`` reaches it through `ctxshrink.training.scorer`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ctxshrink.training.config import ModelConfig

Softmax: TypeAlias = Callable[[Tensor], tuple[Tensor, Tensor]]


class RMSNorm(nn.Module):
    """Root mean square layer normalization (Zhang & Sennrich 2019), computed in float32."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalizes the last axis; the dtype of the input is kept."""
        y = x.float()
        y = y * torch.rsqrt(y.square().mean(-1, keepdim=True) + self.eps)
        return (y * self.weight).to(x.dtype)


class Attention(nn.Module):
    """Causal grouped-query attention with rotary positions (Su et al. 2021)."""

    def __init__(self, c: ModelConfig) -> None:
        super().__init__()
        self.heads, self.kv_heads = c.num_attention_heads, c.num_key_value_heads
        self.size = c.hidden_size // c.num_attention_heads
        kv = self.kv_heads * self.size
        self.q_proj = nn.Linear(c.hidden_size, c.hidden_size, bias=False)
        self.k_proj = nn.Linear(c.hidden_size, kv, bias=False)
        self.v_proj = nn.Linear(c.hidden_size, kv, bias=False)
        self.o_proj = nn.Linear(c.hidden_size, c.hidden_size, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Attends; ``x`` is (batch, time, hidden), ``cos`` and ``sin`` are (time, head size / 2)."""
        b, t, d = x.shape
        q = rotate(self.q_proj(x).view(b, t, self.heads, self.size).transpose(1, 2), cos, sin)
        k = rotate(self.k_proj(x).view(b, t, self.kv_heads, self.size).transpose(1, 2), cos, sin)
        v = self.v_proj(x).view(b, t, self.kv_heads, self.size).transpose(1, 2)
        grouped = self.kv_heads != self.heads
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=grouped)
        return self.o_proj(y.transpose(1, 2).reshape(b, t, d))


class MLP(nn.Module):
    """SwiGLU (Shazeer 2020)."""

    def __init__(self, c: ModelConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(c.hidden_size, c.intermediate_size, bias=False)
        self.up_proj = nn.Linear(c.hidden_size, c.intermediate_size, bias=False)
        self.down_proj = nn.Linear(c.intermediate_size, c.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Transforms the last axis."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    """One decoder layer."""

    def __init__(self, c: ModelConfig) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.self_attn = Attention(c)
        self.post_attention_layernorm = RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.mlp = MLP(c)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Maps (batch, time, hidden) to the same shape."""
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    """Embeddings, blocks and the last norm (``model`` in Hugging Face's naming)."""

    def __init__(self, c: ModelConfig, vocab_size: int) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(vocab_size, c.hidden_size)
        self.layers = nn.ModuleList(Block(c) for _ in range(c.num_hidden_layers))
        self.norm = RMSNorm(c.hidden_size, c.rms_norm_eps)


class Llama(nn.Module):
    """The language model.

    Args:
        config: Its sizes.
        vocab_size: Entries of the tokenizer.
        seed: Of the initial weights.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, config: ModelConfig, vocab_size: int, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        self.model = Decoder(config, vocab_size)
        cos, sin = rotary(config)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        generator = torch.Generator().manual_seed(seed)
        # Outputs into the residual stream start smaller, so that its size does not grow with depth (GPT-2).
        small = 0.02 / math.sqrt(2 * config.num_hidden_layers)
        for name, p in self.named_parameters():
            if p.ndim == 2:
                residual = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(p, std=small if residual else 0.02, generator=generator)
        self.run_block: Callable[..., Tensor] = _run_block
        self.softmax: Softmax = softmax_lse

    def hidden(self, ids: Tensor) -> Tensor:
        """Final hidden states of (batch, time) token ids: (batch, time, hidden)."""
        x = self.model.embed_tokens(ids)
        if torch.is_autocast_enabled(ids.device.type):
            x = x.to(torch.get_autocast_dtype(ids.device.type))
        cos, sin = self.cos[: ids.shape[1]].to(x.dtype), self.sin[: ids.shape[1]].to(x.dtype)
        for block in self.model.layers:
            x = self.run_block(block, x, cos, sin)
        return self.model.norm(x)

    def loss(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Mean NLL in nats per token of ``targets``, both (batch, time)."""
        h = self.hidden(ids)
        w = self.model.embed_tokens.weight
        return linear_cross_entropy(h.reshape(-1, h.shape[-1]), w, targets.reshape(-1), softmax=self.softmax)

    def nll(self, ids: Tensor, targets: Tensor) -> Tensor:
        """NLL of every target token, (batch, time) float32; for evaluation."""
        with torch.no_grad():
            logits = F.linear(self.hidden(ids), self.model.embed_tokens.weight).float()
            return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)


def grow(weights: dict[str, Tensor], layers: int) -> tuple[dict[str, Tensor], bool]:
    """Weights of a deeper model that computes the same: added layers are copies whose outputs are 0.

    Args:
        weights: By name.
        layers: Of the deeper model; each of the given ones is followed by about equally many copies.

    Returns:
        The weights, and whether there was nothing to add.

    Raises:
        ValueError: The given model is deeper.
    """
    prefix = "model.layers."
    given = 1 + max(int(n.split(".")[2]) for n in weights if n.startswith(prefix))
    if given > layers:
        raise ValueError(f"it has {given} layers, more than {layers}")
    grown = {n: w for n, w in weights.items() if not n.startswith(prefix)}
    for layer in range(layers):
        source = layer * given // layers
        added = layer > 0 and source == (layer - 1) * given // layers
        for name, w in weights.items():
            if name.startswith(f"{prefix}{source}."):
                silent = added and name.endswith(("o_proj.weight", "down_proj.weight"))
                tail = name.removeprefix(f"{prefix}{source}.")
                grown[f"{prefix}{layer}.{tail}"] = torch.zeros_like(w) if silent else w.clone()
    return grown, given == layers


def _run_block(block: Block, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    return block(x, cos, sin)


def compile_blocks(model: Llama) -> None:
    """Compiles one block's code and uses it for all: a sixth of the compile time of the whole model."""
    model.run_block = cast("Callable[..., Tensor]", cast(Any, torch).compile(_run_block))
    model.softmax = cast("Softmax", cast(Any, torch).compile(softmax_lse))


def rotary(config: ModelConfig) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary angles, each (positions, head size / 2)."""
    size = config.hidden_size // config.num_attention_heads
    frequencies = config.rope_theta ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
    angles = torch.outer(torch.arange(config.max_position_embeddings, dtype=torch.float64), frequencies)
    return angles.cos().float(), angles.sin().float()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Applies rotary positions to (batch, heads, time, size), halves paired as in Hugging Face's Llama."""
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class _LinearCrossEntropy(torch.autograd.Function):
    """Cross entropy of ``hidden @ weight.T`` in chunks, the gradient computed on the way.

    The logits of a batch (8,192 x 12,288 floats) do not fit a CPU's caches, nor do they need to exist at once.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, chunk: int, softmax: Softmax) -> Tensor:
        w = weight.to(hidden.dtype)
        d_hidden, d_weight = torch.empty_like(hidden), torch.zeros_like(weight)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for start in range(0, len(hidden), chunk):
            h, y = hidden[start : start + chunk], targets[start : start + chunk]
            logits = h @ w.t()
            g, lse = softmax(logits)
            total += (lse - logits.gather(1, y[:, None])[:, 0].float()).sum()
            g.scatter_add_(1, y[:, None], torch.full_like(g[:, :1], -1.0))
            d_hidden[start : start + chunk] = g @ w
            d_weight += g.t() @ h
        ctx.save_for_backward(d_hidden, d_weight)
        ctx.count = len(hidden)
        return total / len(hidden)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        d_hidden, d_weight = ctx.saved_tensors
        scale = grads[0] / ctx.count
        return d_hidden * scale.to(d_hidden.dtype), d_weight * scale, None, None, None


def softmax_lse(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities in the dtype of the logits, (rows, classes), and the logarithm of the sum, (rows,) float32."""
    x = logits.float()
    top = x.amax(-1, keepdim=True)
    e = torch.exp(x - top)
    total = e.sum(-1, keepdim=True)
    return (e / total).to(logits.dtype), (top + total.log())[:, 0]


def linear_cross_entropy(
    hidden: Tensor, weight: Tensor, targets: Tensor, chunk: int = 512, softmax: Softmax = softmax_lse
) -> Tensor:
    """Mean cross entropy of the logits ``hidden @ weight.T``, without ever holding them all.

    Args:
        hidden: (tokens, hidden), the dtype of the products.
        weight: (vocabulary, hidden).
        targets: (tokens,) ids.
        chunk: Tokens at a time.
        softmax: `softmax_lse`, or a compiled version of it.
    """
    return cast("Any", _LinearCrossEntropy).apply(hidden, weight, targets, chunk, softmax)
