"""What a compressor keeps, reports and refuses."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxshrink.errors import ConfigError
from ctxshrink.kv import KVCompressor, LayerInput
from ctxshrink.kv.fingerprint import fingerprint
from ctxshrink.kv.prefill import continue_logits
from ctxshrink.kv.types import KVVerdict

from .models import FULL, HYBRID, ids_of, model_of, tokenizer_of

MODEL = "llama-gqa"


@settings(max_examples=20, deadline=None)
@given(
    n=st.integers(1, 60), keep=st.floats(0.01, 1), sink=st.integers(0, 6), recent=st.integers(0, 12),
    quant=st.sampled_from([None, "int8", "int4", ("int8", "int4")]),
)  # fmt: skip
def test_sinks_and_recent_tokens_stay_and_the_share_is_met(
    n: int, keep: float, sink: int, recent: int, quant: Any
) -> None:
    kv = KVCompressor(model_of(MODEL), keep=keep, sink=sink, recent=recent, quant=quant)
    context = kv.compress(ids_of(1, n))
    wanted = min(n, max(1, round(keep * n), min(n, sink + recent)))
    exact = [*range(min(n, sink)), *range(max(0, n - recent), n)]
    for states in context.layers:
        assert len(states) == wanted == context.report.kept
        for head in torch.cat([block.positions for block in states.blocks], dim=-1)[0]:
            kept = head.tolist()
            assert kept == sorted(set(kept))
            assert set(exact) <= set(kept)
    assert context.length == n
    assert context.report.tokens == n


@pytest.mark.parametrize("family", [*FULL, *HYBRID])
def test_memory_shrinks_for_real(family: str) -> None:
    context = KVCompressor(model_of(family), keep=0.1, sink=1, recent=2).compress(ids_of(1, 200))
    for states in context.layers:
        if states.window is None:
            assert all(len(block.dense()[0].untyped_storage()) <= 20 * 4 * 8 * 4 * 4 for block in states.blocks)
            assert len(states) == 20
    assert context.report.nbytes < context.report.nbytes_full
    assert context.report.keep == pytest.approx(0.1)


def test_heads_keep_tokens_of_their_own() -> None:
    context = KVCompressor(model_of(MODEL), keep=0.3, sink=0, recent=0).compress(ids_of(1, 60))
    [block] = context.layers[0].blocks
    assert not torch.equal(block.positions[0, 0], block.positions[0, 1])


def test_a_function_can_rank() -> None:
    def first(layer: LayerInput) -> torch.Tensor:
        return -torch.arange(layer.keys.shape[2]).expand(layer.keys.shape[:3]).float()

    context = KVCompressor(model_of(MODEL), select=first, keep=0.25, sink=0, recent=0).compress(ids_of(1, 40))
    [block] = context.layers[2].blocks
    assert block.positions[0, 0].tolist() == list(range(10))


@dataclass
class Scripted:
    """Accepts what keeps at least some entries."""

    least: int
    fallback: str
    asked: list[int] = field(default_factory=list)

    def judge(self, model: Any, tokenizer: Any, full: Any, made: Any) -> KVVerdict:
        self.asked.append(made.physical)
        ok = made.physical >= self.least
        return KVVerdict(ok, 0.0 if ok else 1.0, 1.0, "as wished" if ok else "too little")


def test_a_rejected_cache_is_kept_whole() -> None:
    guard: Any = Scripted(50, "full")
    kv = KVCompressor(model_of(MODEL), keep=0.2, sink=0, recent=0, guardrail=guard)
    context = kv.compress(ids_of(1, 100))
    assert context.physical == 100
    assert context.report.fallback
    assert "too little" in context.report.reason
    assert [a.verdict.ok for a in context.report.attempts if a.verdict] == [False]
    plain = model_of(MODEL)(torch.cat([ids_of(1, 100), ids_of(1, 3, seed=1)], dim=-1)).logits[:, -3:]
    assert torch.allclose(continue_logits(model_of(MODEL), context, ids_of(1, 3, seed=1)), plain, atol=1e-4)


def test_a_rejected_cache_is_tried_again_with_more() -> None:
    guard: Any = Scripted(50, "retry")
    context = KVCompressor(model_of(MODEL), keep=0.2, sink=0, recent=0, guardrail=guard).compress(ids_of(1, 100))
    assert guard.asked == [20, 40, 80]
    assert context.physical == 80
    assert not context.report.fallback


def test_retries_end_with_everything() -> None:
    guard: Any = Scripted(10_000, "retry")
    context = KVCompressor(model_of(MODEL), keep=0.2, sink=0, recent=0, guardrail=guard).compress(ids_of(1, 100))
    assert guard.asked == [20, 40, 80]
    assert context.physical == 100


def test_asking_does_not_change_a_context_and_streams_the_same() -> None:
    kv = KVCompressor(model_of(MODEL), tokenizer_of(), keep=0.5)
    context = kv.compress("The harbour office opened in 1931. Its first director was Ann Lindt.")
    answer = kv.ask(context, "Who signed it?", max_new_tokens=12)
    assert kv.ask_many(context, ["When?", "Who signed it?"], max_new_tokens=12)[1] == answer
    assert "".join(kv.stream(context, "Who signed it?", max_new_tokens=12)) == answer


def test_a_stream_that_is_left_stops_generating() -> None:
    kv = KVCompressor(model_of(MODEL), tokenizer_of(), keep=0.5)
    context = kv.compress("The harbour office opened in 1931.")
    pieces = kv.stream(context, "When?", max_new_tokens=1500)
    next(pieces)
    pieces.close()


@pytest.mark.parametrize("family", ["mistral-window", "mamba"])
def test_models_without_full_attention_are_refused(family: str) -> None:
    with pytest.raises(ConfigError):
        KVCompressor(model_of(family)).compress(ids_of(1, 20))


@pytest.mark.parametrize(
    "settings", [{"keep": 0}, {"keep": 1.5}, {"sink": -1}, {"recent": -1}, {"quant": "int2"}, {"select": "best"}]
)
def test_wrong_settings_are_refused(settings: Any) -> None:
    with pytest.raises(ConfigError):
        KVCompressor(model_of(MODEL), **settings)


@pytest.mark.parametrize(
    ("ids", "mask"),
    [
        (torch.zeros(1, 0, dtype=torch.long), None),
        (ids_of(2, 4), torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])),
        (ids_of(2, 4), torch.tensor([[0, 0, 0, 0], [1, 1, 1, 1]])),
        (ids_of(2, 4), torch.ones(2, 5)),
    ],
)
def test_what_cannot_be_read_is_refused(ids: torch.Tensor, mask: Any) -> None:
    with pytest.raises(ConfigError):
        KVCompressor(model_of(MODEL)).compress(ids, attention_mask=mask)


def test_text_needs_a_tokenizer() -> None:
    kv = KVCompressor(model_of(MODEL))
    with pytest.raises(ConfigError, match="tokenizer"):
        kv.compress("a text")


def test_a_converted_model_is_another_one() -> None:
    model = copy.deepcopy(model_of(MODEL))
    before = fingerprint(model)
    assert fingerprint(model.to(torch.bfloat16)) != before
    assert fingerprint(model.to(torch.float32)) not in (None, before)  # what was rounded stays rounded


def test_what_cannot_follow_a_context_is_refused() -> None:
    kv = KVCompressor(model_of(MODEL))
    context = kv.compress(ids_of(3, 20))
    with pytest.raises(ConfigError, match="2 rows"):
        kv.extend(context, ids_of(2, 4))
    with pytest.raises(ConfigError, match="another model"):
        KVCompressor(model_of("llama-mha")).extend(context, ids_of(1, 4))
    with pytest.raises(ConfigError, match="integers"):
        kv.compress(torch.rand(1, 8))


def test_another_models_context_is_refused() -> None:
    context = KVCompressor(model_of(MODEL), tokenizer_of()).compress("The harbour office opened in 1931.")
    with pytest.raises(ConfigError, match="another model"):
        KVCompressor(model_of("llama-mha"), tokenizer_of()).ask(context, "When?")
