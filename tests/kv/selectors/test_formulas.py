"""Each selector against its paper's formula, computed slowly from the model's own attention weights."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from ctxshrink.kv.prefill import read
from ctxshrink.kv.selectors import ExpectedAttention, Random, SnapKV, Streaming
from ctxshrink.kv.selectors._rotary import later, unrotate
from ctxshrink.kv.types import LayerInput

from ..models import ids_of, model_of
from .plain import FAMILIES, by_group, eager_weights, scores_of, seen_by

families = pytest.mark.parametrize("family", FAMILIES)


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)


@families
def test_h2o_sums_the_attention_of_all_queries(family: str):
    model, ids = model_of(family), ids_of(2, 30)
    scores = scores_of(model, "h2o", ids)
    for i, weights in enumerate(eager_weights(family, ids)):
        summed = torch.zeros(weights.shape[:2] + weights.shape[-1:])
        for query in range(30):
            summed += weights[:, :, query]
        close(scores[i], by_group(summed, model.config.num_key_value_heads))


@families
def test_tova_is_the_attention_of_the_last_query_over_all_heads(family: str):
    model, ids = model_of(family), ids_of(2, 30)
    scores = scores_of(model, "tova", ids)
    for i, weights in enumerate(eager_weights(family, ids)):
        for head in range(model.config.num_key_value_heads):
            close(scores[i][:, head], weights[:, :, -1].mean(1))


@families
@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_snapkv_pools_the_votes_of_the_window(family: str, pooling: Any):
    model, ids = model_of(family), ids_of(1, 30)
    window, half = 6, 1
    scores = scores_of(model, SnapKV(window=window, kernel=2 * half + 1, pooling=pooling), ids)
    for i, weights in enumerate(eager_weights(family, ids)):
        votes = weights[:, :, -window:].mean(2)[..., : 30 - window]
        votes = by_group(votes, model.config.num_key_value_heads)
        for place in range(30 - window):
            near = [votes[..., j] if 0 <= j < 30 - window else votes[..., 0] * 0 for j in range(place - 1, place + 2)]
            pooled = torch.stack(near).mean(0) if pooling == "mean" else torch.stack(near).amax(0)
            close(scores[i][..., place], pooled)
        assert (scores[i][..., -window:] > scores[i][..., :-window].amax(-1, keepdim=True)).all()
        assert (scores[i][..., -window:].diff(dim=-1) > 0).all()


@families
def test_knorm_prefers_short_keys(family: str):
    model, ids = model_of(family), ids_of(2, 20)
    scores = scores_of(model, "knorm", ids)
    for layer in seen_by(model, ids):
        for place in range(20):
            squares = sum(layer.keys[..., place, d] ** 2 for d in range(layer.keys.shape[-1]))
            close(scores[layer.index][..., place], -torch.as_tensor(squares).sqrt())


@families
def test_keydiff_prefers_keys_away_from_the_mean_direction(family: str):
    model, ids = model_of(family), ids_of(2, 20)
    scores = scores_of(model, "keydiff", ids)
    for layer in seen_by(model, ids):
        units = [layer.keys[:, :, j] / layer.keys[:, :, j].norm(dim=-1, keepdim=True) for j in range(20)]
        anchor = sum(units[1:], units[0]) / 20
        for place in range(20):
            cosine = (units[place] * anchor).sum(-1) / anchor.norm(dim=-1)
            close(scores[layer.index][..., place], -cosine)


def test_streaming_keeps_the_beginning_and_the_end():
    [found, *_] = scores_of(model_of("llama-mqa"), Streaming(sink=3), ids_of(1, 12)).values()
    assert found[0, 0].argsort(descending=True, stable=True).tolist() == [0, 1, 2, 11, 10, 9, 8, 7, 6, 5, 4, 3]


@pytest.mark.parametrize("which", [Streaming(sink=3), ExpectedAttention(sink=3)], ids=str)
def test_a_new_turn_has_no_first_tokens(which: Any):
    model = model_of("llama-mqa")
    past = read(model, ids_of(1, 12)).context
    first = read(model, ids_of(1, 12), selector=which).scores[0][0, 0]
    later_on = read(model, ids_of(1, 12, seed=1), selector=which, past=past).scores[0][0, 0]
    assert set(first.topk(3).indices.tolist()) == {0, 1, 2}
    assert set(later_on.topk(3).indices.tolist()) != {0, 1, 2}


def test_random_draws_other_tokens_for_each_head_layer_and_seed():
    model, ids = model_of("llama-mha"), ids_of(2, 40)
    first, other = scores_of(model, "random", ids), scores_of(model, Random(seed=1), ids)
    orders = {tuple(head.argsort().tolist()) for found in (*first.values(), *other.values()) for head in found[0]}
    assert len(orders) == 2 * 3 * 4
    assert torch.equal(first[0][0], first[0][1])


def rotation(model: Any, position: int) -> Tensor:
    """The rotary matrix of a position, shape (d, d): what it does to a vector, written as one."""
    rotary: Any = model.model.rotary_emb
    cos, sin = (x[0, 0] for x in rotary(torch.zeros(1), torch.tensor([[position]])))
    size = len(cos)
    matrix = torch.zeros(size, size)
    for i in range(size // 2):
        j = i + size // 2
        matrix[i, i], matrix[i, j], matrix[j, j], matrix[j, i] = cos[i], -sin[i], cos[j], sin[j]
    return matrix


def queries_before_rotation(model: Any, layer: LayerInput) -> Tensor:
    attention: Any = layer.module
    found = attention.q_proj(layer.hidden).view(*layer.hidden.shape[:2], -1, attention.head_dim)
    found = attention.q_norm(found) if hasattr(attention, "q_norm") else found
    return found.transpose(1, 2)


def expected_by_hand(model: Any, layer: LayerInput, future: int, sink: int, covariance: bool) -> Tensor:
    """The paper's closed form, one head and one token at a time, shape (G, n)."""
    heads, n = layer.queries.shape[1], layer.keys.shape[2]
    mean_rotation = torch.stack([rotation(model, n + k) for k in range(future)]).mean(0)
    queries = queries_before_rotation(model, layer)[0]
    result = torch.zeros(layer.keys.shape[1], n)
    for h in range(heads):
        g = h // (heads // layer.keys.shape[1])
        sample = queries[h, sink:]
        mu = sample.mean(0)
        sigma = sum((torch.outer(q - mu, q - mu) for q in sample), torch.zeros(len(mu), len(mu))) / len(sample)
        mu, sigma = mean_rotation @ mu, mean_rotation @ sigma @ mean_rotation.T
        grown = []
        for k in layer.keys[0, g, sink:]:
            exponent = mu @ k / math.sqrt(len(k)) + (k @ sigma @ k / (2 * len(k)) if covariance else 0)
            grown.append(exponent.double().exp())
        weights = torch.stack(grown) / sum(grown)
        result[g, sink:] += weights.float() * layer.values[0, g, sink:].norm(dim=-1) / layer.groups
    return result


@families
@pytest.mark.parametrize(("sink", "covariance"), [(4, True), (0, False)])
def test_expected_attention_is_the_papers_closed_form(family: str, sink: int, covariance: bool):
    model, ids = model_of(family), ids_of(1, 40)
    scores = scores_of(model, ExpectedAttention(future=100, sink=sink, covariance=covariance), ids)
    for layer in seen_by(model, ids):
        with torch.no_grad():
            by_hand = expected_by_hand(model, layer, 100, sink, covariance)
        close(scores[layer.index][0, :, sink:] / 40, by_hand[:, sink:])
        rest = scores[layer.index][..., sink:].amax(-1, keepdim=True)
        assert (scores[layer.index][..., :sink] > rest).all()


def odd_model(kind: str) -> Any:
    """Models that rotate in ways of their own."""
    small: dict[str, Any] = {
        "vocab_size": 331, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4,
        "num_key_value_heads": 2, "initializer_range": 0.3, "pad_token_id": 0,
    }  # fmt: skip
    torch.manual_seed(3)
    if kind == "yarn":
        rope = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 64}
        return transformers.LlamaForCausalLM(transformers.LlamaConfig(**small, rope_parameters=rope)).eval()
    if kind == "interleaved":
        return transformers.CohereForCausalLM(transformers.CohereConfig(**small)).eval()
    rope = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}
    return transformers.GlmForCausalLM(transformers.GlmConfig(**small, head_dim=8, rope_parameters=rope)).eval()


@pytest.mark.parametrize("kind", ["yarn", "interleaved", "partial"])
def test_rotations_of_any_kind_are_taken_off_and_carried_on(kind: str):
    model = odd_model(kind)
    [layer] = seen_by(model, ids_of(2, 50))
    with torch.no_grad():
        close(unrotate(layer, layer.queries), queries_before_rotation(model, layer))
    ahead = later(layer, 120)
    assert ahead is not None
    ours = model.model.rotary_emb(torch.zeros(1), torch.arange(50, 170)[None])
    for found, table in zip(ahead, ours, strict=True):
        close(found[0, 0], table.mean(1)[0])


def test_a_model_that_rotates_nobody_knows_how_is_refused():
    [layer] = seen_by(odd_model("yarn"), ids_of(1, 8))
    unknown = replace(layer, module=torch.nn.Linear(1, 1))
    with pytest.raises(ValueError, match="how Linear rotates its queries is not known"):
        ExpectedAttention().score(unknown)
    without = replace(unknown, cos=None, sin=None)
    assert ExpectedAttention().score(without).isfinite().all()
