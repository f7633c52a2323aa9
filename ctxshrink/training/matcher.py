"""The losses that the pruner learns from: late interaction with questions, and salience without one.

A unit's score for a question adds the cosine of the mean vectors (of unit and question), the mean over the question's
tokens of the best match among the unit's tokens (late interaction, Khattab and Zaharia 2020) and the cosine of the
whole window; every unit of the batch that is not an answer is a negative (multi-positive InfoNCE, van den Oord et al.
2018). Two logits a token learn what people ask about without a question. Importing this module imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ctxshrink.training.bert import Bert
from ctxshrink.training.pruner_batches import Batch

_TOKENS = 4096


class Matcher(nn.Module):
    """The encoder with the scales of its three similarities.

    Args:
        bert: The encoder.
    """

    def __init__(self, bert: Bert) -> None:
        super().__init__()
        self.bert = bert
        self.scale = nn.Parameter(torch.tensor([10.0, 12.0, 8.0]))

    def loss(self, batch: Batch, device: str) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch, and its parts for the log."""
        rows = self._encode(batch.ids, device)
        windows, questions = rows[: batch.windows], rows[batch.windows :]
        place = _tensor(batch.unit, device)
        inside = place >= 0
        place, tokens = place[inside], torch.cat(windows)[inside]
        of_row, gold, masked = (_tensor([a], device) for a in (batch.of_row, batch.gold, batch.masked))
        units, lengths = len(of_row), [len(q) - 2 for q in questions]
        asked, row_gold = _mean(questions), _by_row(gold, of_row, batch.windows)
        by_unit = F.normalize(tokens.new_zeros(units, tokens.shape[1]).index_add_(0, place, tokens), dim=-1)
        words = F.normalize(torch.cat([q[1:-1] for q in questions]), dim=-1)
        best = late_interaction(words, lengths, F.normalize(tokens, dim=-1), place, units)
        by_window = asked @ _mean(windows).T
        score = self.scale[0] * (asked @ by_unit.T) + self.scale[1] * best + self.scale[2] * by_window[:, of_row]
        parts = {
            "unit": info_nce(score, gold, masked),
            "window": 0.5 * info_nce(20 * by_window, row_gold, _by_row(masked, of_row, batch.windows) & ~row_gold),
            **self._salience(tokens, place, batch, device),
        }
        with torch.no_grad():
            hit = gold.gather(1, score.masked_fill(masked, -1e9).argmax(1, keepdim=True)).float().mean()
        return torch.stack(list(parts.values())).sum(), {
            **{k: float(v.detach()) for k, v in parts.items()},
            "hit": float(hit),
        }

    def _salience(self, tokens: Tensor, place: Tensor, batch: Batch, device: str) -> dict[str, Tensor]:
        asked = _tensor([batch.asked], device)
        logits = self.bert.head(tokens).float()
        count = torch.bincount(place, minlength=len(asked)).clamp(min=1)
        pooled = logits.new_zeros(len(asked)).index_add_(0, place, logits[:, 0]) / count
        answer = _tensor(batch.answer, device)[_tensor(batch.unit, device) >= 0]
        bce = F.binary_cross_entropy_with_logits
        return {
            "asked": 0.5 * bce(pooled, asked.float()),
            "answer": 0.5 * bce(logits[:, 1], answer.float()),
        }

    def _encode(self, ids: Sequence[Sequence[int]], device: str) -> list[Tensor]:
        """Vectors of the tokens of every row, rows of like length together."""
        out: list[Tensor] = [torch.empty(0)] * len(ids)
        order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
        while order:
            longest = -(-len(ids[order[0]]) // 16) * 16
            group, order = order[: max(1, _TOKENS // longest)], order[max(1, _TOKENS // longest) :]
            padded = torch.zeros(len(group), longest, dtype=torch.long)
            for r, i in enumerate(group):
                padded[r, : len(ids[i])] = torch.tensor(ids[i])
            lengths = torch.tensor([len(ids[i]) for i in group])
            vectors = self.bert(padded.to(device), lengths.to(device)).float()
            for r, i in enumerate(group):
                out[i] = vectors[r, : len(ids[i])]
        return out


def late_interaction(words: Tensor, lengths: Sequence[int], tokens: Tensor, place: Tensor, units: int) -> Tensor:
    """Mean over each question's tokens of the best cosine among each unit's tokens.

    Args:
        words: Normalized vectors of all questions' tokens, (words, hidden).
        lengths: Words of each question.
        tokens: Normalized vectors of all units' tokens, (tokens, hidden).
        place: Unit of each token, (tokens,).
        units: Number of units.

    Returns:
        (questions, units), each in [-1, 1].
    """
    similar = words @ tokens.T
    best = similar.new_full((len(words), units), -1.0)
    best = best.scatter_reduce(1, place[None].expand(len(words), -1), similar, "amax")
    count = torch.tensor(lengths, device=words.device)
    question = torch.repeat_interleave(torch.arange(len(lengths), device=words.device), count)
    total = best.new_zeros(len(lengths), units).index_add_(0, question, best)
    return total / count[:, None].clamp(min=1)


def info_nce(score: Tensor, gold: Tensor, masked: Tensor) -> Tensor:
    """-log of the softmax mass on the gold columns, masked columns left out; mean over the rows that have gold."""
    score = score.float().masked_fill(masked, -1e9)
    mass = score.masked_fill(~gold, -1e9).logsumexp(1) - score.logsumexp(1)
    return -mass[gold.any(1)].mean()


def _by_row(units: Tensor, of_row: Tensor, rows: int) -> Tensor:
    """Whether any unit of each window is marked, (questions, rows)."""
    return units.new_zeros(len(units), rows, dtype=torch.float32).index_add_(1, of_row, units.float()) > 0


def _mean(rows: Sequence[Tensor]) -> Tensor:
    return F.normalize(torch.stack([r.mean(0) for r in rows]), dim=-1)


def _tensor(parts: Sequence[Any], device: str) -> Tensor:
    return cast(Any, torch).from_numpy(np.concatenate(parts)).to(device)
