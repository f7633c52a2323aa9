"""Contexts and questions of the needle task for KV-Distill."""

from __future__ import annotations

from dataclasses import replace

import torch

from ctxshrink.training.kv_distill import BatchSource
from ctxshrink.training.kv_lesson import DistillBatch
from ctxshrink.training.needle import NeedleTask, needle_batch

__all__ = ["needle_source"]

_DENSE = 130


def needle_source(task: NeedleTask, *, batch: int, seed: int, dense_steps: int = 0) -> BatchSource:
    """Batches for `train_kv_distill`; all facts that may be asked about are asked about.

    Args:
        task: What the contexts look like.
        batch: Contexts of a step.
        seed: Of the contexts.
        dense_steps: First steps with short contexts, in which there are more facts to learn from for each token.
    """
    whole = replace(task, questions=task.facts)
    short = whole
    if task.length > _DENSE:
        places = (_DENSE - 2) // 2
        facts = min(task.facts, places // 4)
        many = min(task.distractors, places - facts - task.near - places // 16)
        short = replace(whole, length=_DENSE, facts=facts, questions=facts, distractors=many)

    def draw(step: int) -> DistillBatch:
        dense = step < dense_steps
        got = needle_batch(short if dense else whole, (seed << 32) + step, 2 * batch if dense else batch)
        return DistillBatch(torch.as_tensor(got.context_ids), torch.as_tensor(got.question_ids), first=1)

    return draw
