"""A compressed cache behind the model's own `generate`: the tokens of the full cache, and those of a hand loop."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from ctxshrink.kv import KVCompressor
from ctxshrink.kv.context import CompressedContext
from ctxshrink.kv.prefill import continue_logits

from .models import FULL, HYBRID, ids_of, model_of

NEW = 10


def compressed(family: str, keep: float, *, rows: int = 1, **settings: Any) -> CompressedContext:
    return KVCompressor(model_of(family), keep=keep, sink=2, recent=4, **settings).compress(ids_of(rows, 48))


def generate(family: str, context: CompressedContext, asked: torch.Tensor, **how: Any) -> torch.Tensor:
    model = model_of(family)
    torch.manual_seed(0)
    made = model.generate(
        asked.expand(context.batch, -1),
        attention_mask=context.attention_mask(asked.shape[1]),
        past_key_values=context.to_cache(),
        max_new_tokens=NEW,
        min_new_tokens=NEW,
        **how,
    )
    return made[:, asked.shape[1] :]


def by_hand(family: str, context: CompressedContext, asked: torch.Tensor) -> torch.Tensor:
    """Greedy search where each step reads all new tokens again."""
    ids = asked.expand(context.batch, -1)
    for _ in range(NEW):
        logits = continue_logits(model_of(family), context, ids)[:, -1]
        logits[:, model_of(family).config.eos_token_id] = -torch.inf
        ids = torch.cat([ids, logits.argmax(-1, keepdim=True)], dim=-1)
    return ids[:, asked.shape[1] :]


MODES: dict[str, dict[str, Any]] = {
    "greedy": {"do_sample": False},
    "sampling": {"do_sample": True, "top_k": 20, "temperature": 0.8},
    "beams": {"do_sample": False, "num_beams": 3},
    "several": {"do_sample": True, "num_return_sequences": 3},
    "assisted": {"do_sample": False, "prompt_lookup_num_tokens": 3},
}


@pytest.mark.parametrize("family", [*FULL, *HYBRID])
@pytest.mark.parametrize("mode", MODES)
def test_keep_everything_is_the_uncompressed_model(family: str, mode: str) -> None:
    ids, asked = ids_of(1, 48), ids_of(1, 5, seed=1)
    context = compressed(family, 1.0)
    torch.manual_seed(0)
    plain = model_of(family).generate(
        torch.cat([ids, asked], dim=-1), max_new_tokens=NEW, min_new_tokens=NEW, **MODES[mode]
    )
    assert torch.equal(generate(family, context, asked, **MODES[mode]), plain[:, 53:])


@pytest.mark.parametrize("family", [*FULL, *HYBRID])
@pytest.mark.parametrize("keep", [0.8, 0.3, 0.15])
def test_generate_equals_a_hand_loop(family: str, keep: float) -> None:
    asked = ids_of(1, 5, seed=1)
    context = compressed(family, keep)
    assert context.physical == round(keep * 48)
    assert torch.equal(generate(family, context, asked, do_sample=False), by_hand(family, context, asked))


@pytest.mark.parametrize("quant", ["int8", "int4", ("int8", "int4")])
def test_quantized_caches_generate_as_a_hand_loop(quant: Any) -> None:
    asked = ids_of(1, 5, seed=1)
    context = compressed("llama-gqa", 0.5, quant=quant)
    assert torch.equal(generate("llama-gqa", context, asked, do_sample=False), by_hand("llama-gqa", context, asked))


def test_beams_find_what_beams_over_the_hand_loop_find() -> None:
    """Beam search by hand: every beam is scored by a fresh pass over all new tokens."""
    family, width = "llama-gqa", 3
    asked, context = ids_of(1, 5, seed=1), compressed(family, 0.3)
    beams: list[tuple[float, list[int]]] = [(0.0, [])]
    for _ in range(NEW):
        grown: list[tuple[float, list[int]]] = []
        for total, tokens in beams:
            ids = torch.cat([asked, torch.tensor([tokens], dtype=torch.long).view(1, -1)], dim=-1)
            logits = continue_logits(model_of(family), context, ids)[0, -1]
            logprobs = logits.log_softmax(-1)
            logprobs[model_of(family).config.eos_token_id] = -torch.inf
            best = logprobs.topk(2 * width)
            grown += [(total + float(p), [*tokens, int(t)]) for p, t in zip(best.values, best.indices, strict=True)]
        beams = sorted(grown, key=lambda beam: -beam[0])[:width]
    found = generate(family, context, asked, do_sample=False, num_beams=width)
    assert found[0].tolist() == beams[0][1]


@pytest.mark.parametrize("family", ["llama-gqa", "qwen3", "gemma3"])
@pytest.mark.parametrize("keep", [1.0, 0.4])
def test_left_padded_rows_answer_as_they_do_alone(family: str, keep: float) -> None:
    lengths, n = [48, 31, 12], 48
    ids, mask = torch.zeros(3, n, dtype=torch.long), torch.zeros(3, n, dtype=torch.long)
    for row, size in enumerate(lengths):
        ids[row, n - size :] = ids_of(1, size, seed=row)[0]
        mask[row, n - size :] = 1
    kv = KVCompressor(model_of(family), keep=keep, sink=2, recent=4)
    together = kv.compress(ids, attention_mask=mask)
    asked = ids_of(1, 5, seed=9)
    made = generate(family, together, asked, do_sample=False)
    logits = continue_logits(model_of(family), together, asked)
    count = max(1, round(keep * n))
    for row, size in enumerate(lengths):
        # A row keeps as many entries as the longest one.
        own = KVCompressor(model_of(family), keep=min(1.0, count / size), sink=2, recent=4)
        alone = own.compress(ids_of(1, size, seed=row))
        assert torch.allclose(continue_logits(model_of(family), alone, asked)[0], logits[row], atol=1e-4)
        assert torch.equal(generate(family, alone, asked, do_sample=False)[0], made[row])


def test_streaming_gives_the_tokens_of_generate() -> None:
    from transformers import TextIteratorStreamer

    from .models import tokenizer_of

    context, asked = compressed("llama-gqa", 0.4), ids_of(1, 5, seed=1)
    streamer = TextIteratorStreamer(tokenizer_of(), skip_prompt=True)
    made = generate("llama-gqa", context, asked, do_sample=False, streamer=streamer)
    assert "".join(streamer) == tokenizer_of().decode(made[0])


def test_what_was_read_behind_a_context_does_not_change_it() -> None:
    context, asked = compressed("llama-gqa", 0.4), ids_of(1, 5, seed=1)
    first = generate("llama-gqa", context, asked, do_sample=False)
    generate("llama-gqa", context, ids_of(1, 7, seed=4), do_sample=False, num_beams=3)
    assert torch.equal(generate("llama-gqa", context, asked, do_sample=False), first)
    assert context.physical == round(0.4 * 48)


def test_context_and_question_together_read_the_question_alone() -> None:
    """Transformers slices ids that come whole by the logical length."""
    context, asked = compressed("llama-gqa", 0.4), ids_of(1, 5, seed=1)
    whole = model_of("llama-gqa").generate(
        torch.cat([ids_of(1, 48), asked], dim=-1),
        past_key_values=context.to_cache(),
        max_new_tokens=NEW,
        min_new_tokens=NEW,
        do_sample=False,
    )
    assert torch.equal(whole[:, 53:], generate("llama-gqa", context, asked, do_sample=False))


def test_states_on_several_rows_can_be_chosen() -> None:
    context = compressed("llama-gqa", 0.4, rows=3)
    cache = context.to_cache()
    cache.batch_select_indices(torch.tensor([2, 0]))
    keys, _ = cache.layers[0].update(*(torch.zeros(2, 2, 1, 8) for _ in range(2)))
    whole = replace(context).to_cache().layers[0].update(*(torch.zeros(3, 2, 1, 8) for _ in range(2)))[0]
    assert torch.equal(keys[:, :, :-1], whole[[2, 0], :, :-1])
