"""What every training run has: progress reports, a budget, checkpoints that survive a stop."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Progress:
    """One report from training.

    Attributes:
        step: Optimizer steps so far.
        tokens: Tokens seen.
        seconds: Seconds spent training, earlier runs included.
        fraction: Share of the budget used up, in [0, 1].
        loss: Mean nats since the last report.
        message: A line for people.
    """

    step: int
    tokens: int
    seconds: float
    fraction: float
    loss: float
    message: str


def ignore(_: Progress) -> None:
    """A listener for runs that nobody listens to."""
    return


def budget_used(*parts: tuple[float, float]) -> float:
    """Share of a budget used up, in [0, 1].

    Args:
        parts: (spent, bound) each; a bound of 0 is none. The one used up first counts.
    """
    return min(1.0, max(spent / bound if bound else 0.0 for spent, bound in parts))


def save_checkpoint(path: Path, saved: Mapping[str, Any]) -> None:
    """Writes a checkpoint; a stop in the middle of writing leaves the earlier one whole."""
    import torch

    part = path.with_suffix(".part")
    torch.save(dict(saved), part)
    os.replace(part, path)
