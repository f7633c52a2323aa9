"""What the trained fixtures can do: the needle model with its full cache, KV-Distill with a tenth and a hundredth."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import torch

from ctxshrink.kv.adapter import KVDistillAdapter
from ctxshrink.kv.compressor import KVCompressor
from ctxshrink.kv.prefill import continue_logits
from ctxshrink.training.needle import NeedleTask, domain_task, needle_batch

DATA = Path(__file__).parent / "data" / "needle"
CONTEXTS = 12


@cache
def needle_model() -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(DATA, dtype=torch.float32).eval()


def task() -> NeedleTask:
    return NeedleTask(**json.loads((DATA / "needle.json").read_text(encoding="utf-8")))


def right(wanted: NeedleTask, select: Any, keep: float, seed: int = 2024) -> float:
    """Share of questions answered, through the compressor that users have."""
    model = needle_model()
    batch = needle_batch(wanted, seed, CONTEXTS)
    context = KVCompressor(model, select=select, keep=keep, sink=1, recent=0).compress(torch.tensor(batch.context_ids))
    found = 0
    for q in range(wanted.questions):
        logits = continue_logits(model, context, torch.tensor(batch.question_ids[:, q]))
        found += int((logits[:, -1].argmax(-1) == torch.tensor(batch.answers[:, q])).sum())
    return found / (CONTEXTS * wanted.questions)


def test_the_needle_model_answers_with_its_full_cache() -> None:
    assert right(task(), "streaming", 1.0) >= 0.95
    assert right(domain_task(task()), "streaming", 1.0) >= 0.95


def test_an_adapter_keeps_the_answers_where_a_heuristic_loses_them() -> None:
    adapter = KVDistillAdapter.load(DATA / "adapters" / "general", needle_model())
    assert right(task(), adapter, 0.1) >= 0.93
    assert right(task(), adapter, 0.05) >= 0.9
    assert right(task(), "keydiff", 0.1) <= 0.35


def test_a_domain_is_answered_from_a_hundredth_after_tuning_and_not_before() -> None:
    domain = domain_task(task())
    general, tuned = (KVDistillAdapter.load(DATA / "adapters" / name, needle_model()) for name in ("general", "domain"))
    assert right(domain, general, 0.01) <= 0.5
    assert right(domain, tuned, 0.01) >= 0.9


def test_the_fixtures_are_small() -> None:
    assert sum(file.stat().st_size for file in DATA.rglob("*") if file.is_file()) <= 4_000_000
