"""KV-Distill's training on a tiny model: it learns, it is deterministic, it leaves the model alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from ctxshrink.errors import ConfigError
from ctxshrink.kv.adapter import KVDistillAdapter
from ctxshrink.training.kv_distill import BatchSource, DistillConfig, divergence, scorer_loss, train_kv_distill
from ctxshrink.training.kv_lesson import DistillBatch, answer, teach
from ctxshrink.training.kv_recipe import load_distill_recipe, run_distill_recipe
from tests.kv.models import model_of, tokenizer_of

QUICK = DistillConfig(
    steps=30, scorer_share=0.5, scorer_muon_lr=0.05, lora_lr=0.02, width=16, rank=2, length=64, batch=2
)


def batches(questions: int = 3, seed: int = 0) -> BatchSource:
    """The same few contexts again and again, with questions of three tokens."""
    draw = torch.Generator().manual_seed(seed)
    pool = torch.randint(5, 300, (4, 2, 48), generator=draw)
    asked = torch.randint(5, 300, (4, 2, questions, 3), generator=draw)
    return lambda step: DistillBatch(pool[step % 4], asked[step % 4], first=1)


def losses(model: Any, adapter: KVDistillAdapter, source: BatchSource) -> tuple[float, float]:
    lesson = teach(model, source(0))
    with torch.no_grad():
        logits = answer(model, adapter, lesson, 0.25, sink=1, recent=0)
        return float(scorer_loss(adapter, lesson)), float(divergence(lesson.logits, logits))


@pytest.mark.parametrize("family", ["llama-gqa", "qwen3", "gemma3"])
def test_scorer_and_lora_learn_and_the_model_stays_as_it_was(family: str) -> None:
    model = model_of(family)
    before = {name: p.clone() for name, p in model.named_parameters()}
    source = batches()
    adapter = train_kv_distill(model, None, source, keep=(0.25,), config=QUICK)
    untrained = KVDistillAdapter.new(model, width=16, rank=2)
    scorer, kl = losses(model, adapter, source)
    scorer_then, kl_then = losses(model, untrained, source)
    assert scorer < 0.8 * scorer_then
    assert kl < 0.8 * kl_then
    assert all(torch.equal(p, before[name]) and p.requires_grad for name, p in model.named_parameters())


def test_training_is_deterministic_and_notes_what_it_did() -> None:
    model, source = model_of("llama-gqa"), batches()
    config = DistillConfig(steps=4, scorer_share=0.5, width=8, rank=2)
    told: list[float] = []
    one = train_kv_distill(model, None, source, config=config, report=lambda p: told.append(p.fraction))
    two = train_kv_distill(model, None, source, config=config)
    for name, weight in one.state_dict().items():
        assert torch.equal(weight, two.state_dict()[name])
    assert told == [0.25, 0.5, 0.75, 1.0]
    assert one.card.training["keep"] == [0.02, 0.05, 0.1, 0.5]
    assert one.card.training["config"]["steps"] == 4


def test_a_domain_goes_on_from_an_adapter_and_leaves_it_alone() -> None:
    model, source = model_of("llama-gqa"), batches()
    config = DistillConfig(steps=4, scorer_share=0.5, width=8, rank=2)
    start = train_kv_distill(model, None, source, config=config)
    before = {name: w.clone() for name, w in start.state_dict().items()}
    tuned = train_kv_distill(model, None, batches(seed=1), keep=(0.1,), config=config, start=start)
    assert all(torch.equal(w, before[name]) for name, w in start.state_dict().items())
    assert any(not torch.equal(w, before[name]) for name, w in tuned.state_dict().items())
    assert tuned.card.sizes == start.card.sizes
    assert tuned.card.training["before"][0]["keep"] == [0.02, 0.05, 0.1, 0.5]
    with pytest.raises(ConfigError, match="another model"):
        train_kv_distill(model_of("llama-mqa"), None, source, config=config, start=start)


def test_questions_are_read_as_if_each_were_the_only_one() -> None:
    model, batch = model_of("llama-gqa"), batches()(0)
    lesson = teach(model, batch)
    for question in range(batch.question_ids.shape[1]):
        ids = torch.cat([batch.context_ids, batch.question_ids[:, question]], dim=1)
        with torch.no_grad():
            alone = model(input_ids=ids).logits[:, batch.context_ids.shape[1] + 1 :]
        torch.testing.assert_close(lesson.logits[:, question], alone, rtol=1e-3, atol=1e-3)
    for paid in lesson.attention.values():
        torch.testing.assert_close(paid.sum(-1), torch.ones_like(paid[..., 0]))


def test_with_everything_kept_an_untrained_adapter_answers_as_the_model_does() -> None:
    model = model_of("gemma3")
    lesson = teach(model, batches()(0))
    logits = answer(model, KVDistillAdapter.new(model), lesson, 1.0, sink=1, recent=2)
    torch.testing.assert_close(logits, lesson.logits, rtol=1e-3, atol=1e-3)


def test_texts_serve_without_questions() -> None:
    model, tokenizer = model_of("llama-gqa"), tokenizer_of()
    texts = [
        f"Line {i}: the {word} of {i * 7} was seen near the river. " for i, word in enumerate(["crane", "otter"] * 30)
    ]
    config = DistillConfig(steps=3, scorer_share=0.4, width=8, rank=2, length=64, batch=2, questions=2)
    adapter = train_kv_distill(model, tokenizer, texts, config=config)
    assert adapter.card.training["losses"]["kl"] >= 0


@pytest.mark.parametrize(
    ("tokenizer", "corpus", "keep", "named"),
    [
        (None, ["a text"], (0.1,), "tokenizer"),
        ("a tokenizer", ["too short"], (0.1,), "tokens"),
        ("a tokenizer", ["a text"], (), "keep"),
        ("a tokenizer", ["a text"], (0.1, 1.5), "keep"),
    ],
)
def test_what_cannot_work_is_refused(
    tokenizer: str | None, corpus: list[str], keep: tuple[float, ...], named: str
) -> None:
    with pytest.raises(ConfigError, match=named):
        train_kv_distill(model_of("llama-gqa"), tokenizer and tokenizer_of(), corpus, keep, config=QUICK)


def test_a_recipe_trains_and_saves(tmp_path: Path) -> None:
    model = model_of("llama-gqa")
    model.save_pretrained(tmp_path / "model")
    tokenizer_of().save_pretrained(tmp_path / "model")
    (tmp_path / "en").mkdir()
    line = '{"id": "1", "text": "' + "the otter and the crane met near the river. " * 40 + '"}\n'
    (tmp_path / "en" / "a.jsonl").write_text(line)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        f'model = "{tmp_path / "model"}"\noutput = "{tmp_path / "out"}"\nkeep = [0.2]\n[texts]\nroot = "{tmp_path}"\n'
        "[train]\nsteps = 2\nlength = 64\nbatch = 1\nwidth = 8\nrank = 2\n"
    )
    folder = run_distill_recipe(load_distill_recipe(recipe))
    assert KVDistillAdapter.load(folder, model).card.training["keep"] == [0.2]
    recipe.write_text("keep = [0.2]\n")
    with pytest.raises(ConfigError, match="must name a model"):
        load_distill_recipe(recipe)
