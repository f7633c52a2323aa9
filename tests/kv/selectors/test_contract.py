"""What every selector must keep to, on every family."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ctxshrink.kv import KVCompressor
from ctxshrink.kv.prefill import read
from ctxshrink.kv.selectors import SELECTORS, ExpectedAttention, KVzip, SnapKV, _attention, resolve_selector
from ctxshrink.kv.types import ContextSelector, Selector

from ..models import FULL, HYBRID, ids_of, model_of, tokenizer_of
from .plain import FAMILIES, NAMES, scores_of

every_selector = pytest.mark.parametrize("name", NAMES)
every_family = pytest.mark.parametrize("family", FAMILIES)


def padded(rows: list[Tensor]) -> tuple[Tensor, Tensor]:
    longest = max(len(row) for row in rows)
    ids = torch.stack([torch.nn.functional.pad(row, (longest - len(row), 0)) for row in rows])
    mask = torch.stack([(torch.arange(longest) >= longest - len(row)).long() for row in rows])
    return ids, mask


def test_these_are_all_of_them():
    assert tuple(SELECTORS) == NAMES


@every_selector
def test_a_selector_is_one_of_two_kinds_and_knows_its_name(name: str):
    made = SELECTORS[name]()
    assert made.name == name
    assert isinstance(made, Selector) != isinstance(made, ContextSelector)


@every_family
@every_selector
def test_scores_are_finite_numbers_for_each_row_head_and_token(name: str, family: str):
    model, ids = model_of(family), ids_of(2, 40)
    scores = scores_of(model, name, ids)
    assert sorted(scores) == [0, 1, 2]
    for found in scores.values():
        assert found.shape == (2, model.config.num_key_value_heads, 40)
        assert found.isfinite().all()
        assert all(len(head.unique()) > 1 for row in found for head in row)


@every_selector
@pytest.mark.parametrize("family", [family for family in (*FULL, *HYBRID) if family not in FAMILIES])
def test_other_families_are_ranked_where_their_layers_attend_to_everything(name: str, family: str):
    scores = scores_of(model_of(family), name, ids_of(1, 24))
    assert sorted(scores) == ([1] if family in HYBRID else [0, 1, 2])
    assert all(found.isfinite().all() for found in scores.values())


@every_selector
def test_the_same_context_gets_the_same_scores(name: str):
    model, ids = model_of("qwen3"), ids_of(1, 40)
    first, second = (scores_of(model, name, ids) for _ in range(2))
    assert all(torch.equal(first[i], second[i]) for i in first)


@pytest.mark.parametrize("family", [*FAMILIES, "gemma3"])
@every_selector
def test_padding_changes_nothing_about_a_row(name: str, family: str):
    model = model_of(family)
    rows = [ids_of(1, n, seed=n)[0] for n in (20, 45, 3)]
    ids, mask = padded(rows)
    together = scores_of(model, name, ids, mask)
    for i, row in enumerate(rows):
        alone = scores_of(model, name, row[None])
        for layer, found in together.items():
            assert found.isfinite().all()
            torch.testing.assert_close(found[i, :, -len(row) :], alone[layer][0], atol=2e-4, rtol=2e-3)


@every_selector
def test_rows_do_not_see_each_other(name: str):
    model = model_of("llama-gqa")
    one, other = ids_of(2, 30), ids_of(2, 30)
    other[1] = ids_of(1, 30, seed=5)[0]
    before, after = scores_of(model, name, one), scores_of(model, name, other)
    for layer in before:
        torch.testing.assert_close(before[layer][0], after[layer][0], atol=1e-5, rtol=1e-4)


@every_selector
@pytest.mark.parametrize("tokens", [1, 2, 5])
def test_very_short_contexts_are_ranked_too(name: str, tokens: int):
    for found in scores_of(model_of("qwen2"), name, ids_of(1, tokens)).values():
        assert found.shape == (1, 2, tokens)
        assert found.isfinite().all()


@pytest.mark.parametrize("which", ["h2o", SnapKV(window=7), "tova", KVzip(chunk=16)], ids=str)
@pytest.mark.parametrize("held", [1, 2000])
def test_few_queries_at_a_time_give_what_all_at_once_give(which: object, held: int, monkeypatch: pytest.MonkeyPatch):
    model = model_of("llama-gqa")
    ids, mask = padded([ids_of(1, 50)[0], ids_of(1, 33, seed=1)[0]])
    whole = scores_of(model, which, ids, mask)
    monkeypatch.setattr(_attention, "_FLOATS", held)
    for layer, found in scores_of(model, which, ids, mask).items():
        torch.testing.assert_close(found, whole[layer], atol=1e-5, rtol=1e-4)


@every_selector
def test_a_new_turn_behind_a_context_is_ranked_alone(name: str):
    model, selector = model_of("qwen3"), SELECTORS[name]()
    past = read(model, ids_of(1, 30)).context
    if isinstance(selector, ContextSelector):
        with pytest.raises(ValueError, match="extend with another selector"):
            KVCompressor(model, select=selector).extend(past, ids_of(1, 12))
        return
    for found in read(model, ids_of(1, 12, seed=4), selector=selector, past=past).scores.values():
        assert found.shape == (1, 2, 12)
        assert found.isfinite().all()


@every_selector
def test_a_cache_shrinks_by_each_of_them(name: str):
    model = model_of("qwen2")
    compressor = KVCompressor(model, tokenizer_of(), select=name, keep=0.25, sink=2, recent=4)
    context = compressor.compress(ids_of(1, 80))
    assert context.physical == 20
    made = model.generate(
        ids_of(1, 3), attention_mask=context.attention_mask(3), past_key_values=context.to_cache(), max_new_tokens=4,
        do_sample=False,
    )  # fmt: skip
    assert made.shape[1] > 3


@pytest.mark.parametrize("which", [ExpectedAttention(), "keydiff", "h2o"], ids=str)
def test_half_precision_keeps_nearly_the_same_tokens(which: object):
    model, ids = model_of("llama-gqa"), ids_of(1, 60)
    half = type(model)(model.config).eval()
    half.load_state_dict(model.state_dict())
    exact, rough = scores_of(model, which, ids), scores_of(half.bfloat16(), resolve_selector(which), ids)
    for layer in exact:
        kept = [set(scores[layer][0, 0].topk(20).indices.tolist()) for scores in (exact, rough)]
        assert len(kept[0] & kept[1]) >= 14
