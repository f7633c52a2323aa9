"""Probes of the KV guardrail: token sequences that are read behind a full and a compressed cache, and compared."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from ctxshrink.kv.context import CompressedContext

__all__ = ["Divergence", "Probes", "answered", "auto_probes", "diverge", "last_logits", "logits_of", "stated_probes"]

ENTRIES = 65_536
"""Cache entries of a layer and head, rows together, that are read at once: probes repeat the rows of a cache."""
LOGITS = 1 << 27
"""Logits that are held at once."""
SKIPPED = 4
"""First tokens of a row that no span starts at: a compressed cache keeps them in any case."""
DRAWS = 8
"""Places that are drawn for each span, of which the best is taken."""
DIGITS = 2.0
"""What a token with a digit counts more, nats: about that of one eight times as rare."""


@dataclass(frozen=True, slots=True, eq=False)
class Probes:
    """Token sequences for each row, as many and as long for all rows, padded on the right.

    Attributes:
        ids: Token ids, int64, shape (B, P, n).
        sizes: Tokens of each probe, int64, shape (B, P); 0 for one that a row lacks.
        open: Tokens of an answer that are still to be made behind a probe, int64, shape (P,).
        first: Place of the first token of each whose prediction counts: the last one of a question, as nobody reads
            what the model thinks of the question itself; int64, shape (P,).
    """

    ids: Tensor
    sizes: Tensor
    open: Tensor
    first: Tensor

    @property
    def predicted(self) -> Tensor:
        """True where the token behind is one of the probe's and counts, shape (B, P, n)."""
        place = torch.arange(self.ids.shape[-1], device=self.ids.device)
        return (place < self.sizes[..., None] - 1) & (place >= self.first.to(place.device)[:, None])


@dataclass(frozen=True, slots=True, eq=False)
class Divergence:
    """How far next-token distributions moved; sums over the predicted tokens of each probe, float64, shape (B, P).

    Attributes:
        kl: KL divergences from the full cache's distributions, nats.
        nll: Negative log-likelihood of the probe with the compressed cache, nats.
        nll_full: The same with the full one.
        tokens: Predicted tokens.
    """

    kl: Tensor
    nll: Tensor
    nll_full: Tensor
    tokens: Tensor

    def of(self, probes: Sequence[int]) -> Divergence:
        """Some of the probes alone."""
        at = list(probes)
        return Divergence(self.kl[:, at], self.nll[:, at], self.nll_full[:, at], self.tokens[:, at])

    def mean_kl(self) -> Tensor:
        """Nats per token of each row, shape (B,)."""
        return self.kl.sum(-1) / self.tokens.sum(-1).clamp(min=1)

    def ppl_ratio(self) -> Tensor:
        """Perplexity of the probes with the compressed cache over that with the full one, shape (B,)."""
        return ((self.nll - self.nll_full).sum(-1) / self.tokens.sum(-1).clamp(min=1)).exp()


def auto_probes(context: CompressedContext, tokenizer: Any, *, count: int, length: int) -> Probes:
    """Spans of the context's own tokens, to be told again from their first tokens on.

    The row is cut into as many parts as there are probes. In each, some places are drawn by a generator that is seeded
    with the row's ids, and the span is taken whose tokens are rarest in the row; tokens with digits count as rarer.

    Args:
        context: What was read; its remembered ids are used.
        tokenizer: Tells which tokens have digits; None for none.
        count: Most probes of a row.
        length: Most tokens of a probe.
    """
    before = context.length - context.ids.shape[1]
    rows = [
        row[max(0, int(padding) - before) :]
        for row, padding in zip(context.ids.cpu().numpy(), context.padding, strict=True)
    ]
    digits = _with_digits(tokenizer, rows)
    chosen = [_spans(row, digits, count, length) for row in rows]
    return _padded([[(span, 0) for span in spans] for spans in chosen], context)


def stated_probes(
    context: CompressedContext, stated: Sequence[tuple[Sequence[int], int]], first: Sequence[int] | None = None
) -> Probes:
    """The same probes for every row.

    Args:
        context: What they will be read behind.
        stated: Token ids of each, at least one, and how many tokens of an answer are to be made.
        first: Place of the first token of each whose prediction counts; None counts all.
    """
    made = _padded([list(stated)] * context.batch, context)
    return made if first is None else replace(made, first=torch.tensor(list(first)))


def _padded(rows: Sequence[Sequence[tuple[Sequence[int], int]]], context: CompressedContext) -> Probes:
    most = max(len(row) for row in rows)
    longest = max(len(ids) for row in rows for ids, _ in row)
    ids = torch.zeros(len(rows), most, longest, dtype=torch.long)
    sizes = torch.zeros(len(rows), most, dtype=torch.long)
    for b, row in enumerate(rows):
        for p, (tokens, _) in enumerate(row):
            ids[b, p, : len(tokens)] = torch.as_tensor(np.asarray(tokens, dtype=np.int64))
            sizes[b, p] = len(tokens)
    to_make = torch.tensor([max(row[p][1] for row in rows if p < len(row)) for p in range(most)])
    device = context.padding.device
    return Probes(ids.to(device), sizes.to(device), to_make, torch.zeros_like(to_make))


def _with_digits(tokenizer: Any, rows: Sequence[np.ndarray]) -> np.ndarray:
    """Token ids of the rows whose text has a digit."""
    known = np.unique(np.concatenate(rows)) if rows else np.zeros(0, np.int64)
    if tokenizer is None:
        return known[:0]
    texts = cast("list[Any]", tokenizer.convert_ids_to_tokens(known.tolist()))
    return known[np.array([any(c.isdigit() for c in str(text)) for text in texts], dtype=bool)]


def _spans(row: np.ndarray, digits: np.ndarray, count: int, length: int) -> list[list[int]]:
    n = len(row)
    size = min(length, n)
    parts = max(1, min(count, n // size))
    _, place, counts = np.unique(row, return_inverse=True, return_counts=True)
    worth = -np.log(counts[place] / n) + DIGITS * np.isin(row, digits)
    total = np.concatenate([[0.0], np.cumsum(worth)])
    seed = hashlib.sha256(row.astype("<i8").tobytes()).digest()
    rng = np.random.default_rng(np.frombuffer(seed, dtype=np.uint32))
    first = min(SKIPPED, n - size)
    found = list[list[int]]()
    for part in range(parts):
        low = first + (n - first) * part // parts
        high = max(low, first + (n - first) * (part + 1) // parts - size)
        starts = np.unique(rng.integers(low, high + 1, DRAWS)).clip(max=n - size)
        best = int(starts[np.argmax(total[starts + size] - total[starts])])
        found.append(row[best : best + size].tolist())
    return found


@torch.no_grad()
def answered(model: Any, context: CompressedContext, probes: Probes, ends: Sequence[int]) -> Probes:
    """The probes with the answers that the model gives behind a context, the likeliest token at every step.

    All probes are read token by token at the same places, so that questions of different lengths need no padding.

    Args:
        model: The model.
        context: The context, usually the full one.
        probes: Some with answers to be made; the others stay as they are.
        ends: Token ids that end an answer; they count as its last token.
    """
    if not bool((probes.open > 0).any()):
        return probes
    given = probes.ids.shape[-1]
    wanted = probes.sizes + probes.open.to(probes.sizes.device)
    longest = int(wanted.max())
    ids = torch.nn.functional.pad(probes.ids, (0, longest - given))
    sizes, ended = probes.sizes.clone(), probes.sizes >= wanted
    first = max(1, int(probes.sizes[probes.sizes > 0].min()))
    for part in _parts(context, ids, int(model.config.get_text_config().vocab_size)):
        cache = _repeated(context, part.stop - part.start)
        chunk, done = ids[:, part, :first], 0
        while True:
            logits = _forward(model, context, cache, chunk, done, last=True)
            done += chunk.shape[-1]
            if done >= longest:
                break
            best = logits[:, :, -1].argmax(-1)
            ours = (sizes[:, part] <= done) & ~ended[:, part]
            ids[:, part, done] = torch.where(ours, best, ids[:, part, done])
            sizes[:, part] += ours
            over = sizes[:, part] >= wanted[:, part]
            stop = torch.isin(best, torch.tensor(list(ends), device=best.device)) if ends else torch.zeros_like(ours)
            ended[:, part] |= over | (ours & stop)
            if bool(ended[:, part].all()):
                break
            chunk = ids[:, part, done : done + 1]
    return Probes(ids[..., : int(sizes.max())], sizes, torch.zeros_like(probes.open), probes.first)


@torch.no_grad()
def diverge(
    model: Any, full: CompressedContext, compressed: CompressedContext, probes: Probes, *, known: Tensor | None = None
) -> Divergence:
    """Reads the probes behind both contexts; neither is changed.

    Args:
        model: The model that made them.
        full: Everything that was read.
        compressed: What is left of it.
        probes: With their answers.
        known: The logits of all probes behind the full context, from `logits_of`, where several are compared with it.
    """
    batch, count, _ = probes.ids.shape
    kl, nll, nll_full = (torch.zeros(batch, count, dtype=torch.float64) for _ in range(3))
    predicted = probes.predicted
    for part in _parts(full, probes.ids, int(model.config.get_text_config().vocab_size)):
        ids = probes.ids[:, part]
        ours = _forward(model, compressed, _repeated(compressed, ids.shape[1]), ids, 0)
        theirs = _forward(model, full, _repeated(full, ids.shape[1]), ids, 0) if known is None else known[:, part]
        behind = torch.nn.functional.pad(ids[..., 1:], (0, 1))[..., None]
        for b in range(batch):
            p, q = (x[b].float().log_softmax(-1) for x in (theirs, ours))
            seen = predicted[b, part]
            for into, values in (
                (kl, torch.where(p.isneginf(), 0, p.exp() * (p - q)).sum(-1).clamp(min=0)),
                (nll, -q.gather(-1, behind[b])[..., 0]),
                (nll_full, -p.gather(-1, behind[b])[..., 0]),
            ):
                # Places that are not counted may hold anything, even what is not a number.
                into[b, part] = torch.where(seen, values, 0).double().sum(-1).cpu()
    return Divergence(kl, nll, nll_full, predicted.sum(-1).double().cpu())


@torch.no_grad()
def logits_of(model: Any, context: CompressedContext, probes: Probes) -> Tensor:
    """Logits behind every token of the probes, shape (B, P, n, vocabulary)."""
    vocabulary = int(model.config.get_text_config().vocab_size)
    found = [
        _forward(model, context, _repeated(context, part.stop - part.start), probes.ids[:, part], 0)
        for part in _parts(context, probes.ids, vocabulary)
    ]
    return torch.cat(found, dim=1)


@torch.no_grad()
def last_logits(model: Any, context: CompressedContext, ids: Tensor) -> Tensor:
    """Logits behind the last token of each of several token sequences of equal length.

    Args:
        model: The model that made the context.
        context: The context, of B rows.
        ids: Token ids, shape (B, P, n).

    Returns:
        Shape (B, P, vocabulary).
    """
    found = [
        _forward(model, context, _repeated(context, part.stop - part.start), ids[:, part], 0, last=True)[:, :, -1]
        for part in _parts(context, ids, int(model.config.get_text_config().vocab_size))
    ]
    return torch.cat(found, dim=1)


def _parts(context: CompressedContext, ids: Tensor, vocabulary: int) -> Iterator[slice]:
    """Probes that are read at once."""
    batch, count, n = ids.shape
    each = min(ENTRIES // (batch * (context.physical + n)), LOGITS // (batch * n * vocabulary))
    each = min(count, max(1, each))
    for start in range(0, count, each):
        yield slice(start, min(count, start + each))


def _repeated(context: CompressedContext, times: int) -> Any:
    cache = context.to_cache()
    if times > 1:
        cache.batch_repeat_interleave(times)
    return cache


def _forward(
    model: Any, context: CompressedContext, cache: Any, ids: Tensor, done: int, *, last: bool = False
) -> Tensor:
    """Logits of the next tokens, shape (B, P, n, vocabulary), or (B, P, 1, vocabulary) of the last one alone."""
    batch, count, n = ids.shape
    masked = bool(context.padding.any())
    mask = context.attention_mask(done + n).repeat_interleave(count, 0) if masked else None
    positions = context.positions(done + n)[:, done:].repeat_interleave(count, 0)
    out = model(
        input_ids=ids.reshape(batch * count, n).to(model.device), attention_mask=mask, position_ids=positions,
        past_key_values=cache, use_cache=True, logits_to_keep=1 if last else 0,
    )  # fmt: skip
    return cast(Tensor, out.logits).view(batch, count, -1, out.logits.shape[-1])
