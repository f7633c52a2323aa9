"""Probes: spans of the context, answers of the full cache, and how distributions are compared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxshrink.kv import _probes
from ctxshrink.kv._probes import answered, auto_probes, diverge, last_logits, stated_probes
from ctxshrink.kv.context import CompressedContext
from ctxshrink.kv.prefill import continue_logits, read

from .models import ids_of, model_of, tokenizer_of
from .test_guardrail import keeping


def remembered(ids: torch.Tensor, padding: list[int] | None = None, length: int | None = None) -> CompressedContext:
    """A context without states: enough for choosing spans."""
    pads = torch.tensor(padding or [0] * len(ids))
    return CompressedContext((), length or ids.shape[1], pads, ids.int(), "none")


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=300), st.integers(1, 9), st.integers(1, 40), st.integers(0, 50)
)
@settings(max_examples=60, deadline=None)
def test_spans_are_the_contexts_own_tokens(row: list[int], count: int, length: int, forgotten: int) -> None:
    context = remembered(torch.tensor([row]), length=len(row) + forgotten)
    probes = auto_probes(context, None, count=count, length=length)
    text = ",".join(map(str, row)) + ","
    assert 1 <= probes.ids.shape[1] <= count
    assert probes.ids.shape[2] <= length
    for span, size in zip(probes.ids[0].tolist(), probes.sizes[0].tolist(), strict=True):
        assert size == min(length, len(row))
        assert ",".join(map(str, span[:size])) + "," in text
    assert torch.equal(probes.ids, auto_probes(context, None, count=count, length=length).ids)


def test_padding_is_never_probed() -> None:
    ids = torch.cat([torch.zeros(1, 70, dtype=torch.long), torch.arange(5, 35)[None]], dim=1)
    both = remembered(torch.cat([ids, torch.arange(100, 200)[None]]), [70, 0])
    probes = auto_probes(both, None, count=4, length=16)
    assert probes.ids.shape == (2, 4, 16)
    assert probes.sizes.tolist() == [[16, 0, 0, 0], [16] * 4]
    assert (probes.ids[0, 0] >= 5).all()
    forgot = replace(both, ids=both.ids[:, -20:])
    assert (auto_probes(forgot, None, count=1, length=16).ids[0] >= 15).all()


def test_spans_are_spread_and_take_what_is_rare() -> None:
    row = torch.ones(800, dtype=torch.long)
    marked = torch.arange(8) * 100 + 50
    row[marked] = torch.arange(8) + 10
    spans = auto_probes(remembered(row[None]), None, count=8, length=60).ids[0]
    found = [int(rare) for span in spans for rare in span if rare >= 10]
    assert sorted(found) == list(range(10, 18))


def test_digits_count_as_rare() -> None:
    tokenizer = tokenizer_of()
    digit, letter = (tokenizer.convert_tokens_to_ids(t) for t in ("7", "w"))
    row = torch.full((400,), letter)
    other = tokenizer.convert_tokens_to_ids("z")
    row[100:140], row[300:340] = other, digit
    [span] = auto_probes(remembered(row[None]), tokenizer, count=1, length=32).ids[0]
    assert (span == digit).sum() >= (span == other).sum()


def test_answers_are_those_of_generate() -> None:
    model = model_of("llama-gqa")
    full = read(model, ids_of(2, 80)).context
    questions = [[5, 6, 7], [9, 10], [11, 12, 13, 14]]
    probes = answered(model, full, stated_probes(full, [(q, 6) for q in questions]), [])
    for p, question in enumerate(questions):
        asked = torch.tensor([question] * 2)
        made = model.generate(
            asked, attention_mask=full.attention_mask(asked.shape[1]), past_key_values=full.to_cache(),
            do_sample=False, max_new_tokens=6, min_new_tokens=6, eos_token_id=None,
        )  # fmt: skip
        size = len(question) + 6
        assert probes.sizes[:, p].tolist() == [size, size]
        assert torch.equal(probes.ids[:, p, :size], made)


def test_an_answer_ends_with_the_token_that_ends_answers() -> None:
    model = model_of("llama-gqa")
    full = read(model, ids_of(1, 80)).context
    free = answered(model, full, stated_probes(full, [([5, 6, 7], 6), ([9, 10], 6)]), [])
    third = int(free.ids[0, 0, 5])
    ended = answered(model, full, stated_probes(full, [([5, 6, 7], 6), ([9, 10], 6)]), [third])
    first = free.ids[0, 0, 3:].tolist().index(third) + 1
    assert int(ended.sizes[0, 0]) == 3 + first
    assert ended.ids[0, 0, : 3 + first].tolist() == free.ids[0, 0, : 3 + first].tolist()


@pytest.mark.parametrize("entries", [_probes.ENTRIES, 1])
def test_divergence_is_that_of_a_loop(entries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_probes, "ENTRIES", entries)
    model = model_of("llama-gqa")
    full = read(model, ids_of(2, 90)).context
    cut = keeping(full, 0.3)
    stated = [[5, 6, 7], [9, 10, 11, 12, 13]]
    found = diverge(model, full, cut, stated_probes(full, [(s, 0) for s in stated]))
    for p, ids in enumerate(stated):
        behind = torch.tensor(ids)
        theirs, ours = (continue_logits(model, c, behind).log_softmax(-1)[:, :-1] for c in (full, cut))
        kl = (theirs.exp() * (theirs - ours)).sum((-1, -2))
        nll = -ours.gather(-1, behind[1:].expand(2, -1)[..., None]).sum((-1, -2))
        np.testing.assert_allclose(found.kl[:, p], kl, rtol=1e-3)
        np.testing.assert_allclose(found.nll[:, p], nll, rtol=1e-3)
        assert found.tokens[:, p].tolist() == [len(ids) - 1] * 2


def test_last_logits() -> None:
    model = model_of("llama-gqa")
    full = read(model, ids_of(2, 50)).context
    ids = ids_of(6, 3, seed=9).view(2, 3, 3)
    found = last_logits(model, full, ids)
    for p in range(3):
        torch.testing.assert_close(found[:, p], continue_logits(model, full, ids[:, p])[:, -1], rtol=1e-3, atol=1e-4)


def test_only_what_counts_is_summed() -> None:
    model = model_of("llama-gqa")
    full = read(model, ids_of(1, 60)).context
    cut = keeping(full, 0.3)
    whole = diverge(model, full, cut, stated_probes(full, [([5, 6, 7, 8], 0)]))
    head = diverge(model, full, cut, stated_probes(full, [([5, 6], 0)]))
    rest = diverge(model, full, cut, stated_probes(full, [([5, 6, 7, 8], 0)], [1]))
    assert rest.tokens.tolist() == [[2]]
    np.testing.assert_allclose(rest.kl + head.kl, whole.kl, rtol=1e-4)
    np.testing.assert_allclose(rest.nll + head.nll, whole.nll, rtol=1e-4)
