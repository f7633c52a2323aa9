"""Trains a latent encoder: a frozen model is to answer from a few vectors as it answers from its full cache."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ctxshrink.errors import ConfigError
from ctxshrink.kv.latent import LatentCard, LatentEncoder
from ctxshrink.training.kv_distill import BatchSource, divergence
from ctxshrink.training.kv_lesson import ask_behind, teach
from ctxshrink.training.run import Progress, ignore

__all__ = ["LatentConfig", "latent_losses", "told_again", "train_kv_latent"]


@dataclass(frozen=True, slots=True)
class LatentConfig:
    """How to train.

    Attributes:
        steps: Optimizer steps.
        lr: Peak learning rate (AdamW).
        repeat: Weight of telling the context's own tokens from its vectors, beside the divergence of the answers.
        width: Size of the network's inner layer; None is four times the hidden size.
        seed: Of the weights.
    """

    steps: int = 1000
    lr: float = 2e-3
    repeat: float = 0.1
    width: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.lr <= 0 or self.repeat < 0:
            raise ConfigError("steps must be at least 1, lr positive and repeat at least 0")


def train_kv_latent(
    model: Any,
    source: BatchSource,
    window: int,
    *,
    config: LatentConfig | None = None,
    report: Callable[[Progress], None] = ignore,
) -> LatentEncoder:
    """Trains an encoder for a frozen model.

    Two losses are added: the divergence of the answers from those of the full cache (as for KV-Distill), and the cross
    entropy of the context's tokens when the model reads them behind the vectors (reconstruction).

    Args:
        model: A Hugging Face causal language model. It is not changed.
        source: Gives each step's contexts and questions.
        window: Tokens that become one vector.
        config: How to train.
        report: Told about progress.

    Raises:
        ConfigError: The settings are no good.
    """
    c = config or LatentConfig()
    encoder = LatentEncoder.new(model, window, width=c.width, seed=c.seed)
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=c.lr, betas=(0.9, 0.99), weight_decay=0.0)
    learning = [p for p in model.parameters() if p.requires_grad]
    for p in learning:
        p.requires_grad_(False)
    losses: dict[str, float] = {}
    try:
        for step in range(c.steps):
            for group in optimizer.param_groups:
                group["lr"] = c.lr * min(1.0, (step + 1) / 20) * 0.5 * (1 + math.cos(math.pi * step / c.steps))
            batch = source(step)
            answers, repeats = latent_losses(model, encoder, batch, repeat=c.repeat > 0)
            loss = answers + c.repeat * repeats
            loss.backward()  # pyright: ignore[reportUnknownMemberType]
            torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
            optimizer.step()  # pyright: ignore[reportUnknownMemberType]
            optimizer.zero_grad(set_to_none=True)
            losses = {"kl": float(answers.detach()), "repeat": float(repeats.detach())}
            message = f"KL {losses['kl']:.4f}, reconstruction {losses['repeat']:.3f} nats per token"
            tokens = (step + 1) * batch.context_ids.numel()
            report(Progress(step + 1, tokens, 0.0, (step + 1) / c.steps, float(loss.detach()), message))
    finally:
        for p in learning:
            p.requires_grad_(True)
    card = encoder.card
    training = {"config": asdict(c), "losses": losses}
    encoder.card = LatentCard(card.fingerprint, card.window, card.hidden, card.width, training)
    return encoder.requires_grad_(False)


def latent_losses(model: Any, encoder: LatentEncoder, batch: Any, *, repeat: bool = True) -> tuple[Tensor, Tensor]:
    """Divergence of the answers and cross entropy of the context told again, both in nats per token.

    Args:
        model: The frozen model.
        encoder: What is trained.
        batch: A `DistillBatch`.
        repeat: Whether the second is computed; 0 where not.
    """
    from transformers import DynamicCache

    ids = batch.context_ids.to(model.device)
    lesson = teach(model, batch)
    with torch.no_grad():
        embeddings = model.get_input_embeddings()(ids)
        hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    vectors = encoder.encode(embeddings, hidden)
    cache = DynamicCache(config=model.config)
    model.base_model(inputs_embeds=vectors, past_key_values=cache, use_cache=True)
    answers = divergence(lesson.logits, ask_behind(model, batch, cache, vectors.shape[1]))
    if not repeat:
        return answers, torch.zeros_like(answers)
    told = told_again(model, vectors, ids)
    return answers, F.cross_entropy(told.float().flatten(0, 1), ids.flatten())


def told_again(model: Any, vectors: Tensor, ids: Tensor) -> Tensor:
    """Logits of a context's own tokens behind its vectors, each with the true tokens before it.

    Args:
        model: The model.
        vectors: Shape (B, m, hidden size).
        ids: The tokens, shape (B, n).

    Returns:
        Shape (B, n, vocabulary): entry i predicts token i.
    """
    before = model.get_input_embeddings()(ids[:, :-1])
    read = torch.cat([vectors, before], dim=1)
    return model(inputs_embeds=read, use_cache=False).logits[:, vectors.shape[1] - 1 :]
