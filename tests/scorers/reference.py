"""Llama written out as slowly and plainly as possible, in float64: what the scorers' numbers are compared with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ctxshrink.training.config import ModelConfig

Array = NDArray[np.float64]


def reference_nll(c: ModelConfig, weights: dict[str, NDArray[np.float32]], ids: list[int]) -> Array:
    """Nats of ids[1:], each given the ids before it."""
    w = {n: v.astype(np.float64) for n, v in weights.items()}
    x = w["model.embed_tokens.weight"][ids[:-1]]
    for layer in range(c.num_hidden_layers):
        p = f"model.layers.{layer}."
        x = x + _attend(c, w, p + "self_attn.", _norm(x, w[p + "input_layernorm.weight"], c.rms_norm_eps))
        h = _norm(x, w[p + "post_attention_layernorm.weight"], c.rms_norm_eps)
        gate = h @ w[p + "mlp.gate_proj.weight"].T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ w[p + "mlp.up_proj.weight"].T)) @ w[p + "mlp.down_proj.weight"].T
    logits = _norm(x, w["model.norm.weight"], c.rms_norm_eps) @ w["model.embed_tokens.weight"].T
    top = logits.max(-1, keepdims=True)
    logs = logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))
    return -logs[np.arange(len(ids) - 1), ids[1:]]


def _norm(x: Array, weight: Array, eps: float) -> Array:
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def _attend(c: ModelConfig, w: dict[str, Array], p: str, h: Array) -> Array:
    size = c.hidden_size // c.num_attention_heads
    out = []
    for head in range(c.num_attention_heads):
        shared = head // (c.num_attention_heads // c.num_key_value_heads)
        q = _rotate(c, h @ w[p + "q_proj.weight"][head * size : (head + 1) * size].T)
        k = _rotate(c, h @ w[p + "k_proj.weight"][shared * size : (shared + 1) * size].T)
        v = h @ w[p + "v_proj.weight"][shared * size : (shared + 1) * size].T
        scores = q @ k.T / np.sqrt(size)
        scores[np.triu_indices(len(h), 1)] = -np.inf
        e = np.exp(scores - scores.max(-1, keepdims=True))
        out.append(e / e.sum(-1, keepdims=True) @ v)
    return np.concatenate(out, axis=-1) @ w[p + "o_proj.weight"].T


def _rotate(c: ModelConfig, x: Array) -> Array:
    half = x.shape[1] // 2
    out = np.empty_like(x)
    for position in range(len(x)):
        for i in range(half):
            angle = position / c.rope_theta ** (2 * i / x.shape[1])
            a, b = x[position, i], x[position, i + half]
            out[position, i] = a * np.cos(angle) - b * np.sin(angle)
            out[position, i + half] = b * np.cos(angle) + a * np.sin(angle)
    return out
