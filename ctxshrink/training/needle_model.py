"""Trains the base model of the needle task: a Llama of some 400,000 weights that answers from long contexts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctxshrink.errors import ConfigError
from ctxshrink.training.config import read_recipe
from ctxshrink.training.needle import NeedleTask, needle_batch
from ctxshrink.training.run import Progress, ignore
from ctxshrink.training.scorer import import_torch

__all__ = ["NeedleConfig", "build_model", "load_needle_config", "train_needle_model"]


@dataclass(frozen=True, slots=True)
class NeedleModelConfig:
    """A Llama model with tied embeddings. Names and meanings are those of Hugging Face's ``LlamaConfig``."""

    num_hidden_layers: int = 3
    hidden_size: int = 128
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    intermediate_size: int = 192
    max_position_embeddings: int = 2048
    rope_theta: float = 500000.0


@dataclass(frozen=True, slots=True)
class NeedleTrainConfig:
    """How to train.

    Attributes:
        lengths: Context lengths in order of use; the task's own is the last.
        batches: Contexts of a step at each length.
        steps: Steps at each length.
        questions: Most questions behind a context.
        repeats: Share of the steps in which a part of the context stands behind it and is to be repeated, in [0, 1].
        span: Tokens of that part.
        decay: Last share of the steps, in which the learning rate falls to 0.
        muon_lr: Peak learning rate of the hidden matrices (Muon).
        adam_lr: Peak learning rate of embeddings and norms (AdamW).
        weight_decay: Decoupled decay of the hidden matrices, times the learning rate.
        clip: Largest norm of the gradient.
        seed: Of the weights and the contexts.
    """

    lengths: tuple[int, ...] = (34, 66, 130, 258, 512)
    batches: tuple[int, ...] = (32, 24, 16, 8, 8)
    steps: tuple[int, ...] = (120, 80, 100, 150, 550)
    questions: int = 48
    repeats: float = 0.3
    span: int = 24
    decay: float = 0.4
    muon_lr: float = 0.02
    adam_lr: float = 0.004
    weight_decay: float = 0.01
    clip: float = 1.0
    seed: int = 1


@dataclass(frozen=True, slots=True)
class NeedleConfig:
    """The recipe.

    Attributes:
        output: Folder that the model goes to, as Hugging Face saves it, with ``needle.json``, the task.
        task: What contexts look like.
        model: The model's sizes.
        train: How to train.
    """

    output: str = "needle"
    task: NeedleTask = field(default_factory=NeedleTask)
    model: NeedleModelConfig = NeedleModelConfig()
    train: NeedleTrainConfig = field(default_factory=NeedleTrainConfig)

    def __post_init__(self) -> None:
        t = self.train
        if not len(t.lengths) == len(t.batches) == len(t.steps) > 0:
            raise ConfigError("train.lengths, train.batches and train.steps must be of equal length, at least 1")
        if t.lengths[-1] != self.task.length or min(t.lengths) < max(18, t.span + 2):
            raise ConfigError(
                f"train.lengths must end with task.length ({self.task.length}) and be at least 18 and train.span + 2"
            )


def load_needle_config(path: str | Path) -> NeedleConfig:
    """Reads a recipe: a TOML file with ``output`` and the tables ``task``, ``model`` and ``train``.

    Raises:
        ConfigError: The file is missing, is not TOML, or has an unknown key or a value of the wrong type.
    """
    return read_recipe(path, NeedleConfig)


def build_model(config: NeedleConfig) -> Any:
    """An untrained model (see `ctxshrink.training.needle_start`)."""
    torch = import_torch()
    from transformers import LlamaConfig, LlamaForCausalLM

    from ctxshrink.training.needle_start import induction_start

    m = asdict(config.model)
    rope = {"rope_type": "default", "rope_theta": m.pop("rope_theta")}
    settings = LlamaConfig(
        **m, vocab_size=config.task.vocab_size, rope_parameters=rope, tie_word_embeddings=True, bos_token_id=0,
        eos_token_id=None, pad_token_id=None,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.train.seed)
        model = LlamaForCausalLM(settings)
    induction_start(model, config.train.seed)
    return model


def train_needle_model(config: NeedleConfig, report: Callable[[Progress], None] = ignore) -> Path:
    """Trains the model and saves it.

    Questions are asked about all facts, distractors too: the model itself must not know what will be asked about.

    Returns:
        The folder.
    """
    torch = import_torch()
    from ctxshrink.training.optim import make_optimizers, set_rate

    t = config.train
    model = build_model(config)
    optimizers = make_optimizers(model, t.muon_lr, t.adam_lr, t.weight_decay)
    rng = np.random.default_rng(t.seed)
    total, step, tokens, right, start = sum(t.steps), 0, 0, 0.0, time.monotonic()
    for length, count, steps in zip(t.lengths, t.batches, t.steps, strict=True):
        task = shortened(config.task, length)
        for _ in range(steps):
            span = t.span if rng.random() < t.repeats else 0
            ids, at = (torch.as_tensor(x) for x in sequences(task, rng, count, questions=t.questions, span=span))
            set_rate(optimizers, min(1.0, (step + 1) / 50, (total - step) / max(1.0, t.decay * total)))
            hidden = model.model(input_ids=ids).last_hidden_state[:, at]
            logits, wanted = model.lm_head(hidden).flatten(0, 1), ids[:, at + 1].flatten()
            loss = torch.nn.functional.cross_entropy(logits, wanted)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), t.clip)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            step, tokens = step + 1, tokens + ids.numel()
            right = 0.95 * right + 0.05 * float((logits.argmax(-1) == wanted).float().mean())
            message = f"{length} tokens: loss {float(loss.detach()):.3f}, right {right:.3f}"
            report(Progress(step, tokens, time.monotonic() - start, step / total, float(loss.detach()), message))
    return save_model(model.eval(), config)


def save_model(model: Any, config: NeedleConfig) -> Path:
    """Writes the model in float16, and the task; returns the folder."""
    torch = import_torch()

    folder = Path(config.output)
    model.to(torch.float16).save_pretrained(folder)
    (folder / "needle.json").write_text(json.dumps(asdict(config.task), indent=2) + "\n", encoding="utf-8")
    return folder


def shortened(task: NeedleTask, length: int) -> NeedleTask:
    """The task in a shorter context, where up to half of the places hold facts."""
    if length == task.length:
        return task
    pairs = (length - 2) // 2
    facts = max(2, min(task.facts, pairs // 16))
    return replace(task, length=length, facts=facts, questions=facts, distractors=min(task.distractors, pairs // 2))


def sequences(
    task: NeedleTask, rng: np.random.Generator, count: int, *, questions: int, span: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Contexts with questions and answers behind them.

    Args:
        task: What the contexts look like.
        rng: Draws.
        count: Contexts.
        questions: Most questions behind each, about any facts.
        span: Tokens of the context that stand again between context and questions.

    Returns:
        Token ids, (count, tokens), and the places whose next token is to be predicted, (places,): answers, and the
        span's tokens but for the first two.
    """
    batch = needle_batch(replace(task, questions=task.facts), int(rng.integers(1 << 62)), count)
    asked = np.concatenate([batch.question_ids, batch.distractor_ids], 1)
    answers = np.concatenate([batch.answers, batch.distractor_answers], 1)
    chosen = np.argsort(rng.random(answers.shape), 1)[:, :questions]
    tail = np.concatenate([asked, answers[..., None]], -1)[np.arange(count)[:, None], chosen].reshape(count, -1)
    start = rng.integers(2, task.length - span + 1, (count, 1))
    again = np.take_along_axis(batch.context_ids, start + np.arange(span), 1)
    ids = np.concatenate([batch.context_ids, again, tail], 1)
    behind = task.length + span
    repeated = np.arange(task.length + 1, behind - 1, dtype=np.int64)
    return ids, np.concatenate([repeated, np.arange(behind + 1, ids.shape[1], 3, dtype=np.int64)])
