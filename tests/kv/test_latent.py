"""Latent contexts: what an encoder makes, that training helps, and that a context of vectors is a context."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import DynamicCache

from ctxshrink.errors import ConfigError, ModelError
from ctxshrink.kv import CompressedContext, KVCompressor, LatentEncoder
from ctxshrink.kv.prefill import continue_logits
from ctxshrink.training.kv_latent import LatentConfig, latent_losses, told_again, train_kv_latent, weight_loss
from ctxshrink.training.kv_lesson import DistillBatch

from .models import ids_of, model_of, tokenizer_of

MODEL = "llama-gqa"


@pytest.mark.parametrize(("n", "window"), [(32, 4), (33, 4), (3, 16), (1, 8)])
def test_a_new_encoder_without_weights_gives_the_mean_of_each_window(n: int, window: int) -> None:
    encoder = LatentEncoder.new(model_of(MODEL), window, weighted=False)
    x = torch.randn(2, n, 32)
    vectors = encoder.encode(x)
    assert vectors.shape == (2, -(-n // window), 32)
    for i in range(vectors.shape[1]):
        assert torch.allclose(vectors[:, i], x[:, i * window : (i + 1) * window].mean(1), atol=1e-5)


def test_states_are_those_behind_the_layer_and_fill_a_cache() -> None:
    model = model_of(MODEL)
    ids = ids_of(2, 12)
    encoder = LatentEncoder.new(model, 4, layer=0)
    assert torch.equal(encoder.states(model, ids), model.get_input_embeddings()(ids))
    every = model.base_model(input_ids=ids, output_hidden_states=True).hidden_states
    cache = DynamicCache(config=model.config)
    assert torch.allclose(LatentEncoder.new(model, 4, layer=1).states(model, ids, cache), every[1], atol=1e-6)
    assert cache.get_seq_length() == 12


@torch.no_grad()
def test_a_token_that_is_attended_to_makes_out_its_window() -> None:
    encoder = LatentEncoder.new(model_of(MODEL), 4)
    assert encoder.scorer is not None
    torch.nn.init.normal_(encoder.scorer.out.weight, std=20)
    x = torch.randn(1, 16, 32)
    best = encoder.scores(x).unflatten(1, (4, 4)).argmax(-1)
    encoder.sharpness.fill_(1e4)
    assert torch.allclose(encoder.encode(x)[0], x[0].unflatten(0, (4, 4))[torch.arange(4), best[0]], atol=1e-3)
    plain = LatentEncoder.new(model_of(MODEL), 4, weighted=False)
    assert not plain.scores(x).any()


def test_a_context_of_vectors_is_a_context(tmp_path: Path) -> None:
    model = model_of(MODEL)
    kv = KVCompressor(model, tokenizer_of(), select=LatentEncoder.new(model, 8, layer=0), quant="int8")
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
    exact = KVCompressor(model, select=LatentEncoder.new(model, 8, layer=0, weighted=False)).compress(ids_of(1, 40))
    assert torch.allclose(continue_logits(model, exact, asked), plain, atol=1e-4)
    assert not torch.equal(continue_logits(model, grown, asked), plain)


def source(step: int) -> DistillBatch:
    ids = ids_of(2, 24, seed=step % 4)
    return DistillBatch(ids, ids[:, None, 4:9], first=1)


def losses(encoder: LatentEncoder, part: tuple[int, int] | None = (0, 24)) -> float:
    with torch.no_grad():
        return sum(float(sum(latent_losses(model_of(MODEL), encoder, source(i), part=part))) for i in range(4))


def test_training_lowers_the_losses_and_leaves_the_model_alone() -> None:
    model = model_of(MODEL)
    before = [p.clone() for p in model.parameters()]
    new = LatentEncoder.new(model, 4)
    trained = train_kv_latent(model, source, 4, config=LatentConfig(steps=25, scorer_steps=15, repeat=0.5, span=12))
    assert losses(trained) < losses(new)
    with torch.no_grad():
        paid = [sum(float(weight_loss(model, e, source(i))) for i in range(4)) for e in (trained, new)]
    assert paid[0] < paid[1]
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert all(p.requires_grad for p in model.parameters())
    assert trained.card.training["config"]["steps"] == 25


def test_training_goes_on_from_another_window() -> None:
    model = model_of(MODEL)
    config = LatentConfig(steps=3, scorer_steps=3)
    first = train_kv_latent(model, source, 2, config=config)
    assert first.scorer is not None
    weights = {name: w.clone() for name, w in first.state_dict().items()}
    told: list[int] = []
    second = train_kv_latent(model, source, 4, config=config, start=first, report=lambda p: told.append(p.step))
    assert told == [1, 2, 3], "the tokens' weights are not learned again"
    assert second.name == "latent-4x"
    assert second.scorer is not None
    assert torch.equal(second.scorer.out.weight, first.scorer.out.weight)
    assert not torch.equal(second.down.weight, first.down.weight)
    assert all(torch.equal(w, first.state_dict()[name]) for name, w in weights.items())
    with pytest.raises(ConfigError, match="another model"):
        train_kv_latent(model_of("llama-mha"), source, 4, start=first)


def test_the_same_training_gives_the_same_weights() -> None:
    config = LatentConfig(steps=2, scorer_steps=2, repeat=1.0)
    a, b = (train_kv_latent(model_of(MODEL), source, 4, config=config).state_dict() for _ in range(2))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_part_told_again_is_judged_without_its_first_token() -> None:
    model = model_of(MODEL)
    encoder = LatentEncoder.new(model, 4)
    ids = source(0).context_ids
    answers, repeats = latent_losses(model, encoder, source(0), answers=False, part=(8, 14))
    logits = told_again(model, encoder.vectors(model, ids), ids[:, 8:14])
    wanted = torch.nn.functional.cross_entropy(logits[:, 1:].flatten(0, 1), ids[:, 9:14].flatten())
    assert float(answers) == 0
    assert torch.allclose(repeats, wanted)


def test_what_was_saved_is_loaded_for_its_model_alone(tmp_path: Path) -> None:
    model = model_of(MODEL)
    made = LatentEncoder.new(model, 4)
    torch.nn.init.normal_(made.down.weight)
    made.save(tmp_path)
    loaded = LatentEncoder.load(tmp_path, model)
    x = torch.randn(1, 9, 32)
    assert torch.allclose(loaded.encode(x), made.encode(x), atol=1e-2)
    with pytest.raises(ConfigError, match="another model"):
        LatentEncoder.load(tmp_path, model_of("llama-mha"))
    (tmp_path / "latent.safetensors").write_bytes(b"not weights")
    with pytest.raises(ModelError):
        LatentEncoder.load(tmp_path, model)
    with pytest.raises(ConfigError, match="no latent encoder"):
        LatentEncoder.load(tmp_path / "none", model)


def test_wrong_settings_and_padding_are_refused() -> None:
    model: Any = model_of(MODEL)
    sizes: list[dict[str, Any]] = [{"window": 1}, {"layer": 9}, {"layer": -1}, {"width": 0}]
    for wrong in sizes:
        with pytest.raises(ConfigError):
            LatentEncoder.new(model, **wrong)
    with pytest.raises(ConfigError):
        LatentEncoder.new(model, 8).resized(1)
    settings: list[dict[str, Any]] = [
        {"steps": 0},
        {"answers": 0.0},
        {"reverse": 2.0},
        {"span": 1},
        {"lr": 0.0},
        {"repeat": -1.0},
    ]
    for bad in settings:
        with pytest.raises(ConfigError):
            LatentConfig(**bad)
    kv = KVCompressor(model, select=LatentEncoder.new(model, 4))
    with pytest.raises(ConfigError, match="padding"):
        kv.compress(ids_of(2, 8), attention_mask=torch.tensor([[0] * 2 + [1] * 6, [1] * 8]))
    with pytest.raises(ConfigError):
        kv.extend(kv.compress(ids_of(1, 8)), ids_of(1, 4))
