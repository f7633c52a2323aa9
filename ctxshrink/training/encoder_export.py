"""Writes a fine-tuned BERT encoder with a token head as ``model.onnx``: int8 weights and int8 matrix products.

Weights have one scale per output channel (`ctxshrink.training.export.quantize`). Activations need scales too, and a
text's numbers must not depend on what else is in the batch, so no scale is taken from the whole batch:

- What a LayerNorm or the attention gives has constant steps, from calibration. Its channels differ by a factor of ten,
  so they are shifted to the middle of their range (Outlier Suppression+, Wei et al. 2023) and part of their width moves
  to the weights (SmoothQuant, Xiao et al. 2023, equation 4). The shifted and scaled form is what LayerNorm's own gain
  and bias give, so it costs one multiplication on the residual path; behind the attention it costs nothing.
- What GELU gives has rare values ten times larger than all others, in places that no calibration foresees. It has one
  scale per token, from the token's largest value.

Inputs: ``input_ids`` (B, S) int64, rows without padding. Outputs: ``vectors`` (B, S, width) float32, the last layer;
``logits`` (B, S, heads of the head) float32.

``Sum`` instead of ``Add`` before a LayerNorm keeps onnxruntime from fusing both into ``SkipLayerNormalization``, which
takes several times as long as the two.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ctxshrink.errors import ConfigError
from ctxshrink.training.encoder_graph import WINDOW, Site, build_encoder
from ctxshrink.training.export import Weights

__all__ = ["Int8Cost", "calibrate", "export_encoder", "int8_cost", "read_tokenizer"]

SMOOTHING = 0.5
"""Share of a channel's width (in logarithms) that moves to the weights; 0.5 as in SmoothQuant."""


@dataclass(frozen=True, slots=True)
class Int8Cost:
    """Cosines of the float32 model's vectors and the exported one's.

    Attributes:
        token: Mean over tokens.
        worst_token: The smallest of a token.
        text: Mean over texts, of their mean vectors.
        worst_text: The smallest of a text.
    """

    token: float
    worst_token: float
    text: float
    worst_text: float


def export_encoder(
    weights: Weights,
    output: Path,
    tokenizer: Path,
    calibration: Sequence[Sequence[int]],
    name: str,
    config: Mapping[str, Any] | None = None,
    *,
    heads: int = 12,
) -> None:
    """Writes ``model.onnx``, ``tokenizer.json`` and ``config.json`` of an encoder's folder.

    Args:
        weights: float32 by the names of Hugging Face's ``BertModel``, and ``head.weight`` (logits, width) and
            ``head.bias`` (logits,).
        output: The folder.
        tokenizer: The ``tokenizer.json`` of the base encoder; truncation and padding are removed from it.
        calibration: Rows of token ids, [CLS] and [SEP] included, as the model will see them; a few hundred.
        name: What the model calls itself.
        config: Further entries of ``config.json``.
        heads: Attention heads.

    Raises:
        MissingExtraError: onnx is not installed.
        ConfigError: A weight is missing, the calibration is empty, the tokenizer is none or lacks a special token, or
            an entry of ``config`` is not the caller's to set.
    """
    read, special = read_tokenizer(tokenizer)
    model = build_encoder(weights, heads, calibrate(weights, calibration, heads))
    output.mkdir(parents=True, exist_ok=True)
    (output / "tokenizer.json").write_text(read.to_str(), encoding="utf-8")
    (output / "model.onnx").write_bytes(model)
    ours = {
        "format": "ctxshrink-pruner",
        "version": 1,
        "name": name,
        "window": min(WINDOW, len(weights["embeddings.position_embeddings.weight"])),
        "width": weights["embeddings.word_embeddings.weight"].shape[1],
        "heads": len(weights["head.weight"]),
        "vocab_size": len(weights["embeddings.word_embeddings.weight"]),
        **special,
        "sha256": {
            file: hashlib.sha256((output / file).read_bytes()).hexdigest() for file in ("model.onnx", "tokenizer.json")
        },
    }
    if clash := set(ours) & set(config or {}):
        raise ConfigError(f"config: {sorted(clash)} are set by the export")
    (output / "config.json").write_text(json.dumps(ours | dict(config or {}), indent=1) + "\n", encoding="utf-8")


def read_tokenizer(path: Path) -> tuple[Any, dict[str, int]]:
    """A BERT tokenizer without truncation and padding, and the ids of its ``cls``, ``sep`` and ``unk``.

    Raises:
        ConfigError: The file is missing, is no tokenizer, or lacks a special token.
    """
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # tokenizers raises bare exceptions
        raise ConfigError(f"{path}: not a tokenizer: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    special = {name: tokenizer.token_to_id(f"[{name.upper()}]") for name in ("cls", "sep", "unk")}
    if None in special.values():
        raise ConfigError(f"{path}: a tokenizer with [CLS], [SEP] and [UNK] is needed")
    return tokenizer, cast("dict[str, int]", special)


def calibrate(weights: Weights, rows: Sequence[Sequence[int]], heads: int = 12) -> dict[str, Site]:
    """The byte forms of all activations with constant steps, from what the float32 model's channels take on the rows.

    Raises:
        ConfigError: There are no rows.
    """
    seen: dict[str, _Range] = {}
    session = _session(build_encoder(weights, heads))
    names = [output.name for output in session.get_outputs() if output.name.startswith("site.")]
    for ids in rows:
        if ids:
            for name, found in zip(names, session.run(names, {"input_ids": np.asarray([ids], np.int64)}), strict=True):
                seen.setdefault(name.removeprefix("site."), _Range()).add(found[0])
    if not seen:
        raise ConfigError("calibration: at least one row of token ids is needed")
    return {site: _site(r, _readers(weights, site)) for site, r in seen.items()}


class _Range:
    """Smallest, largest and mean value of every channel."""

    def __init__(self) -> None:
        self.low: NDArray[np.float32] = np.asarray(np.inf, np.float32)
        self.high: NDArray[np.float32] = np.asarray(-np.inf, np.float32)
        self.total: NDArray[np.float64] = np.asarray(0.0)
        self.count = 0

    def add(self, found: NDArray[np.float32]) -> None:
        """Takes in (tokens, channels)."""
        self.low = np.minimum(self.low, found.min(axis=0))
        self.high = np.maximum(self.high, found.max(axis=0))
        self.total = self.total + found.sum(axis=0, dtype=np.float64)
        self.count += len(found)


def _readers(weights: Weights, site: str) -> NDArray[np.float32]:
    """The weights of the matrix products that read a site, (outputs, channels)."""
    layer, kind = site.split(".")
    p = f"encoder.layer.{layer}."
    names = {
        "input": [f"{p}attention.self.{n}" for n in ("query", "key", "value")],
        "context": [f"{p}attention.output.dense"],
        "middle": [f"{p}intermediate.dense"],
    }[kind]
    return np.concatenate([weights[f"{n}.weight"] for n in names])


def _site(r: _Range, readers: NDArray[np.float32]) -> Site:
    shift = (r.low + r.high) / 2
    width = np.maximum((r.high - r.low) / 2, 1e-3)
    scale = width**SMOOTHING / np.maximum(np.abs(readers).max(axis=0), 1e-5) ** (1 - SMOOTHING)
    scale = (scale / np.exp(np.log(scale).mean())).astype(np.float32)
    mean = (r.total / r.count).astype(np.float32)
    return Site(scale, shift.astype(np.float32), mean, float((width / scale).max()) / 127, 128)


def int8_cost(weights: Weights, folder: Path, rows: Sequence[Sequence[int]], heads: int = 12) -> Int8Cost:
    """What the export costs: its vectors against those of the float32 weights.

    Args:
        weights: As given to `export_encoder`.
        folder: What it wrote.
        rows: Rows of token ids; others than the calibration's.
        heads: Attention heads.
    """
    exact, exported = _session(build_encoder(weights, heads)), _session((folder / "model.onnx").read_bytes())
    tokens: list[NDArray[np.float64]] = []
    texts: list[float] = []
    for ids in rows:
        a, b = (
            np.asarray(s.run(["vectors"], {"input_ids": np.asarray([ids], np.int64)})[0][0], np.float64)
            for s in (exact, exported)
        )
        tokens.append(_cosine(a, b))
        texts.append(float(_cosine(a.mean(axis=0), b.mean(axis=0))))
    of_tokens = np.concatenate(tokens)
    return Int8Cost(float(of_tokens.mean()), float(of_tokens.min()), float(np.mean(texts)), min(texts))


def _cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return (a * b).sum(axis=-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1))


def _session(model: bytes) -> Any:
    import onnxruntime  # pyright: ignore[reportMissingTypeStubs]

    return cast(Any, onnxruntime).InferenceSession(model, providers=["CPUExecutionProvider"])
