"""KVzip's score: the maximum attention that a key gets while the context is repeated."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from ctxshrink.kv import KVCompressor
from ctxshrink.kv.prefill import read
from ctxshrink.kv.prompts import context_ids, prompt_ids
from ctxshrink.kv.selectors import KVzip

from ..models import ids_of, model_of, tokenizer_of
from .plain import scores_of


def weights_over_all(family: str, ids: Tensor) -> Any:
    """The model's own attention over a context and what follows it, read in one go."""
    with torch.no_grad():
        return model_of(family, attention="eager")(ids, output_attentions=True).attentions


def by_hand(family: str, context: Tensor, start: int, end: int, behind: Tensor, sink: int) -> list[Tensor]:
    """Maximum weights on the keys from start to end, normalized over first tokens, chunk and repetition."""
    n, model = context.shape[1], model_of(family)
    groups = model.config.num_key_value_heads
    found: list[Tensor] = []
    for weights in weights_over_all(family, torch.cat([context, behind], dim=-1)):
        counted = [*range(min(sink, start)), *range(start, end), *range(n, n + behind.shape[1])]
        rows = weights[0, :, n:, counted]
        rows = rows / rows.sum(-1, keepdim=True)
        first = min(sink, start)
        best = rows[:, :, first : first + end - start].amax(1)
        found.append(best.view(groups, -1, end - start).amax(1))
    return found


@pytest.mark.parametrize("family", ["llama-gqa", "qwen3", "mistral"])
def test_a_short_context_is_repeated_at_once(family: str):
    ids = ids_of(1, 30)
    scores = scores_of(model_of(family), "kvzip", ids)
    for i, best in enumerate(by_hand(family, ids, 0, 30, ids, sink=4)):
        torch.testing.assert_close(scores[i][0], best, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("tokenizer", [None, tokenizer_of()], ids=["bare", "worded"])
def test_a_long_context_is_repeated_in_chunks_that_the_chunk_before_leads_in(tokenizer: Any):
    ids, selector = ids_of(1, 40), KVzip(tokenizer, chunk=16, sink=3, lead=5)
    scores = scores_of(model_of("qwen2"), selector, ids)
    for start, end in ((0, 16), (16, 32), (32, 40)):
        behind = torch.cat([ids[:, max(0, start - 5) : start], ids[:, start:end]], dim=-1)
        if tokenizer is not None:
            said = f"\n\nRepeat {'a part of ' if start else ''}the previous context exactly.\n\n"
            behind = torch.cat([torch.tensor([tokenizer.encode(said)]), behind], dim=-1)
        for i, best in enumerate(by_hand("qwen2", ids, start, end, behind, sink=3)):
            torch.testing.assert_close(scores[i][0, :, start:end], best, atol=1e-4, rtol=1e-3)


def test_behind_messages_the_instruction_is_a_users_turn():
    tokenizer, model = tokenizer_of(), model_of("qwen2")
    talk = [{"role": "user", "content": "Who signed it?"}, {"role": "assistant", "content": "Ann Lindt."}]
    ids, kind = context_ids(tokenizer, talk)
    assert kind == "messages"
    scores = KVzip(tokenizer).score_context(model, read(model, ids, prompt=kind).context)
    asked = [*talk, {"role": "user", "content": "Repeat the previous context exactly."}]
    whole = prompt_ids(tokenizer, asked)
    assert torch.equal(whole[:, : ids.shape[1]], ids)
    behind = torch.cat([whole[:, ids.shape[1] :], ids], dim=-1)
    for i, best in enumerate(by_hand("qwen2", ids, 0, ids.shape[1], behind, sink=4)):
        torch.testing.assert_close(scores[i][0], best, atol=1e-4, rtol=1e-3)


def test_the_full_context_is_left_as_it_was():
    model, ids = model_of("llama-gqa"), ids_of(2, 30)
    full = read(model, ids, torch.tensor([[1] * 30, [0] * 9 + [1] * 21])).context
    before = [block.dense() for states in full.layers for block in states.blocks]
    kept = [(keys.clone(), values.clone()) for keys, values in before]
    KVzip().score_context(model, full)
    after = [block.dense() for states in full.layers for block in states.blocks]
    assert all(torch.equal(a, b) for one, two in zip(kept, after, strict=True) for a, b in zip(one, two, strict=True))


def test_the_tokenizer_of_the_compressor_words_the_instruction():
    model = model_of("llama-gqa")
    bare, worded = KVCompressor(model, select="kvzip"), KVCompressor(model, tokenizer_of(), select="kvzip")
    assert isinstance(bare.selector, KVzip)
    assert bare.selector.tokenizer is None
    assert isinstance(worded.selector, KVzip)
    assert worded.selector.tokenizer is tokenizer_of()


def test_a_compressed_context_cannot_be_repeated():
    model = model_of("llama-gqa")
    context = KVCompressor(model, keep=0.5, sink=1, recent=1).compress(ids_of(1, 30))
    with pytest.raises(ValueError, match="kvzip repeats the whole context"):
        KVzip().score_context(model, context)
