"""Why latent contexts are averages of hidden states, weighted by attention: what a model reads in them untrained."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from ctxshrink.kv.latent import LatentEncoder
from ctxshrink.training.kv_lesson import DistillBatch, teach
from ctxshrink.training.needle import needle_batch

from .test_adapter_needle import CONTEXTS, needle_model, right, task


def paid(seed: int) -> Tensor:
    """Attention of the questions about all facts, behind the first layer, shape (B, n)."""
    every = replace(task(), questions=task().facts)
    drawn = needle_batch(every, seed, CONTEXTS)
    batch = DistillBatch(torch.tensor(drawn.context_ids), torch.tensor(drawn.question_ids), first=1)
    return torch.stack([x.mean(1) for i, x in teach(needle_model(), batch).attention.items() if i >= 1]).mean(0)


@pytest.mark.parametrize("window", [4, 16])
def test_weighted_means_of_hidden_states_hold_answers_before_any_training(
    window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answered(layer: int, weighted: bool) -> float:
        encoder = LatentEncoder.new(needle_model(), window, layer=layer, weighted=weighted)
        if weighted:
            scores: Any = paid(2024).clamp(min=1e-9).log()
            monkeypatch.setattr(encoder, "scores", lambda _: scores)
        return right(task(), encoder, 1.0)

    learned = answered(1, True)
    assert learned >= 0.3
    assert answered(1, False) <= 0.15
    assert answered(0, True) <= learned - 0.2
