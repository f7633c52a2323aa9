"""Latent contexts: what an encoder makes, that training helps, and that a context of vectors is a context."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from ctxshrink.errors import ConfigError, ModelError
from ctxshrink.kv import CompressedContext, KVCompressor, LatentEncoder
from ctxshrink.kv.prefill import continue_logits
from ctxshrink.training.kv_latent import LatentConfig, latent_losses, train_kv_latent
from ctxshrink.training.kv_lesson import DistillBatch

from .models import ids_of, model_of, tokenizer_of

MODEL = "llama-gqa"


@pytest.mark.parametrize(("n", "window"), [(32, 4), (33, 4), (3, 16), (1, 8)])
def test_a_new_encoder_gives_the_mean_of_each_window(n: int, window: int) -> None:
    encoder = LatentEncoder.new(model_of(MODEL), window)
    x = torch.randn(2, n, 32)
    vectors = encoder.encode(x, torch.randn(2, n, 32))
    assert vectors.shape == (2, -(-n // window), 32)
    for i in range(vectors.shape[1]):
        assert torch.allclose(vectors[:, i], x[:, i * window : (i + 1) * window].mean(1), atol=1e-5)


def test_a_context_of_vectors_is_a_context(tmp_path: Path) -> None:
    model = model_of(MODEL)
    kv = KVCompressor(model, tokenizer_of(), select=LatentEncoder.new(model, 8), quant="int8")
    context = kv.compress("The harbour office opened in 1931. Its first director was Ann Lindt, who kept a diary.")
    tokens = context.report.tokens
    assert context.length == context.physical == -(-tokens // 8)
    assert context.report.bytes_ratio < 0.25
    context.save(tmp_path / "a.ctxkv")
    again = CompressedContext.load(tmp_path / "a.ctxkv", model)
    assert kv.ask(again, "When?", max_new_tokens=8) == kv.ask(context, "When?", max_new_tokens=8)
    grown = kv.compress(ids_of(1, 40))
    asked = ids_of(1, 3, seed=3)
    embeddings = model.get_input_embeddings()(ids_of(1, 40))
    vectors = embeddings.unflatten(1, (5, 8)).mean(2)
    plain = model(inputs_embeds=torch.cat([vectors, model.get_input_embeddings()(asked)], dim=1)).logits[:, -3:]
    exact = KVCompressor(model, select=LatentEncoder.new(model, 8)).compress(ids_of(1, 40))
    assert torch.allclose(continue_logits(model, exact, asked), plain, atol=1e-4)
    assert not torch.equal(continue_logits(model, grown, asked), plain)


def source(step: int) -> DistillBatch:
    ids = ids_of(2, 24, seed=step % 4)
    return DistillBatch(ids, ids[:, None, 4:9], first=1)


def test_training_lowers_the_losses_and_leaves_the_model_alone() -> None:
    model = model_of(MODEL)
    before = [p.clone() for p in model.parameters()]
    config = LatentConfig(steps=30, lr=5e-3)
    trained = train_kv_latent(model, source, 4, config=config)
    with torch.no_grad():
        first = sum(float(sum(latent_losses(model, LatentEncoder.new(model, 4), source(i)))) for i in range(4))
        last = sum(float(sum(latent_losses(model, trained, source(i)))) for i in range(4))
    assert last < first
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert trained.card.training["config"]["steps"] == 30


def test_what_was_saved_is_loaded_for_its_model_alone(tmp_path: Path) -> None:
    model = model_of(MODEL)
    made = LatentEncoder.new(model, 4)
    torch.nn.init.normal_(made.down.weight)
    made.save(tmp_path)
    loaded = LatentEncoder.load(tmp_path, model)
    x = torch.randn(1, 9, 32)
    assert torch.allclose(loaded.encode(x, x), made.encode(x, x), atol=1e-2)
    with pytest.raises(ConfigError, match="another model"):
        LatentEncoder.load(tmp_path, model_of("llama-mha"))
    (tmp_path / "latent.safetensors").write_bytes(b"not weights")
    with pytest.raises(ModelError):
        LatentEncoder.load(tmp_path, model)
    with pytest.raises(ConfigError, match="no latent encoder"):
        LatentEncoder.load(tmp_path / "none", model)


def test_wrong_settings_and_padding_are_refused() -> None:
    model: Any = model_of(MODEL)
    with pytest.raises(ConfigError):
        LatentEncoder.new(model, 1)
    kv = KVCompressor(model, select=LatentEncoder.new(model, 4))
    with pytest.raises(ConfigError, match="padding"):
        kv.compress(ids_of(2, 8), attention_mask=torch.tensor([[0] * 2 + [1] * 6, [1] * 8]))
    with pytest.raises(ConfigError):
        kv.extend(kv.compress(ids_of(1, 8)), ids_of(1, 4))
