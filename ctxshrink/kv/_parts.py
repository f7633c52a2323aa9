"""A compressed context taken apart into tensors and JSON, and put together again with everything checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor

from ctxshrink.errors import ModelError
from ctxshrink.kv.context import MAX_IDS, CompressedContext
from ctxshrink.kv.quant import QuantizedTensor
from ctxshrink.kv.types import Block, KVAttempt, KVReport, KVVerdict, LayerStates, Packed

__all__ = ["context_of", "parts_of"]

_LONGEST = 2**31 - 1
"""Positions are int32."""
_FLOATS = (torch.float32, torch.float16, torch.bfloat16)


def parts_of(context: CompressedContext) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
    """What a header says of each layer, and all tensors by name."""
    tensors = {"padding": context.padding, "ids": context.ids}
    layers: list[dict[str, Any]] = []
    for i, states in enumerate(context.layers):
        blocks: list[dict[str, Any]] = []
        for j, block in enumerate(states.blocks):
            name = f"layers.{i}.blocks.{j}."
            tensors[name + "positions"] = block.positions
            if block.scores is not None:
                tensors[name + "scores"] = block.scores
            described: dict[str, Any] = {"covers": block.covers, "tier": block.tier}
            for kind, x in (("keys", block.keys), ("values", block.values)):
                described[kind] = _take_apart(x, name + kind, tensors)
            blocks.append(described)
        layers.append({"window": states.window, "blocks": blocks})
    return layers, tensors


def _take_apart(x: Tensor | Packed, name: str, tensors: dict[str, Tensor]) -> dict[str, Any] | None:
    """Adds the tensors; returns what else a quantized one needs."""
    if isinstance(x, Tensor):
        tensors[name] = x
        return None
    if not isinstance(x, QuantizedTensor):
        raise TypeError(f"{type(x).__name__} cannot be saved: only tensors and those of ctxshrink.kv.quant")
    tensors.update({f"{name}.{part}": t for part, t in x.tensors().items()})
    return dict(x.meta())


def context_of(header: Mapping[str, Any], tensors: Mapping[str, Tensor], device: Any) -> CompressedContext:
    """The context of a header and its tensors.

    Raises:
        ModelError: They do not fit each other.
        KeyError: Something is missing; likewise IndexError, TypeError, ValueError and AttributeError where something is
            of another kind.
    """
    left = dict(tensors)
    padding, ids = left.pop("padding"), left.pop("ids")
    length, rows = _number(header["length"]), len(padding)
    _require(1 <= length <= _LONGEST and rows >= 1, "a length that no context has")
    _require(padding.dtype == torch.int64 and padding.ndim == 1, "padding of another kind")
    _require(bool(((padding >= 0) & (padding < length)).all()), "more padding than tokens")
    _require(ids.dtype == torch.int32 and ids.ndim == 2 and len(ids) == rows, "token ids of another kind")
    _require(ids.shape[1] <= MAX_IDS, "more token ids than a context remembers")
    layers = tuple(
        _layer(described, f"layers.{i}.blocks.", left, rows, length) for i, described in enumerate(header["layers"])
    )
    _require(not left, f"tensors that nothing names: {', '.join(sorted(left))[:200]}")
    full = {len(states) for states in layers if states.window is None}
    _require(len(full) == 1, "layers of different lengths")
    context = CompressedContext(
        layers=layers, length=length, padding=padding, ids=ids, fingerprint=_text(header["model"]),
        prompt=_text(header["prompt"]), report=_report(header["report"]),
    )  # fmt: skip
    return _moved(context, device)


def _layer(described: Mapping[str, Any], name: str, left: dict[str, Tensor], rows: int, length: int) -> LayerStates:
    window = None if described["window"] is None else _number(described["window"])
    blocks = tuple(
        _block(block, f"{name}{j}.", left, rows, length) for j, block in enumerate(described["blocks"])
    )  # fmt: skip
    _require(window is None or (window >= 1 and len(blocks) == 1), "a sliding window without its one block")
    _require(sum(map(len, blocks)) <= length, "more entries than tokens")
    return LayerStates(blocks, window)


def _block(described: Mapping[str, Any], name: str, left: dict[str, Tensor], rows: int, length: int) -> Block:
    keys, values = (_put_together(described[kind], name + kind, left) for kind in ("keys", "values"))
    positions, scores = left.pop(name + "positions"), left.pop(name + "scores", None)
    shape = tuple(positions.shape)
    _require(positions.dtype == torch.int32 and len(shape) == 3 and shape[0] == rows, "positions of another kind")
    _require(
        all(len(x.shape) == 4 and tuple(x.shape[:3]) == shape for x in (keys, values)), "keys that are not values'"
    )
    _require(
        scores is None or (scores.dtype in _FLOATS and tuple(scores.shape) == shape), "scores of another kind"
    )  # fmt: skip
    _require(bool(((positions >= -1) & (positions < length)).all()), "positions outside the context")
    covers, tier = _number(described["covers"]), _number(described["tier"])
    _require(0 <= covers <= length, "a block that covers more than the context")
    return Block(keys, values, positions, scores, covers, tier)


def _put_together(meta: object, name: str, left: dict[str, Tensor]) -> Tensor | QuantizedTensor:
    if meta is None:
        x = left.pop(name)
        _require(x.dtype in _FLOATS, "keys or values of another type")
        return x
    parts = {part: left.pop(f"{name}.{part}") for part in ("codes", "scale", "offset")}
    return QuantizedTensor.from_tensors(cast("Mapping[str, Any]", meta), parts)


def _report(told: Mapping[str, Any]) -> KVReport:
    attempts = tuple(
        KVAttempt(
            select=_text(a["select"]),
            keep=float(a["keep"]),
            nbytes=_number(a["nbytes"]),
            verdict=None if a["verdict"] is None else _verdict(a["verdict"]),
        )
        for a in told["attempts"]
    )
    return KVReport(
        tokens=_number(told["tokens"]),
        kept=_number(told["kept"]),
        nbytes=_number(told["nbytes"]),
        nbytes_full=_number(told["nbytes_full"]),
        attempts=attempts,
        fallback=bool(told["fallback"]),
        reason=_text(told["reason"]),
        prefill_seconds=float(told["prefill_seconds"]),
        compress_seconds=float(told["compress_seconds"]),
    )


def _verdict(told: Mapping[str, Any]) -> KVVerdict:
    return KVVerdict(bool(told["ok"]), float(told["kl"]), float(told["ppl_ratio"]), _text(told["reason"]))


def _moved(context: CompressedContext, device: Any) -> CompressedContext:
    """The context on a device; tensors that are there already are not copied."""

    def to(x: Any) -> Any:
        return None if x is None else x.to(device)

    layers = tuple(
        replace(
            states,
            blocks=tuple(
                replace(b, keys=to(b.keys), values=to(b.values), positions=to(b.positions), scores=to(b.scores))
                for b in states.blocks
            ),
        )
        for states in context.layers
    )
    return replace(context, layers=layers, padding=to(context.padding), ids=to(context.ids))


def _number(x: object) -> int:
    if type(x) is not int:
        raise TypeError("a number that is none")
    return x


def _text(x: object) -> str:
    if not isinstance(x, str):
        raise TypeError("a text that is none")
    return x


def _require(good: bool, what: str) -> None:
    if not good:
        raise ModelError(what)
