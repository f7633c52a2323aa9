"""The attention that selectors compute again, and the watching of layers that it rests on."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ctxshrink.kv.observe import AttentionCall, attention_modules, observe
from ctxshrink.kv.selectors import _attention
from ctxshrink.kv.selectors._attention import attention, places

from ..models import ids_of, model_of
from .plain import FAMILIES, eager_weights, seen_by


def whole(queries: Tensor, keys: Tensor, scaling: float, seen: Tensor | None = None) -> Tensor:
    """All runs put together, shape (B, H, q, k)."""
    batch, heads, asked, _ = queries.shape
    weights = torch.full((batch, heads, asked, keys.shape[2]), 0.0)
    for few, found in attention(queries, keys, scaling, seen=seen):
        weights[:, :, few, : found.shape[-1]] = found.flatten(1, 2)
    return weights


def by_hand(queries: Tensor, keys: Tensor, scaling: float, seen: Tensor) -> Tensor:
    """Softmax attention, one query at a time."""
    batch, heads, asked, _ = queries.shape
    groups, known = keys.shape[1:3]
    weights = torch.zeros(batch, heads, asked, known)
    for b in range(batch):
        for h in range(heads):
            for i in range(asked):
                own = known - asked + i
                places = [j for j in range(own + 1) if seen[b, j]]
                if not seen[b, own]:
                    continue
                logits = torch.stack([queries[b, h, i] @ keys[b, h // (heads // groups), j] for j in places]) * scaling
                weights[b, h, i, places] = logits.exp() / logits.exp().sum()
    return weights


@settings(max_examples=25)
@given(
    groups=st.sampled_from([1, 2, 4]), known=st.integers(1, 9), asked=st.integers(1, 9), padding=st.integers(0, 8),
    held=st.sampled_from([1, 60, 10**6]), seed=st.integers(0, 99),
)  # fmt: skip
def test_attention_is_the_softmax_of_the_dot_products(
    groups: int, known: int, asked: int, padding: int, held: int, seed: int
):
    made = torch.Generator().manual_seed(seed)
    asked = min(asked, known)
    queries, keys = torch.randn(2, 4, asked, 6, generator=made), torch.randn(2, groups, known, 6, generator=made)
    seen = torch.stack([torch.ones(known), torch.arange(known) >= min(padding, known - 1)]).bool()
    expected = by_hand(queries, keys, 0.7, seen)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_attention, "_FLOATS", held)
        torch.testing.assert_close(whole(queries, keys, 0.7, seen), expected, atol=1e-5, rtol=1e-4)


def test_no_more_weights_are_held_than_allowed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_attention, "_FLOATS", 4096)
    queries, keys = torch.randn(1, 4, 300, 8), torch.randn(1, 2, 300, 8)
    runs = [(few, weights.numel()) for few, weights in attention(queries, keys, 1.0)]
    assert max(size for _, size in runs) <= 4096
    assert [i for few, _ in runs for i in range(few.start, few.stop)] == list(range(300))


def test_places_are_counted_without_padding():
    real = torch.tensor([[False, False, True, True], [True, True, True, True]])
    assert places(real).tolist() == [[-2, -1, 0, 1], [0, 1, 2, 3]]


@pytest.mark.parametrize("family", FAMILIES)
def test_observed_queries_and_keys_give_the_weights_that_the_model_reports(family: str):
    ids = ids_of(2, 24)
    for layer, weights in zip(seen_by(model_of(family), ids), eager_weights(family, ids), strict=True):
        torch.testing.assert_close(whole(layer.queries, layer.keys, layer.scaling), weights, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_observed_values_under_these_weights_are_what_the_layer_puts_out(family: str):
    model, ids = model_of(family), ids_of(2, 24)
    out: list[Tensor] = []
    hooks = [m.o_proj.register_forward_pre_hook(lambda _, args: out.append(args[0])) for m in attention_modules(model)]
    try:
        layers = seen_by(model, ids)
    finally:
        for hook in hooks:
            hook.remove()
    for layer, given_on in zip(layers, out, strict=True):
        values = layer.values.repeat_interleave(layer.groups, dim=1)
        rebuilt = (whole(layer.queries, layer.keys, layer.scaling) @ values).transpose(1, 2).flatten(2)
        torch.testing.assert_close(rebuilt, given_on, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["sdpa", "eager"])
def test_a_model_says_the_same_while_it_is_watched(family: str, kind: str):
    model, ids = model_of(family, attention=kind), ids_of(2, 24)
    calls: list[AttentionCall] = []

    def logits() -> Any:
        with torch.no_grad():
            return model(ids).logits

    before = logits()
    with observe(model, calls.append):
        during = logits()
    assert torch.equal(before, during)
    assert torch.equal(before, logits())
    assert [call.index for call in calls] == [0, 1, 2]
    assert model.config._attn_implementation == kind
