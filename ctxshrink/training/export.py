"""Writes trained weights as ``model.onnx``: int8 weights, one scale per output channel, float32 arithmetic.

The graph scores one *chunk* of every row: C tokens at positions P … P + C - 1, the keys and values of the P tokens
before them given. P and C are the same for all rows, keys lie at their positions, and the arithmetic is float32, so
the numbers of one row do not depend on what else is in the batch. (Quantizing activations, as int8 matrix products
need, takes its scale from the whole batch and would break that.) onnxruntime turns the int8 weights into floats once,
when it loads them.

Inputs: ``input_ids`` (B, C) int64; ``positions`` (C,) int64; ``mask`` (C, P + C) float32, added to the attention
scores; ``past`` (layers, 2, B, kv heads, P, head size) float32; ``select`` (N,) int64, rows of the flattened (B * C)
hidden states; ``targets`` (N,) int64. Outputs: ``nll`` (N,) float32, nats of ``targets[i]`` after the token at
``select[i]``; ``present`` (layers, 2, B, kv heads, C, head size) float32.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ctxshrink.errors import ConfigError, MissingExtraError
from ctxshrink.training.config import ModelConfig, ScorerConfig
from ctxshrink.training.graph import Graph

CHUNK = 64
Weights = Mapping[str, NDArray[np.float32]]


def quantize(weight: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Symmetric int8 per row: ``weight ≈ q * scale[:, None]``.

    The scale of each row is the one of 16 with the least squared error: a little clipping costs less than coarse steps.

    Args:
        weight: (rows, columns).
    """
    top = np.maximum(np.abs(weight).max(axis=1), 1e-8) / 127
    best = np.full(len(weight), np.inf)
    scale = top.copy()
    for factor in np.linspace(0.7, 1.0, 16):
        s = (top * factor).astype(np.float32)
        q = np.clip(np.rint(weight / s[:, None]), -127, 127)
        error = np.square(q * s[:, None] - weight).sum(axis=1)
        better = error < best
        best[better], scale[better] = error[better], s[better]
    scale = scale.astype(np.float32)
    return np.clip(np.rint(weight / scale[:, None]), -127, 127).astype(np.int8), scale


def dequantized(weights: Weights) -> dict[str, NDArray[np.float32]]:
    """The weights as the exported model has them; for measuring what int8 costs."""
    out: dict[str, NDArray[np.float32]] = {}
    for name, w in weights.items():
        if w.ndim == 2:
            q, s = quantize(w)
            w = q.astype(np.float32) * s[:, None]
        out[name] = w
    return out


def load_weights(checkpoint: Path) -> dict[str, NDArray[np.float32]]:
    """Weights of a checkpoint of `ctxshrink.training.scorer`, by their Hugging Face names."""
    from ctxshrink.training.scorer import import_torch

    torch = import_torch()
    if not checkpoint.is_file():
        raise ConfigError(f"{checkpoint}: no checkpoint; train first")
    saved = torch.load(checkpoint, map_location="cpu", weights_only=True)["model"]
    return {name: w.float().numpy() for name, w in saved.items()}


def export_scorer(config: ScorerConfig, output: Path, name: str = "ctxshrink-scorer") -> None:
    """Writes ``model.onnx``, ``tokenizer.json`` and ``config.json`` from the work folder's checkpoint.

    Args:
        config: The recipe that was trained.
        output: The folder to write.
        name: What the scorer calls itself.

    Raises:
        MissingExtraError: onnx is not installed.
        ConfigError: There is no checkpoint.
    """
    work = Path(config.work)
    write_model(output, config.model, load_weights(work / "checkpoint.pt"), work / "tokenizer.json", name)


def write_model(output: Path, c: ModelConfig, weights: Weights, tokenizer: Path, name: str) -> None:
    """Writes the three files of a model folder.

    Args:
        output: The folder.
        c: The model's sizes.
        weights: By Hugging Face name.
        tokenizer: The ``tokenizer.json`` it was trained with.
        name: What the scorer calls itself.
    """
    output.mkdir(parents=True, exist_ok=True)
    (output / "model.onnx").write_bytes(build_graph(c, weights))
    if tokenizer.resolve() != (output / "tokenizer.json").resolve():
        shutil.copyfile(tokenizer, output / "tokenizer.json")
    sums = {n: hashlib.sha256((output / n).read_bytes()).hexdigest() for n in ("model.onnx", "tokenizer.json")}
    described = {
        "format": "ctxshrink-scorer",
        "version": 1,
        "name": name,
        "window": c.max_position_embeddings,
        "chunk": CHUNK,
        "layers": c.num_hidden_layers,
        "kv_heads": c.num_key_value_heads,
        "head_size": c.hidden_size // c.num_attention_heads,
        "vocab_size": len(weights["model.embed_tokens.weight"]),
        "bos": 0,
        "sha256": sums,
    }
    (output / "config.json").write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")


def build_graph(c: ModelConfig, weights: Weights) -> bytes:
    """The serialized ONNX model of the module's description."""
    try:
        import onnx
        from onnx import TensorProto, helper
    except ImportError as error:
        raise MissingExtraError("exporting a model", "train") from error
    g = _Decoder()
    _decoder(g, c, weights)
    size, kv = c.hidden_size // c.num_attention_heads, c.num_key_value_heads
    i64, f32 = TensorProto.INT64, TensorProto.FLOAT
    cache = [c.num_hidden_layers, 2, "B", kv]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        g.nodes,
        "ctxshrink_scorer",
        [
            info("input_ids", i64, ["B", "C"]),
            info("positions", i64, ["C"]),
            info("mask", f32, ["C", "S"]),
            info("past", f32, [*cache, "P", size]),
            info("select", i64, ["N"]),
            info("targets", i64, ["N"]),
        ],
        [info("nll", f32, ["N"]), info("present", f32, [*cache, "C", size])],
        g.initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    cast(Any, onnx.checker).check_model(model)
    return model.SerializeToString()


class _Decoder(Graph):
    """The parts of a Llama model."""

    def linear(self, x: str, weight: NDArray[np.float32], name: str) -> str:
        """``x @ weight.T`` with the weight stored as int8 of shape (in, out)."""
        from onnx import TensorProto

        q, s = quantize(weight)
        stored = self.op("Cast", self.const(q.T, f"{name}.int8"), to=TensorProto.FLOAT)
        return self.op("MatMul", x, self.op("Mul", stored, self.const(s, f"{name}.scale")))

    def norm(self, x: str, weight: NDArray[np.float32], eps: float, name: str) -> str:
        mean = self.op("ReduceMean", self.op("Mul", x, x), axes=[-1], keepdims=1)
        root = self.op("Sqrt", self.op("Add", mean, self.scalar(eps, "eps")))
        return self.op("Mul", self.op("Div", x, root), self.const(weight, name))


def _decoder(g: _Decoder, c: ModelConfig, w: Weights) -> None:
    from onnx import TensorProto

    table, scale = quantize(w["model.embed_tokens.weight"])
    stored, scales = g.const(table, "embed.int8"), g.const(scale[:, None], "embed.scale")
    rows = g.op("Cast", g.op("Gather", stored, "input_ids", axis=0), to=TensorProto.FLOAT)
    x = g.op("Mul", rows, g.op("Gather", scales, "input_ids", axis=0))
    cos, sin = (g.const(table, name) for name, table in zip(("cos", "sin"), _rotary(c), strict=True))
    rotary = g.op("Gather", cos, "positions", axis=0), g.op("Gather", sin, "positions", axis=0)
    presents: list[str] = []
    for i in range(c.num_hidden_layers):
        p = f"model.layers.{i}."
        h = g.norm(x, w[p + "input_layernorm.weight"], c.rms_norm_eps, p + "norm1")
        y, present = _attention(g, c, w, p + "self_attn.", h, i, rotary)
        presents.append(present)
        x = g.op("Add", x, y)
        h = g.norm(x, w[p + "post_attention_layernorm.weight"], c.rms_norm_eps, p + "norm2")
        gate = g.linear(h, w[p + "mlp.gate_proj.weight"], p + "gate")
        gate = g.op("Mul", gate, g.op("Sigmoid", gate))
        up = g.op("Mul", gate, g.linear(h, w[p + "mlp.up_proj.weight"], p + "up"))
        x = g.op("Add", x, g.linear(up, w[p + "mlp.down_proj.weight"], p + "down"))
    g.name(g.op("Concat", *presents, axis=0), "present")
    # Logits, which cost as much as all layers, only where they are asked for.
    x = g.op("Gather", g.op("Reshape", x, g.ints(-1, c.hidden_size)), "select", axis=0)
    x = g.norm(x, w["model.norm.weight"], c.rms_norm_eps, "norm")
    head = g.op("Mul", g.op("Cast", stored, to=TensorProto.FLOAT), scales)
    logits = g.op("LogSoftmax", g.op("MatMul", x, g.op("Transpose", head, perm=[1, 0])), axis=-1)
    chosen = g.op("GatherElements", logits, g.op("Unsqueeze", "targets", g.ints(1)), axis=1)
    g.name(g.op("Neg", g.op("Squeeze", chosen, g.ints(1))), "nll")


def _attention(
    g: _Decoder, c: ModelConfig, w: Weights, p: str, h: str, layer: int, rotary: tuple[str, str]
) -> tuple[str, str]:
    heads, kv = c.num_attention_heads, c.num_key_value_heads
    size = c.hidden_size // heads

    def split(name: str, n: int) -> str:
        flat = g.linear(h, w[f"{p}{name}.weight"], p + name)
        return g.op("Transpose", g.op("Reshape", flat, g.ints(0, 0, n, size)), perm=[0, 2, 1, 3])

    q, k, v = _rotate(g, split("q_proj", heads), rotary), _rotate(g, split("k_proj", kv), rotary), split("v_proj", kv)
    present = g.op("Unsqueeze", g.op("Concat", *(g.op("Unsqueeze", t, g.ints(0)) for t in (k, v)), axis=0), g.ints(0))
    past = g.op("Gather", "past", g.ints(layer), axis=0)
    both = g.op("Squeeze", g.op("Concat", past, present, axis=4), g.ints(0))
    k, v = (g.op("Squeeze", t, g.ints(0)) for t in g.ops("Split", 2, both, g.ints(1, 1), axis=0))
    if kv != heads:  # each key-value head serves heads / kv query heads that lie side by side
        grouped = g.ints(0, kv, heads // kv, -1, size)
        q = g.op("Reshape", q, grouped)
        k, v = (g.op("Unsqueeze", t, g.ints(2)) for t in (k, v))
    perm = [0, 1, 3, 2] if kv == heads else [0, 1, 2, 4, 3]
    scores = g.op("MatMul", g.op("Mul", q, g.scalar(size**-0.5, "attention_scale")), g.op("Transpose", k, perm=perm))
    y = g.op("MatMul", g.op("Softmax", g.op("Add", scores, "mask"), axis=-1), v)
    if kv != heads:
        y = g.op("Reshape", y, g.ints(0, heads, -1, size))
    y = g.op("Reshape", g.op("Transpose", y, perm=[0, 2, 1, 3]), g.ints(0, 0, c.hidden_size))
    return g.linear(y, w[f"{p}o_proj.weight"], p + "o_proj"), present


def _rotate(g: _Decoder, x: str, rotary: tuple[str, str]) -> str:
    cos, sin = rotary
    a, b = g.ops("Split", 2, x, axis=-1)
    left = g.op("Sub", g.op("Mul", a, cos), g.op("Mul", b, sin))
    return g.op("Concat", left, g.op("Add", g.op("Mul", b, cos), g.op("Mul", a, sin)), axis=-1)


def _rotary(c: ModelConfig) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    size = c.hidden_size // c.num_attention_heads
    frequencies = c.rope_theta ** (-np.arange(0, size, 2) / size)
    angles = np.outer(np.arange(c.max_position_embeddings), frequencies)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
