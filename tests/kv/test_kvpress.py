"""Presses as selectors. These are small classes of our own with the interface of kvpress's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from ctxshrink.errors import ConfigError
from ctxshrink.kv import KVCompressor
from ctxshrink.kv.kvpress import from_kvpress, is_press
from ctxshrink.kv.selectors import resolve_selector

from .models import ids_of, model_of
from .selectors.plain import by_group, eager_weights, scores_of


@dataclass
class BasePress:
    """Can be called with a model, as the real one; a selector is no context manager."""

    def compress(self, module: Any, hidden: Any, keys: Any, values: Any, attentions: Any, kwargs: Any) -> Any:
        raise NotImplementedError

    def forward_hook(self, module: Any, given: Any, kwargs: Any, output: Any) -> Any:
        raise NotImplementedError

    def __call__(self, model: Any) -> Any:
        raise NotImplementedError


@dataclass
class ScorerPress(BasePress):
    compression_ratio: float = 0.0

    def score(self, module: Any, hidden: Any, keys: Any, values: Any, attentions: Any, kwargs: Any) -> Any:
        raise NotImplementedError

    def compress(self, module: Any, hidden: Any, keys: Any, values: Any, attentions: Any, kwargs: Any) -> Any:
        raise AssertionError("here tokens are only scored")


class ShortKeysPress(ScorerPress):
    def score(self, module: Any, hidden: Any, keys: Any, values: Any, attentions: Any, kwargs: Any) -> Any:
        return -keys.norm(dim=-1)


class ProjectionPress(ScorerPress):
    """Uses the layer, what it reads, its rotation and its positions, as SnapKVPress does."""

    def score(self, module: Any, hidden: Any, keys: Any, values: Any, attentions: Any, kwargs: Any) -> Any:
        cos, _ = kwargs["position_embeddings"]
        assert kwargs["hidden_states"] is hidden
        queries = module.q_proj(hidden).view(*hidden.shape[:2], -1, module.head_dim).transpose(1, 2)
        asked = queries[:, : keys.shape[1]] * cos[:, None]
        return (asked * keys).sum(-1) + module.layer_idx + kwargs["cache_position"]


class RotaryPress(ScorerPress):
    """Asks the layer for the rotary embedding, which models keep elsewhere, as ExpectedAttentionPress does."""

    def score(self, module: Any, hidden: Any, keys: Any, values: Any, attentions: Any, kwargs: Any) -> Any:
        cos, _ = module.rotary_emb(keys, torch.arange(keys.shape[2])[None])
        return (keys * cos[:, None]).sum(-1)


class AttentionsPress(ScorerPress):
    def score(self, module: Any, hidden: Any, keys: Any, values: Any, attentions: Any, kwargs: Any) -> Any:
        assert attentions is not None, "attention weights are needed"
        return by_group(attentions.sum(2), keys.shape[1])


@dataclass
class FromModelPress(ScorerPress):
    weight: float | None = None

    def post_init_from_model(self, model: Any) -> None:
        self.weight = 2.0 * model.config.num_hidden_layers

    def score(self, module: Any, hidden: Any, keys: Any, values: Any, attentions: Any, kwargs: Any) -> Any:
        return keys.sum(-1) * self.weight


class MaskingPress(BasePress):
    """Has no scores of its own."""


@dataclass
class WrappingPress(ScorerPress):
    press: Any = field(default_factory=ShortKeysPress)


class LayerBudgetPress(ShortKeysPress):
    def compress(self, module: Any, hidden: Any, keys: Any, values: Any, attentions: Any, kwargs: Any) -> Any:
        raise NotImplementedError


class WrongShapePress(ScorerPress):
    def score(self, module: Any, hidden: Any, keys: Any, values: Any, attentions: Any, kwargs: Any) -> Any:
        return keys


def test_a_press_ranks_as_it_scores():
    model, ids = model_of("qwen3"), ids_of(2, 20)
    press, own = scores_of(model, from_kvpress(ShortKeysPress()), ids), scores_of(model, "knorm", ids)
    for i, found in press.items():
        torch.testing.assert_close(found, own[i])


def test_a_press_can_be_given_to_the_compressor():
    context = KVCompressor(model_of("llama-gqa"), select=RotaryPress(0.9), keep=0.25, sink=0, recent=2).compress(
        ids_of(1, 40)
    )
    assert context.physical == 10
    assert context.report.attempts[0].select == "RotaryPress"


@pytest.mark.parametrize("press", [ShortKeysPress(), ProjectionPress(), RotaryPress(), AttentionsPress()], ids=repr)
def test_rows_with_padding_are_scored_as_if_alone(press: Any):
    model = model_of("llama-gqa")
    ids, mask = ids_of(2, 20), torch.tensor([[1] * 20, [0] * 7 + [1] * 13])
    selector = from_kvpress(press, model, attentions=True)
    together = scores_of(model, selector, ids, mask)
    alone = scores_of(model, selector, ids[1:, 7:])
    for i, found in together.items():
        torch.testing.assert_close(found[1, :, 7:], alone[i][0], atol=1e-4, rtol=1e-3)


def test_attention_weights_are_the_models():
    model, ids = model_of("mistral"), ids_of(2, 16)
    found = scores_of(model, from_kvpress(AttentionsPress(), attentions=True), ids)
    for i, weights in enumerate(eager_weights("mistral", ids)):
        torch.testing.assert_close(found[i], by_group(weights.sum(2), 2), atol=1e-5, rtol=1e-4)
    with pytest.raises(ConfigError, match=r"refused a layer: attention weights are needed .*attentions=True"):
        scores_of(model, from_kvpress(AttentionsPress()), ids)


def test_a_press_is_set_up_from_the_model_where_it_wants_to_be():
    press = FromModelPress()
    selector = resolve_selector(press, model=model_of("qwen2"))
    assert press.weight == 6
    assert selector.name == "FromModelPress"


def test_a_press_that_needs_the_model_says_so_and_leaves_it_as_it_was():
    model, ids = model_of("llama-gqa"), ids_of(1, 8)
    with pytest.raises(ConfigError, match=r"rotary_emb.*from_kvpress\(press, model\) sets it up"):
        scores_of(model, from_kvpress(RotaryPress()), ids)
    names = [name for name, _ in model.named_modules()]
    scores_of(model, from_kvpress(RotaryPress(), model), ids)
    assert names == [name for name, _ in model.named_modules()]
    assert not hasattr(model.model.layers[0].self_attn, "rotary_emb")


@pytest.mark.parametrize(
    ("press", "told"),
    [
        (MaskingPress(), "MaskingPress is no ScorerPress: it masks keys in place"),
        (WrappingPress(), "WrappingPress wraps another press"),
        (LayerBudgetPress(), "LayerBudgetPress decides itself how much each layer or head keeps"),
        (object(), "object is no kvpress press"),
        (Tensor(), "Tensor is no kvpress press"),
    ],
)
def test_presses_that_do_not_rank_tokens_are_refused(press: Any, told: str):
    with pytest.raises(ConfigError, match=told):
        from_kvpress(press)


@pytest.mark.parametrize("press", [MaskingPress(), WrappingPress(), LayerBudgetPress()])
def test_they_are_no_functions_either(press: Any):
    assert callable(press)
    with pytest.raises(ConfigError, match=type(press).__name__):
        resolve_selector(press)


def test_scores_of_another_shape_are_refused():
    with pytest.raises(ConfigError, match="WrongShapePress gave no scores of shape"):
        scores_of(model_of("llama-gqa"), from_kvpress(WrongShapePress()), ids_of(1, 8))


def test_what_looks_like_a_press():
    assert is_press(ShortKeysPress())
    assert not is_press(ShortKeysPress)
    assert not is_press(torch.nn.Linear(1, 1))
