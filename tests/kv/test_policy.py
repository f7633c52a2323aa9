"""Age: tiers, runs, the bound, and what extending keeps."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxshrink.errors import ConfigError
from ctxshrink.kv import AgePolicy, CompressedContext, KVCompressor
from ctxshrink.kv.prefill import continue_logits
from ctxshrink.kv.types import Block

from .models import ids_of, model_of

MODEL = "llama-gqa"
TIERS: Any = [(0, 1.0, None), (16, 0.5, "int8"), (48, 0.25, "int4")]


def blocks_of(context: CompressedContext, layer: int = 0) -> tuple[Block, ...]:
    return context.layers[layer].blocks


def ages(context: CompressedContext) -> list[tuple[int, Block]]:
    """Newer tokens behind each block."""
    out: list[tuple[int, Block]] = []
    newer = context.length
    for block in blocks_of(context):
        newer -= block.covers
        out.append((newer, block))
    assert newer == 0
    return out


@settings(max_examples=12, deadline=None)
@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=8), chunk=st.integers(1, 12), sink=st.integers(0, 3))
def test_every_run_is_in_the_tier_of_its_age(sizes: list[int], chunk: int, sink: int) -> None:
    policy = AgePolicy(TIERS, chunk=chunk)
    kv = KVCompressor(model_of(MODEL), policy=policy, sink=sink, select="knorm")
    context = kv.compress(ids_of(1, sizes[0]))
    for i, size in enumerate(sizes[1:]):
        context = kv.extend(context, ids_of(1, size, seed=i))
    assert context.length == sum(sizes)
    for states in context.layers:
        assert sum(block.covers for block in states.blocks) == sum(sizes)
        places = torch.cat([block.positions for block in states.blocks], dim=-1)
        assert all(bool((a < b).all()) for a, b in pairwise(places.unbind(-1)))
    for age, block in ages(context):
        if block.tier == -1:
            assert len(block) == block.covers <= sink
        elif block.tier == 0:
            assert len(block) == block.covers
            assert age == 0
            assert block.covers < 16 + chunk or policy.at(age) == 0
        else:
            tier = policy.tiers[policy.at(age)]
            assert block.tier == policy.at(age)
            runs = -(-block.covers // chunk)
            assert abs(len(block) - tier.keep * block.covers) <= 0.75 * runs


def test_what_is_young_is_exact() -> None:
    policy = AgePolicy(TIERS, chunk=8)
    kv = KVCompressor(model_of(MODEL), policy=policy, sink=0)
    first, second = ids_of(1, 10), ids_of(1, 6, seed=1)
    grown = kv.extend(kv.compress(first), second)
    plain = model_of(MODEL)(torch.cat([first, second, ids_of(1, 3, seed=2)], dim=-1)).logits[:, -3:]
    assert torch.allclose(continue_logits(model_of(MODEL), grown, ids_of(1, 3, seed=2)), plain, atol=1e-4)


def test_the_best_of_a_run_stay() -> None:
    kv = KVCompressor(model_of(MODEL), policy=AgePolicy([(0, 1.0, None), (4, 0.5, None)], chunk=8), sink=0)
    kv.selector = type("ByPlace", (), {"name": "place", "score": lambda _, layer: _even(layer.keys)})()
    context = kv.compress(ids_of(1, 20))
    old = [block for _, block in ages(context) if block.tier == 1]
    assert [block.positions[0, 0].tolist() for block in old] == [list(range(0, 16, 2))]  # two runs, joined


def _even(keys: torch.Tensor) -> torch.Tensor:
    return (torch.arange(keys.shape[2]) % 2 == 0).float().expand(keys.shape[:3])


def test_many_turns_stay_within_the_bound() -> None:
    policy = AgePolicy(TIERS, max_tokens=64, chunk=8)
    kv = KVCompressor(model_of(MODEL), policy=policy, sink=2)
    context = kv.compress(ids_of(1, 30))
    seen: list[int] = []
    for turn in range(60):
        context = kv.extend(context, ids_of(1, 17, seed=turn))
        seen.append(sum(states.nbytes for states in context.layers))
        assert all(len(states) <= 64 for states in context.layers)
    assert context.length == 30 + 60 * 17
    assert max(seen[30:]) <= max(seen[:30]) * 1.1
    assert blocks_of(context)[0].positions[0, 0].tolist() == [0, 1]  # the sinks
    assert continue_logits(model_of(MODEL), context, ids_of(1, 3)).isfinite().all()


def test_one_long_turn_stays_within_the_bound() -> None:
    kv = KVCompressor(model_of(MODEL), policy=AgePolicy(TIERS, max_tokens=64, chunk=8), sink=2)
    assert len(kv.compress(ids_of(1, 900)).layers[0]) <= 64


def test_without_a_policy_new_turns_grow_old_as_the_context_did() -> None:
    kv = KVCompressor(model_of(MODEL), keep=0.25, sink=2, recent=8)
    context = kv.compress(ids_of(1, 80))
    assert context.physical == 20
    for turn in range(40):
        context = kv.extend(context, ids_of(1, 20, seed=turn))
    assert context.length == 880
    # recent tokens and the run that is not yet full, and a quarter of everything else
    assert context.physical <= 0.25 * 880 + 8 + 256 + 1
    assert context.report.tokens == 880


def test_rows_grow_together() -> None:
    kv = KVCompressor(model_of(MODEL), policy=AgePolicy(TIERS, chunk=8), sink=2)
    together = kv.extend(kv.compress(ids_of(3, 40)), ids_of(3, 20, seed=1))
    asked = ids_of(1, 4, seed=2)
    logits = continue_logits(model_of(MODEL), together, asked)
    for row in range(3):
        alone = kv.extend(kv.compress(ids_of(3, 40)[row]), ids_of(3, 20, seed=1)[row])
        assert torch.allclose(continue_logits(model_of(MODEL), alone, asked)[0], logits[row], atol=1e-4)


@pytest.mark.parametrize(
    ("tiers", "more"),
    [
        ([], {}),
        ([(1, 1.0, None)], {}),
        ([(0, 1.0, None), (0, 0.5, None)], {}),
        ([(0, 0.5, None), (9, 0.6, None)], {}),
        ([(0, 0.0, None)], {}),
        ([(0, 1.0, "int3")], {}),
        ([(0, 1.0, None)], {"chunk": 0}),
        ([(0, 1.0, None), (100, 0.5, None)], {"max_tokens": 200, "chunk": 8}),
    ],
)
def test_a_wrong_policy_says_what_is_wrong(tiers: Any, more: Any) -> None:
    with pytest.raises(ConfigError):
        AgePolicy(tiers, **more)
