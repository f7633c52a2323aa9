"""Trains the pruner: a sentence encoder that reads a passage once and meets the question late.

Passage and question go through the encoder apart, so that a passage is read once however many questions are asked.
`ctxshrink.training.matcher` has the losses. Weights are held near those they started from
(L2-SP, Li et al. 2018): the geometry of the base encoder is worth more than any small data set.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from ctxshrink.training.bert import load_bert, read_bert_config
from ctxshrink.training.encoder_export import export_encoder, read_tokenizer
from ctxshrink.training.matcher import Matcher
from ctxshrink.training.pruner_batches import Batch, Draws
from ctxshrink.training.pruner_config import PrunerConfig
from ctxshrink.training.pruner_data import PrunerData, build, read_rows
from ctxshrink.training.run import Progress, budget_used, ignore, save_checkpoint

REPORT_SECONDS = 10.0
"""Time between two reports."""
CALIBRATION = 8
"""Batches that the scales of the exported int8 arithmetic are taken from."""


@dataclass(slots=True)
class _State:
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0


def train(config: PrunerConfig, progress: Callable[[Progress], None] | None = None, *, export: bool = True) -> Path:
    """Runs the recipe: train, then export.

    Args:
        config: The recipe.
        progress: As in `train_pruner`.
        export: Write ``config.output`` at the end.

    Returns:
        The output folder, or the work folder without ``export``.

    Raises:
        MissingExtraError: A package for training is not installed.
        ConfigError: The base encoder or the data cannot be read.
    """
    checkpoint = train_pruner(config, progress)
    if not export:
        return Path(config.work)
    export_pruner(config, checkpoint)
    return Path(config.output)


def export_pruner(config: PrunerConfig, checkpoint: Path) -> None:
    """Writes the model folder ``config.output`` from a checkpoint; `CALIBRATION` batches of the data set the scales."""
    saved: Mapping[str, Tensor] = torch.load(checkpoint, map_location="cpu", weights_only=True)["model"]
    weights = {k.removeprefix("bert."): v.float().numpy() for k, v in saved.items() if k.startswith("bert.")}
    draws = Draws(read_data(config), config.train.windows, config.train.questions, config.train.seed)
    rows = [row for _ in range(CALIBRATION) for row in draws.next().ids]
    tokenizer, heads = Path(config.base) / "tokenizer.json", read_bert_config(Path(config.base)).num_attention_heads
    export_encoder(weights, Path(config.output), tokenizer, rows, "ctxshrink-pruner", heads=heads)


def train_pruner(config: PrunerConfig, progress: Callable[[Progress], None] | None = None) -> Path:
    """Trains until the budget is spent; returns the path of the last checkpoint.

    A run whose work folder holds a checkpoint goes on from it, with the batches that come next. Only a budget in steps
    is reproducible.

    Args:
        config: The recipe; `ctxshrink.training.pruner_config.load_pruner_config` reads one.
        progress: Called at the start, about every ten seconds and at the end.

    Raises:
        ConfigError: The base encoder or the data cannot be read.
    """
    t, work = config.train, Path(config.work)
    work.mkdir(parents=True, exist_ok=True)
    report = progress or ignore
    if t.threads:
        torch.set_num_threads(t.threads)
    data = read_data(config)
    report(Progress(0, 0, 0.0, 0.0, 0.0, f"{len(data.windows):,} windows, {len(data.questions):,} questions"))
    trainer = _Trainer(config)
    path = work / "checkpoint.pt"
    if path.exists():
        trainer.load(path)
    state = trainer.state
    draws = Draws(data, t.windows, t.questions, t.seed)
    for _ in range(state.step):
        draws.next()
    begun, saved, reported = time.monotonic() - state.seconds, time.monotonic(), time.monotonic()
    parts: list[dict[str, float]] = []
    while (done := trainer.done) < 1:
        parts.append(trainer.step(draws.next(), done))
        now = time.monotonic()
        state.seconds = now - begun
        if now - saved >= t.checkpoint_seconds:
            trainer.save(path)
            saved = now
        if now - reported >= REPORT_SECONDS:
            report(_report(state, done, parts))
            reported, parts = now, []
    trainer.save(path)
    report(Progress(state.step, state.tokens, state.seconds, 1.0, 0.0, f"trained: {state.tokens:,} tokens"))
    return path


class _Trainer:
    """The model, its optimizer and where they are."""

    def __init__(self, config: PrunerConfig) -> None:
        t = self._settings = config.train
        self.state = _State()
        self._model = Matcher(load_bert(Path(config.base), t.seed)).to(t.device)
        bert = self._model.bert
        self._held = [(p, p.detach().clone()) for n, p in bert.named_parameters() if not n.startswith("head.")]
        groups = [
            {"params": [p for p, _ in self._held], "peak": t.lr},
            {"params": list(bert.head.parameters()), "peak": 20 * t.lr},
            {"params": [self._model.scale], "peak": 200 * t.lr},
        ]
        self._optimizer = torch.optim.AdamW(groups, lr=t.lr, betas=(0.9, 0.98), weight_decay=0.0)

    @property
    def done(self) -> float:
        """Share of the budget used up."""
        t, state = self._settings, self.state
        return budget_used((state.step, t.steps), (state.seconds, t.seconds))

    def step(self, batch: Batch, done: float) -> dict[str, float]:
        t = self._settings
        rate = min(1.0, (done + 1e-3) / (t.warmup + 1e-3)) * (1 - done)
        for group in self._optimizer.param_groups:
            group["lr"] = group["peak"] * rate
        with torch.autocast(torch.device(t.device).type, torch.bfloat16, enabled=t.dtype == "bfloat16"):
            loss, parts = self._model.loss(batch, t.device)
        self._optimizer.zero_grad(set_to_none=True)
        cast(Any, loss).backward()
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), t.clip)
        cast(Any, self._optimizer).step()
        with torch.no_grad():
            for p, start in self._held:
                p.lerp_(start, min(1.0, t.lr * rate * t.hold))
        self.state.step += 1
        self.state.tokens += sum(map(len, batch.ids))
        return parts

    def save(self, path: Path) -> None:
        model, optimizer = self._model.state_dict(), self._optimizer.state_dict()
        save_checkpoint(path, {"model": model, "optimizer": optimizer, "state": asdict(self.state)})

    def load(self, path: Path) -> None:
        saved = torch.load(path, map_location=self._settings.device, weights_only=True)
        self._model.load_state_dict(saved["model"])
        self._optimizer.load_state_dict(saved["optimizer"])
        self.state = _State(**saved["state"])


def read_data(config: PrunerConfig) -> PrunerData:
    """Everything the recipe names, in windows."""
    tokenizer, special = read_tokenizer(Path(config.base) / "tokenizer.json")
    rows = read_rows(config.data.files, config.data.shares, config.data.languages)

    def encode(texts: Sequence[str]) -> list[Any]:
        return tokenizer.encode_batch(list(texts), add_special_tokens=False)

    return build(rows, encode, config.train.window, special)


def _report(state: _State, done: float, parts: Sequence[dict[str, float]]) -> Progress:
    means = {k: sum(p[k] for p in parts) / len(parts) for k in parts[0]}
    told = " ".join(f"{k} {v:.3f}" for k, v in means.items())
    line = f"step {state.step} {done:6.1%} {state.tokens / max(state.seconds, 1e-9):,.0f} tokens/s {told}"
    return Progress(state.step, state.tokens, state.seconds, done, means["unit"], line)
