"""The needle model's recipe: it learns from its start, it is deterministic, and it reads its configuration."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import ctxshrink.training
from ctxshrink.errors import ConfigError
from ctxshrink.training.kv_recipe import load_distill_recipe
from ctxshrink.training.needle import ASK, NeedleTask, needle_batch
from ctxshrink.training.needle_distill import needle_source
from ctxshrink.training.needle_model import (
    NeedleConfig,
    NeedleTrainConfig,
    build_model,
    load_needle_config,
    sequences,
    shortened,
    train_needle_model,
)

CONFIGS = Path(next(iter(ctxshrink.training.__path__))) / "configs"
TASK = NeedleTask(length=34, facts=2, distractors=8, questions=2, topics=4, words=8)
TRAIN = NeedleTrainConfig(lengths=(26, 34), batches=(12, 12), steps=(2, 38), questions=8, span=8)


def recipe(folder: Path, **changes: object) -> NeedleConfig:
    return NeedleConfig(output=str(folder), task=TASK, train=replace(TRAIN, **changes))  # type: ignore[arg-type]


def test_it_learns_to_answer_within_a_few_steps(tmp_path: Path) -> None:
    losses: list[float] = []
    folder = train_needle_model(recipe(tmp_path, repeats=0.0), lambda p: losses.append(p.loss))
    assert len(losses) == 40
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])
    assert NeedleTask(**json.loads((folder / "needle.json").read_text())) == TASK


def test_the_same_recipe_gives_the_same_model(tmp_path: Path) -> None:
    short = {"lengths": (34,), "batches": (2,), "steps": (3,), "repeats": 0.5}
    one, two = (train_needle_model(recipe(tmp_path / name, **short)) for name in ("one", "two"))
    assert (one / "model.safetensors").read_bytes() == (two / "model.safetensors").read_bytes()


def test_the_start_looks_at_the_token_before() -> None:
    model = build_model(NeedleConfig())
    model.set_attn_implementation("eager")
    ids = torch.tensor(needle_batch(NeedleTask(), 0, 1).context_ids[:, :64])
    with torch.no_grad():
        first = model(ids, output_attentions=True).attentions[0][0, 0]
    assert int((first.argmax(-1)[1:] == torch.arange(63)).sum()) > 50


def test_what_stands_behind_a_context_is_answered_by_it() -> None:
    rng = np.random.default_rng(0)
    ids, at = sequences(TASK, rng, 3, questions=4, span=8)
    assert ids.shape == (3, 34 + 8 + 3 * 4)
    questions = at[at >= 34 + 8]
    assert (ids[:, questions - 1] == ASK).all()
    for row in ids:
        for place in questions:
            [key] = np.flatnonzero(row[:34] == row[place])
            assert row[key + 1] == row[place + 1]
        starts = [s for s in range(34 - 8 + 1) if (row[s : s + 8] == row[34:42]).all()]
        assert starts
    assert list(at[at < 34 + 8]) == list(range(35, 41))  # predicts the span from its third token on


def test_short_contexts_for_a_start_are_tasks_too() -> None:
    for length in (26, 34, 66, 130, 258):
        assert shortened(NeedleTask(), length).length == length
    source = needle_source(NeedleTask(), batch=2, seed=1, dense_steps=1)
    assert source(0).context_ids.shape == (4, 130)
    assert source(1).context_ids.shape == (2, 512)
    assert source(1).question_ids.shape == (2, 16, 2)
    assert torch.equal(source(1).context_ids, source(1).context_ids)


def test_the_recipes_of_the_package_can_be_read() -> None:
    assert load_needle_config(CONFIGS / "needle.toml").task == NeedleTask()
    assert load_distill_recipe(CONFIGS / "kv-distill-needle.toml").train.steps == 1500
    domain = load_distill_recipe(CONFIGS / "kv-distill-domain.toml")
    assert domain.needle.domain
    assert domain.keep == (0.01, 0.02)


@pytest.mark.parametrize("changes", [{"steps": (1,)}, {"lengths": (26, 32)}, {"span": 40}])
def test_a_recipe_that_cannot_work_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"train\."):
        recipe(tmp_path, **changes)
