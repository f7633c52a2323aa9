"""Trains a latent encoder: a frozen model is to answer from a few vectors as it answers from its full cache.

The divergence of the answers alone teaches nothing for a long time when it starts from vectors that the model cannot
read: every answer is equally wrong. Two things give it a start. The vectors begin as averages of hidden states, not of
input embeddings: behind the first layers a token knows the one before it, which the average of embeddings loses. And
the tokens' weights in these averages are first regressed on the attention that the questions pay to them with the full
cache, as KV-Distill's scorers are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ctxshrink.errors import ConfigError
from ctxshrink.kv.latent import LatentEncoder
from ctxshrink.training.kv_distill import BatchSource, divergence
from ctxshrink.training.kv_lesson import DistillBatch, ask_behind, teach
from ctxshrink.training.optim import make_optimizers, set_rate
from ctxshrink.training.run import Progress, ignore

__all__ = ["LatentConfig", "latent_losses", "told_again", "train_kv_latent", "weight_loss"]


@dataclass(frozen=True, slots=True)
class LatentConfig:
    """How to train.

    Attributes:
        steps: Steps of the network.
        scorer_steps: Steps before them in which the tokens' weights are learned; none where the encoder has no weights
            or training goes on from another one.
        lr: Peak learning rate of the network's matrices (Muon).
        scorer_lr: Peak learning rate of the weights' matrices (Muon).
        adam_lr: Peak learning rate of all that is no matrix (AdamW).
        answers: Weight of the divergence of the answers.
        reverse: Weight of its reverse direction; that of the forward one is 1 less this, in [0, 1].
        repeat: Weight of telling a part of the context again from its vectors.
        span: Tokens of that part.
        width: Size of the network's inner layer; 0 is four times the hidden size.
        layer: Number of layers behind which the hidden states are averaged.
        weighted: Whether tokens get learned weights in the average of their window.
        seed: Of the weights and the parts.
    """

    steps: int = 150
    scorer_steps: int = 300
    lr: float = 0.01
    scorer_lr: float = 0.05
    adam_lr: float = 2e-3
    answers: float = 1.0
    reverse: float = 0.0
    repeat: float = 0.0
    span: int = 48
    width: int = 0
    layer: int = 1
    weighted: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.scorer_steps < 0 or min(self.lr, self.scorer_lr, self.adam_lr) <= 0:
            raise ConfigError("steps must be at least 1, scorer_steps at least 0 and learning rates positive")
        if min(self.answers, self.repeat) < 0 or not self.answers + self.repeat or not 0 <= self.reverse <= 1:
            raise ConfigError("answers and repeat must be at least 0, one of them positive; reverse must lie in [0, 1]")
        if self.span < 2:
            raise ConfigError(f"span must be at least 2; got {self.span}")


def train_kv_latent(
    model: Any,
    source: BatchSource,
    window: int,
    *,
    config: LatentConfig | None = None,
    start: LatentEncoder | None = None,
    report: Callable[[Progress], None] = ignore,
) -> LatentEncoder:
    """Trains an encoder for a frozen model.

    Args:
        model: A Hugging Face causal language model. It is not changed.
        source: Gives each step's contexts and questions, the steps of the weights counted first.
        window: Tokens that become one vector.
        config: How to train.
        start: An encoder to go on from, of this window or another one; it is left as it is.
        report: Told about progress.

    Raises:
        ConfigError: The settings are no good, or `start` belongs to another model.
    """
    c = config or LatentConfig()
    if start is None:
        encoder = LatentEncoder.new(
            model, window, width=c.width or None, layer=c.layer, weighted=c.weighted, seed=c.seed
        )
    else:
        start.check(model)
        encoder = start.resized(window)
    encoder.requires_grad_(True)
    learning = [p for p in model.parameters() if p.requires_grad]
    for p in learning:
        p.requires_grad_(False)
    try:
        losses = _run(model, encoder, source, c, c.scorer_steps if start is None and c.weighted else 0, report)
    finally:
        for p in learning:
            p.requires_grad_(True)
    past = [] if start is None else [dict(start.card.training)]
    encoder.card = replace(encoder.card, training={"config": asdict(c), "losses": losses, "before": past})
    return encoder.requires_grad_(False)


def _run(
    model: Any, encoder: LatentEncoder, source: BatchSource, c: LatentConfig, first: int,
    report: Callable[[Progress], None],
) -> dict[str, float]:  # fmt: skip
    """Both phases; gives the last losses."""
    losses: dict[str, float] = {}
    draw, tokens, total = torch.Generator().manual_seed(c.seed), 0, first + c.steps
    scorer = encoder.scorer
    network = torch.nn.ModuleList([part for part in encoder.children() if part is not scorer])
    network.register_parameter("sharpness", encoder.sharpness)
    phases = [(0, first, scorer, c.scorer_lr), (first, total, network, c.lr)]
    for begin, end, part, lr in phases:
        if part is None or begin == end:
            continue
        encoder.requires_grad_(False)
        part.requires_grad_(True)
        optimizers = make_optimizers(part, lr, c.adam_lr, 0.0)
        for step in range(begin, end):
            set_rate(optimizers, _rate(step - begin, end - begin))
            batch = source(step)
            if part is scorer:
                loss = weight_loss(model, encoder, batch)
                losses["weights"] = float(loss.detach())
            else:
                answers, repeats = latent_losses(
                    model, encoder, batch, reverse=c.reverse, answers=c.answers > 0,
                    part=_part(batch, c.span, draw) if c.repeat else None,
                )  # fmt: skip
                loss = c.answers * answers + c.repeat * repeats
                losses |= {"kl": float(answers.detach()), "repeat": float(repeats.detach())}
            loss.backward()  # pyright: ignore[reportUnknownMemberType]
            torch.nn.utils.clip_grad_norm_(part.parameters(), 1.0)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            tokens += batch.context_ids.numel()
            message = ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
            report(Progress(step + 1, tokens, 0.0, (step + 1) / total, float(loss.detach()), message))
    return losses


def weight_loss(model: Any, encoder: LatentEncoder, batch: DistillBatch) -> Tensor:
    """Divergence of the tokens' weights from the attention that the questions pay to them, in nats.

    The attention is that of the full cache, mean over the heads and layers that lie behind the hidden states which the
    encoder averages (over all layers where none does).
    """
    paid = teach(model, batch).attention
    behind = [x.mean(1) for index, x in paid.items() if index >= encoder.card.layer]
    target = torch.stack(behind or [x.mean(1) for x in paid.values()]).mean(0)
    guess = encoder.scores(encoder.states(model, batch.context_ids)).log_softmax(-1)
    return F.kl_div(guess, target, reduction="none").sum(-1).mean()


def latent_losses(
    model: Any, encoder: LatentEncoder, batch: DistillBatch, *, reverse: float = 0.0, answers: bool = True,
    part: tuple[int, int] | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Divergence of the answers and cross entropy of a part of the context told again, both in nats per token.

    Args:
        model: The frozen model.
        encoder: What is trained.
        batch: Contexts and questions.
        reverse: Weight of the reverse direction of the divergence.
        answers: Whether the first is computed; 0 where not.
        part: First token and the one behind the last of what is told again; 0 where None.
    """
    from transformers import DynamicCache

    ids = batch.context_ids.to(model.device)
    full = DynamicCache(config=model.config)
    vectors = encoder.encode(encoder.states(model, ids, full))
    divergent = repeats = vectors.new_zeros(())
    if answers:
        with torch.no_grad():
            teacher = ask_behind(model, batch, full, ids.shape[1])
        cache = DynamicCache(config=model.config)
        model.base_model(inputs_embeds=vectors, past_key_values=cache, use_cache=True)
        divergent = divergence(teacher, ask_behind(model, batch, cache, vectors.shape[1]), reverse)
    if part is not None:
        told = ids[:, slice(*part)]
        # Where the part begins is not said: its first token is given.
        logits = told_again(model, vectors, told)[:, 1:]
        repeats = F.cross_entropy(logits.float().flatten(0, 1), told[:, 1:].flatten())
    return divergent, repeats


def told_again(model: Any, vectors: Tensor, ids: Tensor) -> Tensor:
    """Logits of a context's own tokens behind its vectors, each with the true tokens before it.

    Args:
        model: The model.
        vectors: Shape (B, m, hidden size).
        ids: The tokens, or some of them that follow each other, shape (B, n).

    Returns:
        Shape (B, n, vocabulary): entry i predicts token i.
    """
    before = model.get_input_embeddings()(ids[:, :-1])
    read = torch.cat([vectors, before], dim=1)
    return model(inputs_embeds=read, use_cache=False).logits[:, vectors.shape[1] - 1 :]


def _part(batch: DistillBatch, span: int, draw: torch.Generator) -> tuple[int, int]:
    n = batch.context_ids.shape[1]
    first = int(torch.randint(max(0, n - span) + 1, (), generator=draw))
    return first, min(n, first + span)


def _rate(step: int, steps: int) -> float:
    """A short linear rise, then a cosine to a twentieth."""
    return min(1.0, (step + 1) / 20) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / steps)))
