"""Compressed contexts for tests, with every kind of part that there is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from ctxshrink.kv.context import CompressedContext
from ctxshrink.kv.prefill import read
from ctxshrink.kv.quant import QuantizedTensor, quantize
from ctxshrink.kv.types import KVAttempt, KVReport, KVVerdict

from .models import ids_of, model_of

REPORT = KVReport(
    tokens=40,
    kept=12,
    nbytes=1000,
    nbytes_full=4000,
    attempts=(
        KVAttempt("keydiff", 0.1, 900, KVVerdict(False, 0.5, 1.01, "too far")),
        KVAttempt("keydiff", 0.3, 1000, None),
    ),
    reason="compressed; ärger — 长",
    prefill_seconds=0.25,
    compress_seconds=0.125,
)


def context_of(family: str = "llama-gqa", rows: int = 2, tokens: int = 40, quantized: bool = True) -> CompressedContext:
    """A context with padding, whose full-attention layers have an exact block behind a quantized one with scores."""
    model = model_of(family)
    mask = torch.ones(rows, tokens, dtype=torch.long)
    mask[0, :3] = 0
    made = read(model, ids_of(rows, tokens), mask).context
    layers = []
    for states in made.layers:
        [block] = states.blocks
        if states.window is None and quantized:
            old, new = slice(0, tokens - 8), slice(tokens - 8, None)
            first = replace(
                block,
                keys=quantize(block.keys[:, :, old], 8, axis="channel", group=16),
                values=quantize(block.values[:, :, old], 4, axis="token"),
                positions=block.positions[..., old],
                scores=torch.rand(block.positions[..., old].shape),
                covers=tokens - 8,
                tier=1,
            )
            last = replace(
                block,
                keys=block.keys[:, :, new],
                values=block.values[:, :, new],
                positions=block.positions[..., new],
                covers=8,
            )
            states = replace(states, blocks=(first, last))
        layers.append(states)
    return replace(made, layers=tuple(layers), report=REPORT)


def tensors_of(context: CompressedContext) -> list[Any]:
    out = [context.padding, context.ids]
    for states in context.layers:
        for block in states.blocks:
            for x in (block.keys, block.values, block.positions, block.scores):
                out.extend(x.tensors().values() if isinstance(x, QuantizedTensor) else [x])
    return [t for t in out if t is not None]
