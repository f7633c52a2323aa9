"""Muon for the hidden matrices, AdamW for the rest.

Muon (Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks") orthogonalizes the momentum of each
matrix. It is reported there to need fewer tokens than AdamW for the same loss; that was not measured here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def orthogonalize(g: Tensor, steps: int = 5) -> Tensor:
    """The nearest semi-orthogonal matrix to ``g``, roughly: quintic Newton-Schulz with Muon's coefficients."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x: Tensor = g / g.square().sum().sqrt().add(1e-7)
    x = x.bfloat16()  # the coefficients themselves are coarser than that
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.t()
    for _ in range(steps):
        s = x @ x.t()
        x = a * x + (b * s + c * (s @ s)) @ x
    return (x.t() if tall else x).to(g.dtype)


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalized, for 2-D parameters.

    Args:
        params: Matrices.
        lr: Learning rate; before it an update has singular values of about 1, times sqrt(rows / columns) if that is
            more than 1.
        momentum: Nesterov momentum.
        weight_decay: Decoupled decay, times the learning rate.
    """

    def __init__(self, params: list[nn.Parameter], lr: float, momentum: float = 0.95, weight_decay: float = 0.0):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update from the gradients."""
        for group in self.param_groups:
            momentum: float = group["momentum"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if "m" not in state:
                    state["m"] = torch.zeros_like(p)
                m: Tensor = state["m"]
                m.lerp_(p.grad, 1 - momentum)
                update = orthogonalize(p.grad.lerp(m, momentum))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(update, alpha=-group["lr"] * max(1.0, p.shape[0] / p.shape[1]) ** 0.5)


def make_optimizers(
    model: nn.Module, muon_lr: float, adam_lr: float, weight_decay: float
) -> list[torch.optim.Optimizer]:
    """Muon over the matrices inside the blocks, AdamW over embeddings and norms."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    adam = torch.optim.AdamW(others, lr=adam_lr, betas=(0.9, 0.95), eps=1e-10, weight_decay=0.0)
    return [Muon(matrices, muon_lr, weight_decay=weight_decay), adam]


def set_rate(optimizers: list[torch.optim.Optimizer], factor: float) -> None:
    """Sets every learning rate to ``factor`` times its peak."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group.setdefault("peak", group["lr"]) * factor
