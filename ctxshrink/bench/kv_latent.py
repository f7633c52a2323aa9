"""Latent contexts on the needle task: what is left of questions and text when N tokens become one vector."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from rich.console import Console

from ctxshrink.kv.latent import LatentEncoder
from ctxshrink.training.kv_latent import LatentConfig, told_again, train_kv_latent
from ctxshrink.training.needle import NeedleTask, needle_batch
from ctxshrink.training.needle_distill import needle_source
from ctxshrink.training.run import Progress

from .kv_needle import Outcome, Setting, measure
from .report import number, table
from .stats import mean

WINDOWS: Final = (4, 8, 16)
TRAINING_SEED: Final = 9_000
"""Of the contexts that are trained on; those that are measured have others."""
BATCH: Final = 8
"""Contexts of a step (of short ones twice as many), and those of a seed that are told again."""


@dataclass(frozen=True, slots=True)
class Latent:
    """One window size, or a selector that keeps as many entries.

    Attributes:
        method: "latent-16x", say, or the selector's name.
        window: Tokens for each entry that is stored.
        accuracy: Share of the answers that are right.
        kl: From the full cache on the tokens of questions and answers, nats per token.
        nbytes: Bytes of a context.
        told: Share of the context's tokens that the model tells right behind the vectors, each with the true tokens
            before it; NaN for selectors.
        chance: The same without any context before the tokens.
        steps: Training steps of the encoder.
    """

    method: str
    window: int
    accuracy: float
    kl: float
    nbytes: float
    told: float
    chance: float
    steps: int


def compare(
    model: Any,
    task: NeedleTask,
    selectors: Mapping[str, Any],
    setting: Setting,
    *,
    steps: int = 150,
    windows: Sequence[int] = WINDOWS,
    step: Callable[[str], None] = lambda _: None,
) -> list[Latent]:
    """Trains an encoder for each window and measures it beside selectors that store as many entries.

    The first encoder learns which tokens count, and each goes on from the one before it.

    Args:
        model: A needle model.
        task: Its task.
        selectors: By name; trained adapters.
        setting: Seeds and contexts that are measured; its shares are not used.
        steps: Training steps of each encoder's network; before the first, twice as many of the tokens' weights.
        windows: Tokens for one entry.
        step: Called as it goes on.
    """
    out: list[Latent] = []
    encoder: LatentEncoder | None = None
    for window in windows:
        encoder = _trained(model, task, window, steps, encoder, step)
        one = replace(setting, keeps=(1 / window,))
        found = list(measure(model, {"needle": task}, {encoder.name: encoder, **selectors}, one, step=step))
        for method in (encoder.name, *selectors):
            own = [o for o in found if o.method == method]
            told = float("nan"), float("nan")
            if method == encoder.name:
                told = _told(model, encoder, task, setting.seeds)
            out.append(_row(method, window, own, told, steps if method == encoder.name else 0))
    return out


def _row(method: str, window: int, outcomes: Sequence[Outcome], told: tuple[float, float], steps: int) -> Latent:
    accuracy = mean([mean([float(r) for r in o.right]) for o in outcomes])
    kl, nbytes = mean([o.kl for o in outcomes]), mean([o.nbytes for o in outcomes])
    return Latent(method, window, accuracy, kl, nbytes, *told, steps)


def _trained(
    model: Any, task: NeedleTask, window: int, steps: int, start: LatentEncoder | None, step: Callable[[str], None]
) -> LatentEncoder:
    def told(report: Progress) -> None:
        step(f"latent {window}x: {report.message}")

    config = LatentConfig(steps=steps, scorer_steps=2 * steps)
    source = needle_source(task, batch=BATCH, seed=TRAINING_SEED + window, dense_steps=0 if start else 2 * steps)
    return train_kv_latent(model, source, window, config=config, start=start, report=told)


@torch.no_grad()
def _told(model: Any, encoder: LatentEncoder, task: NeedleTask, seeds: Sequence[int]) -> tuple[float, float]:
    """Share of tokens told again with the vectors and without anything."""
    with_, without = list[float](), list[float]()
    for seed in seeds:
        ids = torch.from_numpy(needle_batch(task, seed, BATCH).context_ids).to(model.device)  # pyright: ignore[reportUnknownMemberType]
        vectors = encoder.vectors(model, ids)
        right = told_again(model, vectors, ids).argmax(-1) == ids
        with_.append(float(right[:, 1:].float().mean()))
        plain = model(input_ids=ids).logits[:, :-1].argmax(-1) == ids[:, 1:]
        without.append(float(plain.float().mean()))
    return mean(with_), mean(without)


def show_latent(rows: Sequence[Latent], out: Console) -> None:
    """The table."""
    shown = table(
        "Latent contexts beside selectors that store as many entries (needle task)",
        ["method", "tokens an entry", "answers right", "KL", "bytes", "tokens told again", "without context", "steps"],
    )
    for r in rows:
        shown.add_row(
            r.method, str(r.window), number(r.accuracy), number(r.kl), f"{r.nbytes:,.0f}", number(r.told),
            number(r.chance), str(r.steps) if r.steps else "",
        )  # fmt: skip
    out.print(shown)
