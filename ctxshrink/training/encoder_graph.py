"""The ONNX graph of a BERT encoder (Devlin et al. 2019) with a linear head on every token; see `encoder_export`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ctxshrink.errors import ConfigError, MissingExtraError
from ctxshrink.training.export import Weights, quantize
from ctxshrink.training.graph import MICROSOFT, Graph

__all__ = ["WINDOW", "Site", "build_encoder"]

WINDOW = 256
"""Most tokens of a row; later positions of the base encoder are dropped."""
_EPSILON = 1e-12
_ZERO, _LEVELS, _LEAST = 24, 230.0, 1.7
"""GELU is never below -0.17: with a largest value of 1.7 or more, 24 of 255 levels hold its negative part."""


@dataclass(frozen=True, slots=True)
class Site:
    """How an activation is written as bytes: ``x = scale * (q - zero) * step + shift``.

    Attributes:
        scale: (channels,) float32.
        shift: (channels,) float32.
        mean: (channels,) float32, the mean of the activation.
        step: Width of a level of the scaled activation.
        zero: The level of 0, in [0, 255].
    """

    scale: NDArray[np.float32]
    shift: NDArray[np.float32]
    mean: NDArray[np.float32]
    step: float
    zero: int


def build_encoder(weights: Weights, heads: int, sites: Mapping[str, Site] | None = None) -> bytes:
    """The serialized ONNX model.

    Args:
        weights: By the names of Hugging Face's ``BertModel``; ``head.weight`` (logits, width), ``head.bias`` (logits,).
        heads: Attention heads.
        sites: Byte forms of the activations ``LAYER.input``, ``LAYER.context`` and ``LAYER.middle``. None for float32
            throughout, with every one of them as a further output ``site.NAME``.

    Raises:
        MissingExtraError: onnx is not installed.
        ConfigError: A weight is missing.
    """
    try:
        import onnx
        from onnx import TensorProto, helper
    except ImportError as error:
        raise MissingExtraError("exporting a model", "train") from error
    g = _Encoder(weights, heads, sites)
    try:
        g.build()
    except KeyError as error:
        raise ConfigError(f"weights: {error} is missing") from error
    info, f32 = helper.make_tensor_value_info, TensorProto.FLOAT
    outputs = [info(name, f32, ["B", "S", size]) for name, size in g.outputs.items()]
    graph = helper.make_graph(
        g.nodes, "ctxshrink_pruner", [info("input_ids", TensorProto.INT64, ["B", "S"])], outputs, g.initializers
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    cast(Any, onnx.checker).check_model(model)
    return model.SerializeToString()


class _Encoder(Graph):
    """The encoder's parts. A stream between layers is a LayerNorm's result in its site's shifted and scaled form."""

    def __init__(self, weights: Weights, heads: int, sites: Mapping[str, Site] | None) -> None:
        super().__init__()
        self._weights, self._heads, self._sites = weights, heads, sites
        self.outputs: dict[str, int] = {}

    def build(self) -> None:
        w = self._weights
        layers = 1 + max((int(name.split(".")[2]) for name in w if name.startswith("encoder.layer.")), default=0)
        x = self._norm(self._embeddings(), "embeddings.LayerNorm", "0.input")
        for i in range(layers):
            x = self._layer(x, f"encoder.layer.{i}.", i, f"{i + 1}.input" if i + 1 < layers else "")
        self._output(x, "vectors", w["embeddings.word_embeddings.weight"].shape[1])
        product = self.op("MatMul", x, self.const(w["head.weight"].T, "head.weight"))
        self._output(self.op("Add", product, self.const(w["head.bias"], "head.bias")), "logits", len(w["head.weight"]))

    def _output(self, x: str, name: str, size: int) -> None:
        self.name(x, name)
        self.outputs[name] = size

    def _embeddings(self) -> str:
        from onnx import TensorProto

        w = self._weights
        table = w["embeddings.word_embeddings.weight"]
        if self._sites is None:
            words = self.op("Gather", self.const(table, "words"), "input_ids", axis=0)
        else:
            table, scale = quantize(table)
            # Rows are gathered as bytes: the table is never held as floats.
            rows = self.op("Gather", self.const(table, "words.int8"), "input_ids", axis=0)
            scales = self.op("Gather", self.const(scale[:, None], "words.scale"), "input_ids", axis=0)
            words = self.op("Mul", self.op("Cast", rows, to=TensorProto.FLOAT), scales)
        # Every token is of the first type: the texts of a pair are never read together.
        places = w["embeddings.position_embeddings.weight"][:WINDOW] + w["embeddings.token_type_embeddings.weight"][0]
        length = self.op("Shape", "input_ids", start=1, end=2)
        return self.op("Sum", words, self.op("Slice", self.const(places, "places"), self.ints(0), length, self.ints(0)))

    def _layer(self, x: str, p: str, i: int, following: str) -> str:
        site = f"{i}.input"
        read = self._bytes(x, site)
        names = [f"{p}attention.self.{n}" for n in ("query", "key", "value")]
        query, key, value = (self._linear(read, name, site) for name in names)
        context = self.op(
            "MultiHeadAttention", query, key, value, domain=MICROSOFT, num_heads=self._heads, scale=self._scale()
        )
        context = self._bytes(context, f"{i}.context")
        y = self._linear(context, p + "attention.output.dense", f"{i}.context", self._shift(site))
        middle = f"{i}.middle"
        x = self._norm(self.op("Sum", y, self._residual(x, site)), p + "attention.output.LayerNorm", middle)
        h = self._linear(self._bytes(x, middle), p + "intermediate.dense", middle)
        y = self._by_token(self.op("Gelu", h, domain=MICROSOFT), p + "output.dense")
        # The bias of the product stands with the residual: the product itself is scaled token by token.
        bias = self.const(self._weights[p + "output.dense.bias"] + self._shift(middle), p + "output.dense.bias")
        y = self.op("Sum", y, self._residual(x, middle), bias)
        return self._norm(y, p + "output.LayerNorm", following)

    def _scale(self) -> float:
        return float((self._weights["embeddings.word_embeddings.weight"].shape[1] / self._heads) ** -0.5)

    def _norm(self, x: str, name: str, site: str) -> str:
        gain, bias = self._weights[name + ".weight"], self._weights[name + ".bias"]
        if self._sites is not None and site:
            gain, bias = gain / self._sites[site].scale, (bias - self._sites[site].shift) / self._sites[site].scale
        constants = self.const(gain, name + ".weight"), self.const(bias, name + ".bias")
        return self.op("LayerNormalization", x, *constants, axis=-1, epsilon=_EPSILON)

    def _residual(self, x: str, site: str) -> str:
        """A stream in its plain form, but for the shift, which the next bias holds."""
        return x if self._sites is None else self.op("Mul", x, self.const(self._sites[site].scale, site + ".scale"))

    def _shift(self, site: str) -> NDArray[np.float32]:
        return np.zeros(1, np.float32) if self._sites is None else self._sites[site].shift

    def _bytes(self, x: str, site: str) -> str:
        if self._sites is None:
            self._output(x, f"site.{site}", self._weights["embeddings.word_embeddings.weight"].shape[1])
            return x
        return self.op("QuantizeLinear", x, *self._levels(site))

    def _levels(self, site: str) -> tuple[str, str]:
        s = cast("Mapping[str, Site]", self._sites)[site]
        return self.scalar(s.step, site + ".step"), self.const(np.asarray(s.zero, np.uint8), site + ".zero")

    def _linear(self, x: str, name: str, site: str, extra: NDArray[np.float32] | float = 0.0) -> str:
        """``plain(x) @ weight.T + bias + extra`` of a site's bytes; what the attention reads is in its site's form."""
        weight, bias = self._weights[name + ".weight"], self._weights[name + ".bias"] + extra
        if self._sites is None:
            product = self.op("MatMul", x, self.const(weight.T, name + ".weight"))
            return self.op("Add", product, self.const(bias, name + ".bias"))
        s = self._sites[site]
        if name.endswith("self.value"):  # attention averages values, so a shift and scale of theirs are its result's
            after = self._sites[site.replace("input", "context")]
            weight, bias = weight / after.scale[:, None], (bias - after.shift) / after.scale
        q, scale = quantize(weight * s.scale)
        # What rounding the weights does to the mean activation is taken out by the bias.
        bias = bias + weight @ s.mean - (q * scale[:, None]) @ ((s.mean - s.shift) / s.scale)
        step, zero = self._levels(site)
        stored, scales = self.const(q.T, name + ".int8"), self.const(scale, name + ".scale")
        last = self.const(bias.astype(np.float32), name + ".bias")
        return self.op("MatMulIntegerToFloat", x, stored, step, scales, zero, "", last, domain=MICROSOFT)

    def _by_token(self, x: str, name: str) -> str:
        """``x @ weight.T`` with the scale of each token's bytes from its largest value; x comes from GELU."""
        weight = self._weights[name + ".weight"]
        if self._sites is None:
            return self.op("MatMul", x, self.const(weight.T, name + ".weight"))
        q, scale = quantize(weight)
        largest = self.op("ReduceMax", x, axes=[-1], keepdims=1)
        step = self.op(
            "Mul", self.op("Max", largest, self.scalar(_LEAST, "gelu.least")), self.scalar(1 / _LEVELS, "gelu.level")
        )
        one, zero = self.scalar(1.0, "one"), self.const(np.asarray(_ZERO, np.uint8), "gelu.zero")
        read = self.op("QuantizeLinear", self.op("Div", x, step), one, zero)
        stored, scales = self.const(q.T, name + ".int8"), self.const(scale, name + ".scale")
        return self.op("Mul", self.op("MatMulIntegerToFloat", read, stored, one, scales, zero, domain=MICROSOFT), step)
