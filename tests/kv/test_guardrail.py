"""Probes of a full and a compressed cache: good caches pass, destroyed ones do not, and the reason says which."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from ctxshrink.errors import ConfigError
from ctxshrink.kv.context import CompressedContext
from ctxshrink.kv.guardrail import KVGuardrail
from ctxshrink.kv.prefill import read
from ctxshrink.kv.select import gather, kept_places
from ctxshrink.kv.types import Block, LayerStates

from .models import PAGE, ids_of, model_of, tokenizer_of


def keeping(full: CompressedContext, keep: float, *, seed: int = 0) -> CompressedContext:
    """Random entries of every full-attention layer."""
    made = torch.Generator().manual_seed(seed)
    layers = list[LayerStates]()
    for states in full.layers:
        if states.window is None:
            [block] = states.blocks
            scores = torch.rand(block.positions.shape, generator=made)
            places = kept_places(scores, block.positions[:, 0] >= 0, max(1, round(keep * len(block))))
            states = LayerStates((gather(block, places),))
        layers.append(states)
    return replace(full, layers=tuple(layers))


def shaken(full: CompressedContext, by: float) -> CompressedContext:
    """All entries, with keys that are a little off."""

    def moved(block: Block) -> Block:
        keys, values = block.dense()
        noise = torch.randn(keys.shape, generator=torch.Generator().manual_seed(1))
        return replace(block, keys=keys + by * noise, values=values)

    return replace(full, layers=tuple(replace(s, blocks=tuple(moved(b) for b in s.blocks)) for s in full.layers))


@pytest.mark.parametrize("family", ["llama-gqa", "qwen3", "gemma3"])
@pytest.mark.parametrize("probes", ["auto", [[5, 6, 7], ([9, 10], [11, 12])]])
def test_tells_a_good_cache_from_a_destroyed_one(family: str, probes: object) -> None:
    model = model_of(family)
    full = read(model, ids_of(1, 200)).context
    guardrail = KVGuardrail(probes=probes, max_kl=0.1)  # type: ignore[arg-type]
    same, near = (guardrail.judge(model, None, full, c) for c in (full, shaken(full, 1e-3)))
    lost = guardrail.judge(model, None, full, keeping(full, 0.02))
    assert same.ok
    assert same.kl == 0
    assert same.ppl_ratio == 1
    assert near.ok
    assert near.kl < 0.01
    assert not lost.ok
    assert lost.kl > 0.1
    assert "within max_kl" in near.reason
    assert "above max_kl" in lost.reason


def test_kl_falls_with_what_is_kept() -> None:
    model = model_of("llama-gqa")
    full = read(model, ids_of(1, 300, seed=3)).context
    kls = [KVGuardrail().judge(model, None, full, keeping(full, keep)).kl for keep in (0.02, 0.5, 0.97)]
    assert kls[0] > kls[1] > kls[2] > 0


def test_questions_and_answers_as_text() -> None:
    model, tokenizer = model_of("llama-gqa"), tokenizer_of()
    full = read(model, tokenizer(PAGE, return_tensors="pt")["input_ids"]).context
    guardrail = KVGuardrail(probes=["Who signed it?", ("When does the office open?", "1931")])
    for context in (full, replace(full, prompt="messages")):
        assert guardrail.judge(model, tokenizer, context, context).ok
        assert not guardrail.judge(model, tokenizer, context, keeping(context, 0.05)).ok


def test_text_without_a_tokenizer_is_refused() -> None:
    model = model_of("llama-gqa")
    full = read(model, ids_of(1, 30)).context
    for probe in ("Who?", ([5], "Ann"), ("Who?", [5])):
        with pytest.raises(ConfigError, match="tokenizer"):
            KVGuardrail(probes=[probe]).judge(model, None, full, full)


def test_the_worst_row_decides() -> None:
    model = model_of("llama-gqa")
    one, other = (read(model, ids_of(1, 120, seed=s)).context for s in (1, 2))
    both = read(model, torch.cat([ids_of(1, 120, seed=1), ids_of(1, 120, seed=2)])).context
    guardrail = KVGuardrail()
    layers = tuple(replace(s, blocks=(_second_row_mixed(s.blocks[0]),)) for s in both.layers)
    verdict = guardrail.judge(model, None, both, replace(both, layers=layers))
    assert guardrail.judge(model, None, one, one).ok
    assert guardrail.judge(model, None, other, other).ok
    assert not verdict.ok
    assert "worst of 2 rows" in verdict.reason


def _second_row_mixed(block: Block) -> Block:
    """The first row exact, the second with the values of other places."""
    keys, values = block.dense()
    return replace(block, keys=keys, values=torch.cat([values[:1], values[1:].flip(-2)]))


def test_a_row_of_a_padded_batch_is_judged_as_alone() -> None:
    model = model_of("llama-gqa")
    short = ids_of(1, 90, seed=5)
    padded = torch.cat([torch.zeros(1, 60, dtype=torch.long), short], dim=1)
    mask = torch.cat([torch.zeros(1, 60), torch.ones(1, 90)], dim=1)
    guardrail = KVGuardrail(probes=[[5, 6, 7, 8]])
    alone = read(model, short).context
    batch = read(model, torch.cat([padded, ids_of(1, 150)]), torch.cat([mask, torch.ones(1, 150)])).context
    off = [shaken(c, 0.3) for c in (alone, batch)]
    assert guardrail.judge(model, None, alone, alone).ok
    assert guardrail.judge(model, None, batch, batch).ok
    found = [guardrail.judge(model, None, c, o).kl for c, o in zip((alone, batch), off, strict=True)]
    assert all(math.isfinite(kl) and kl > 0 for kl in found)


def test_neither_cache_is_changed_and_the_verdict_is_the_same_again() -> None:
    model = model_of("llama-gqa")
    full = read(model, ids_of(1, 100)).context
    cut = keeping(full, 0.3)
    before = [b.dense()[0].clone() for c in (full, cut) for s in c.layers for b in s.blocks]
    first, again = (KVGuardrail().judge(model, None, full, cut) for _ in range(2))
    after = [b.dense()[0] for c in (full, cut) for s in c.layers for b in s.blocks]
    assert first == again
    assert all(torch.equal(x, y) for x, y in zip(before, after, strict=True))


def test_perplexity_is_reported_and_counts_only_where_asked() -> None:
    model = model_of("llama-gqa")
    full = read(model, ids_of(1, 200)).context
    cut = keeping(full, 0.02)
    probes = [[5, 6, 7]]
    ratio = KVGuardrail(probes=probes, max_kl=100).judge(model, None, full, cut).ppl_ratio
    assert ratio > 1.01
    assert KVGuardrail(probes=probes, max_kl=100, max_ppl_ratio=ratio * 1.01).judge(model, None, full, cut).ok
    verdict = KVGuardrail(probes=probes, max_kl=100, max_ppl_ratio=ratio * 0.99).judge(model, None, full, cut)
    assert not verdict.ok
    assert "above max_ppl_ratio" in verdict.reason


def test_what_is_not_a_number_is_rejected() -> None:
    model = model_of("llama-gqa")
    full = read(model, ids_of(1, 60)).context
    verdict = KVGuardrail().judge(model, None, full, shaken(full, math.inf))
    assert not verdict.ok
    assert math.isnan(verdict.kl)


def test_a_probe_that_cannot_be_read_leaves_the_full_cache() -> None:
    model = model_of("llama-gqa")
    full = read(model, ids_of(1, 60)).context
    verdict = KVGuardrail(probes=[([10**6], [5])]).judge(model, None, full, full)
    assert not verdict.ok
    assert "could not be read: " in verdict.reason
    assert "IndexError" in verdict.reason


def test_contexts_of_different_tokens_are_refused() -> None:
    model = model_of("llama-gqa")
    one, other = (read(model, ids_of(1, n)).context for n in (60, 61))
    with pytest.raises(ConfigError, match="same model and tokens"):
        KVGuardrail().judge(model, None, one, other)


@pytest.mark.parametrize("tokens", [1, 2, 5, 33])
def test_short_contexts(tokens: int) -> None:
    model = model_of("llama-gqa")
    full = read(model, ids_of(1, tokens)).context
    verdict = KVGuardrail().judge(model, None, full, full)
    assert verdict.ok == (tokens > 1)
    assert tokens > 1 or "too short" in verdict.reason


def test_says_where_ids_are_not_remembered() -> None:
    model = model_of("llama-gqa")
    full = read(model, ids_of(1, 120)).context
    short = replace(full, ids=full.ids[:, -50:])
    assert "newest 50 of 120 tokens" in KVGuardrail().judge(model, None, short, short).reason
    assert "newest" not in KVGuardrail().judge(model, None, full, full).reason


@pytest.mark.parametrize(
    "wrong",
    [
        {"probes": "Who signed it?"}, {"probes": []}, {"max_kl": -1}, {"max_kl": math.nan}, {"max_ppl_ratio": 0},
        {"fallback": "none"}, {"count": 0}, {"length": 0}, {"answer_tokens": 0},
    ],
)  # fmt: skip
def test_settings_are_checked(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        KVGuardrail(**wrong)  # type: ignore[arg-type]
