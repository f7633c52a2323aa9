"""What INT8 and INT4 caches cost a language model: divergence of its next tokens, and bytes, on text held out.

The model is the embedded scorer's network, which is at hand everywhere; the text is what its recipe holds out of a
corpus. A context of some hundred tokens is read, stored in fewer bits, and the text's own next tokens are read behind
it: the divergence is KL(full || quantized) of the distributions at each of them, in nats per token.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import stdev
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from ctxshrink.errors import ConfigError
from ctxshrink.kv.compressor import KVCompressor
from ctxshrink.kv.context import CompressedContext
from ctxshrink.kv.prefill import continue_logits, read
from ctxshrink.kv.quant import Axis, quantize
from ctxshrink.kv.select import PINNED, part_of
from ctxshrink.kv.types import Block, LayerStates

from .report import table
from .stats import mean

__all__ = ["SETTINGS", "QuantCell", "QuantSetting", "bench_quant", "held_out_rows", "measure", "show_quant"]

_BATCH = 4
_HELD_OUT = 0.01
_EXCLUDED = ("RESEARCH_ONLY",)
"""Share of each file's documents, and files that are left out, as in training/configs/scorer.toml."""


@dataclass(frozen=True, slots=True)
class QuantSetting:
    """One way to store a context.

    Attributes:
        keys: Bits of keys; None for the model's type.
        values: Bits of values, likewise.
        group: Values that share a scale.
        recent: Last tokens of the context that stay exact.
        keep: Share of the tokens that KeyDiff keeps, 4 sinks among them; 1 for all.
    """

    keys: int | None = None
    values: int | None = None
    group: int = 64
    recent: int = 0
    keep: float = 1.0

    @property
    def name(self) -> str:
        """Keys and values in words."""
        kinds = [f"int{bits}" if bits else "16 bits" for bits in (self.keys, self.values)]
        return kinds[0] if kinds[0] == kinds[1] else " / ".join(kinds)


_BITS = ((8, 8), (8, 4), (4, 4))
SETTINGS = (
    *(QuantSetting(k, v, group) for k, v in _BITS for group in (64, 32)),
    *(QuantSetting(k, v, recent=32) for k, v in _BITS),
    QuantSetting(keep=0.1),
    *(QuantSetting(k, v, keep=0.1) for k, v in _BITS),
)
"""What is measured unless others are given: the last tokens of a context are what its continuation looks at most."""


@dataclass(frozen=True, slots=True)
class QuantCell:
    """What one setting costs.

    Attributes:
        setting: The setting.
        kl: Divergence from the full cache, nats per token.
        error: Standard error of that over the documents; NaN for one.
        worst: The same of the worst document.
        added: Divergence from the same tokens unquantized; that is `kl` where all are kept.
        share: Bytes, with positions and scales, over those of the full cache's keys and values in 16 bits. What stays
            exact counts 16 bits.
        documents: Documents.
        tokens: Predicted tokens, of all documents.
    """

    setting: QuantSetting
    kl: float
    error: float
    worst: float
    added: float
    share: float
    documents: int
    tokens: int


def bench_quant(
    corpus: Path, *, documents: int = 60, context: int = 640, continuation: int = 192, seed: int = 0,
    settings: Sequence[QuantSetting] = SETTINGS, step: Callable[[str], None] = lambda _: None,
) -> list[QuantCell]:  # fmt: skip
    """Measures on the scorer's network and its held-out documents.

    Args:
        corpus: A folder as in `ctxshrink.training.corpus`.
        documents: Documents, of all files of the corpus; fewer where not so many are long enough.
        context: Tokens that are quantized.
        continuation: Tokens of the same document behind them.
        seed: Which documents.
        settings: What to measure.
        step: Receives a word of progress.

    Raises:
        ConfigError: There is no such corpus, no document is long enough, or the lengths exceed the model's window.
        MissingExtraError: A package of the extras ``kv`` or ``train`` is missing.
    """
    from ctxshrink.training.scorer_llama import scorer_as_llama

    step("the scorer's network")
    model, tokenizer = scorer_as_llama()
    window = int(model.config.max_position_embeddings)
    if context < 1 or continuation < 1 or context + continuation > window:
        raise ConfigError(f"context and continuation must be at least 1 and together at most {window} tokens")
    step("held-out documents")
    rows = held_out_rows(corpus, tokenizer, context + continuation, documents, seed)
    return measure(model, rows, context=context, settings=settings, step=step)


def held_out_rows(corpus: Path, tokenizer: Any, tokens: int, documents: int, seed: int = 0) -> Tensor:
    """First tokens of documents that no training has seen, int64, shape (documents, tokens), start token first.

    Raises:
        ConfigError: There is no such corpus, or no held-out document has so many tokens.
    """
    from ctxshrink.training.corpus import find_files, read_documents

    files = find_files(corpus, ("*/*.jsonl.xz", "*/*.jsonl"), _EXCLUDED)
    texts = [d.text for d in read_documents(corpus, files, _HELD_OUT) if d.held_out]
    random.Random(seed).shuffle(texts)
    rows: list[list[int]] = []
    for text in texts:
        # No token is longer than 24 characters on average, and the window's length need not be warned of.
        ids = tokenizer(text[: 24 * tokens], add_special_tokens=False, verbose=False)["input_ids"]
        if len(ids) >= tokens - 1:
            rows.append([tokenizer.bos_token_id, *ids[: tokens - 1]])
        if len(rows) == documents:
            break
    if not rows:
        raise ConfigError(
            f"{corpus}: no held-out document has {tokens} tokens: give a larger corpus or a shorter context"
        )
    return torch.tensor(rows)


@torch.no_grad()
def measure(
    model: Any, rows: Tensor, *, context: int, settings: Sequence[QuantSetting] = SETTINGS,
    step: Callable[[str], None] = lambda _: None,
) -> list[QuantCell]:  # fmt: skip
    """What each setting costs a model on some texts.

    Args:
        model: A Hugging Face causal language model.
        rows: Token ids, shape (documents, tokens).
        context: Tokens of each that are stored; the others are predicted behind them.
        settings: What to measure.
        step: Called for each batch of documents.
    """
    totals: list[list[float]] = [[] for _ in settings]
    added: list[list[float]] = [[] for _ in settings]
    shares: list[list[float]] = [[] for _ in settings]
    for start in range(0, len(rows), _BATCH):
        step(f"document {start + 1} of {len(rows)}")
        batch = rows[start : start + _BATCH].to(model.device)
        told, asked = batch[:, :context], batch[:, context:]
        full = read(model, told).context
        expected = _log_probabilities(model, full, asked)
        kept: dict[float, CompressedContext] = {1.0: full}
        plain: dict[float, Tensor] = {1.0: expected}
        for i, setting in enumerate(settings):
            if setting.keep not in kept:
                compressor = KVCompressor(model, select="keydiff", keep=setting.keep, sink=4, recent=0)
                kept[setting.keep] = compressor.compress(told)
                plain[setting.keep] = _log_probabilities(model, kept[setting.keep], asked)
            stored = _stored(kept[setting.keep], setting)
            found = _log_probabilities(model, stored, asked)
            totals[i].extend(_divergence(expected, found))
            added[i].extend(_divergence(plain[setting.keep], found))
            shares[i].append(_bytes(stored) / _bytes(full, positions=False))
    tokens = rows.shape[1] - context
    return [
        QuantCell(
            setting, mean(kl), stdev(kl) / math.sqrt(len(kl)) if len(kl) > 1 else math.nan, max(kl), mean(more),
            mean(share), len(rows), len(rows) * tokens,
        )
        for setting, kl, more, share in zip(settings, totals, added, shares, strict=True)
    ]  # fmt: skip


def show_quant(cells: Sequence[QuantCell], out: Console) -> None:
    """Prints the table."""
    if not cells:
        return
    made = table(
        f"quantized caches: {cells[0].documents} held-out documents, {cells[0].tokens:,} tokens predicted",
        [
            "keys / values",
            "group",
            "exact recent",
            "keep",
            "KL",
            "±",
            "worst document",
            "KL of quantizing",
            "of 16 bits",
        ],
        caption="KL from the full cache, nats per token, and its standard error; bytes with scales and positions",
    )
    for cell in cells:
        s = cell.setting
        made.add_row(
            s.name, str(s.group) if s.keys or s.values else "–", str(s.recent), f"{s.keep:.0%}", f"{cell.kl:.2e}",
            f"{cell.error:.0e}", f"{cell.worst:.2e}", f"{cell.added:.2e}", f"{cell.share:.3f}",
        )  # fmt: skip
    out.print(made)


def _log_probabilities(model: Any, context: CompressedContext, asked: Tensor) -> Tensor:
    return continue_logits(model, context, asked).float().log_softmax(-1)


def _divergence(expected: Tensor, found: Tensor) -> list[float]:
    """KL(expected || found) of each row, nats per token."""
    rows = (expected.exp() * (expected - found)).sum(-1).mean(-1)
    return [float(row) for row in rows]


def _stored(context: CompressedContext, setting: QuantSetting) -> CompressedContext:
    """A context of exact blocks in the bits of a setting; sinks that the compressor pinned stay exact."""

    def packed(states: LayerStates) -> LayerStates:
        blocks: list[Block] = []
        for block in states.blocks:
            if block.tier == PINNED:
                blocks.append(block)
                continue
            cut = len(block) - min(setting.recent, len(block) - 1)
            body = part_of(block, 0, cut)
            keys = _packed(body.keys, setting.keys, "channel", setting.group)
            values = _packed(body.values, setting.values, "token", setting.group)
            blocks.append(replace(body, keys=keys, values=values, covers=block.covers - len(block) + cut))
            if cut < len(block):
                blocks.append(replace(part_of(block, cut, len(block)), covers=len(block) - cut))
        return replace(states, blocks=tuple(blocks))

    return replace(context, layers=tuple(packed(s) if s.window is None else s for s in context.layers))


def _packed(x: Any, bits: int | None, axis: Axis, group: int) -> Any:
    return x if bits is None else quantize(x, bits, axis=axis, group=group)


def _bytes(context: CompressedContext, *, positions: bool = True) -> int:
    """Bytes with what is not quantized in 16 bits."""
    total = 0
    for states in context.layers:
        for block in states.blocks:
            total += sum(2 * x.numel() if isinstance(x, Tensor) else x.nbytes for x in (block.keys, block.values))
            total += block.positions.nbytes if positions else 0
    return total
