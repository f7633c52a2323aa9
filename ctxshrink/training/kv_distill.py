"""KV-Distill (arXiv 2503.10337): learns which tokens of a context to keep, for questions that are not known yet.

Two things are learned side by side, from a teacher that is the frozen model with its full cache:

- The *scorer* of each layer is regressed on the attention that the teacher's question tokens pay to the context. The
  divergence of the outputs is no good teacher for it: through a straight-through estimator it learns to keep tokens
  that attract no attention at all, which is safe and useless.
- The *conditional LoRA* on the tokens that are kept is trained on the forward and reverse KL divergence between the
  outputs with the full and with the compressed cache, at shares that are drawn anew for each step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from ctxshrink.errors import ConfigError
from ctxshrink.kv.adapter import Card, KVDistillAdapter
from ctxshrink.training.kv_lesson import DistillBatch, Lesson, answer, teach
from ctxshrink.training.optim import make_optimizers, set_rate
from ctxshrink.training.run import Progress, ignore

__all__ = ["BatchSource", "DistillBatch", "DistillConfig", "train_kv_distill"]

BatchSource = Callable[[int], DistillBatch]
"""Gives the batch of a step; the same step gives the same batch."""


@dataclass(frozen=True, slots=True)
class DistillConfig:
    """How to train.

    Attributes:
        steps: Optimizer steps.
        scorer_share: First share of the steps in which the scorers learn alone, in [0, 1].
        scorer_muon_lr: Peak learning rate of the scorers' matrices (Muon).
        scorer_adam_lr: Peak learning rate of the rest of the scorers (AdamW).
        lora_lr: Peak learning rate of the LoRA weights (AdamW).
        reverse: Weight of the reverse divergence; that of the forward one is 1 less this, in [0, 1].
        sink: First tokens of a context that are always kept.
        recent: Last tokens of a context that are always kept.
        width: Size of a new adapter's scorer states.
        pools: Pools of a new adapter's summary.
        rank: Of a new adapter's LoRA weights.
        seed: Of a new adapter's weights and of the shares to keep.
        length: Tokens of a context made of text.
        batch: Contexts of a step made of text.
        questions: Pieces of text that a context made of text is asked to go on with or to repeat.
    """

    steps: int = 1000
    scorer_share: float = 0.6
    scorer_muon_lr: float = 0.02
    scorer_adam_lr: float = 2e-3
    lora_lr: float = 1e-3
    reverse: float = 0.5
    sink: int = 1
    recent: int = 0
    width: int = 128
    pools: int = 2
    rank: int = 8
    seed: int = 0
    length: int = 512
    batch: int = 4
    questions: int = 4

    def __post_init__(self) -> None:
        if self.steps < 1 or not 0 <= self.scorer_share <= 1 or not 0 <= self.reverse <= 1:
            raise ConfigError("steps must be at least 1, scorer_share and reverse must lie in [0, 1]")
        if min(self.sink, self.recent) < 0 or min(self.length, self.batch, self.questions) < 1:
            raise ConfigError("sink and recent must be at least 0; length, batch and questions at least 1")


def train_kv_distill(
    model: Any,
    tokenizer: Any,
    corpus: Sequence[str] | BatchSource,
    keep: Sequence[float] = (0.02, 0.05, 0.1, 0.5),
    *,
    config: DistillConfig | None = None,
    start: KVDistillAdapter | None = None,
    report: Callable[[Progress], None] = ignore,
) -> KVDistillAdapter:
    """Trains an adapter for a frozen model.

    Args:
        model: A Hugging Face causal language model. It is not changed.
        tokenizer: Its tokenizer; None where the corpus gives token ids.
        corpus: Texts (their continuations and repetitions of their parts serve as questions), or a function that gives
            each step's contexts and questions.
        keep: Shares of the tokens that are kept; each step draws one. For a domain, go on from a trained adapter
            (`start`) with the domain's texts and small shares: (0.01, 0.02).
        config: How to train.
        start: An adapter to go on from; it is left as it is, and its sizes stay. None starts anew.
        report: Told about progress.

    Returns:
        The adapter, ready to be used as a selector.

    Raises:
        ConfigError: The settings or the corpus are no good, or `start` belongs to another model.
    """
    c = config or DistillConfig()
    if not keep or not all(0 < k <= 1 for k in keep):
        raise ConfigError(f"keep must name shares in (0, 1]; got {tuple(keep)}")
    source = corpus if callable(corpus) else _texts(tokenizer, corpus, c)
    adapter = KVDistillAdapter.new(model, width=c.width, pools=c.pools, rank=c.rank, seed=c.seed)
    if start is not None:
        start.check(model)
        adapter = KVDistillAdapter(start.card).to(model.device)
        adapter.load_state_dict(start.state_dict())
    adapter.requires_grad_(True)
    frozen = [p for p in model.parameters() if p.requires_grad]
    for p in frozen:
        p.requires_grad_(False)
    training = bool(model.training)
    model.eval()
    try:
        losses = _run(model, adapter, source, tuple(keep), c, report)
    finally:
        for p in frozen:
            p.requires_grad_(True)
        model.train(training)
    past = [dict(adapter.card.training)] if start is not None else []
    notes = {"config": asdict(c), "keep": list(keep), "losses": losses, "before": past}
    adapter.card = Card(adapter.card.fingerprint, adapter.card.sizes, notes)
    return adapter.requires_grad_(False)


def _run(
    model: Any, adapter: KVDistillAdapter, source: BatchSource, keep: tuple[float, ...], c: DistillConfig,
    report: Callable[[Progress], None],
) -> dict[str, float]:  # fmt: skip
    scorers: list[Any] = make_optimizers(adapter.scorers, c.scorer_muon_lr, c.scorer_adam_lr, 0.0)
    lora: Any = torch.optim.AdamW(adapter.loras.parameters(), lr=c.lora_lr, betas=(0.9, 0.99), weight_decay=0.0)
    shares = torch.Generator().manual_seed(c.seed)
    alone = round(c.steps * c.scorer_share)
    mean = {"scorer": math.nan, "kl": math.nan}
    tokens = 0
    for step in range(c.steps):
        set_rate(scorers, _rate(step, c.steps))
        set_rate([lora], _rate(step - alone, c.steps - alone))
        batch = source(step)
        lesson = teach(model, batch)
        loss = scorer = scorer_loss(adapter, lesson)
        share = keep[int(torch.randint(len(keep), (), generator=shares))]
        _follow(mean, "scorer", scorer)
        if step >= alone:
            logits = answer(model, adapter, lesson, share, sink=c.sink, recent=c.recent)
            kl = divergence(lesson.logits, logits, c.reverse)
            _follow(mean, "kl", kl)
            loss = loss + kl
        cast(Any, loss).backward()
        torch.nn.utils.clip_grad_norm_(adapter.parameters(), 1.0)
        for optimizer in (*scorers, lora):
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        tokens += batch.context_ids.numel()
        message = f"scorer {mean['scorer']:.3f}, KL {mean['kl']:.4f}"
        report(Progress(step + 1, tokens, 0.0, (step + 1) / c.steps, float(loss.detach()), message))
    return mean


def scorer_loss(adapter: KVDistillAdapter, lesson: Lesson) -> Tensor:
    """Cross entropy between the attention that questions paid to the tokens and the softmax of the scores, in nats.

    Mean over layers, heads and rows; its least value is the entropy of the attention, which is taken off.
    """
    losses: list[Tensor] = []
    for layer in lesson.layers:
        if layer.index not in lesson.attention or layer.index not in adapter.card.sizes.layers:
            continue
        target = lesson.attention[layer.index]
        guess = adapter.score(layer).masked_fill(~layer.real[:, None], -torch.inf).log_softmax(dim=-1)
        known = target > 0
        cross = torch.where(known, target * (target.clamp(min=1e-12).log() - guess.masked_fill(~known, 0.0)), 0.0)
        losses.append(cross.sum(-1).mean())
    return torch.stack(losses).mean()


def divergence(teacher: Tensor, student: Tensor, reverse: float = 0.5) -> Tensor:
    """Weighted mean of forward and reverse KL divergence of two tensors of logits, (…, vocabulary), in nats."""
    p, q = teacher.float().log_softmax(-1), student.float().log_softmax(-1)
    forward = F.kl_div(q, p, reduction="none", log_target=True).sum(-1).mean()
    backward = F.kl_div(p, q, reduction="none", log_target=True).sum(-1).mean()
    return (1 - reverse) * forward + reverse * backward


def _rate(step: int, steps: int) -> float:
    """A short linear rise, then a cosine to a twentieth; 0 before the first step."""
    if step < 0:
        return 0.0
    rise = min(1.0, (step + 1) / max(1, steps // 50))
    return rise * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / max(1, steps))))


def _follow(mean: dict[str, float], name: str, value: Tensor) -> None:
    """Running mean over about the last 50 steps."""
    now = float(value.detach())
    mean[name] = now if math.isnan(mean[name]) else 0.98 * mean[name] + 0.02 * now


def _texts(tokenizer: Any, corpus: Sequence[str], c: DistillConfig) -> BatchSource:
    from ctxshrink.training.kv_texts import text_source

    return text_source(tokenizer, corpus, length=c.length, batch=c.batch, questions=c.questions, seed=c.seed)
