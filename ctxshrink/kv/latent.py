"""Latent contexts (experimental): every N tokens become one input vector, and the model reads those in their place.

After latent context language models (arXiv 2606.09659): windows of an encoder's hidden states are averaged and mapped
by a small network to the decoder's input embeddings. Here the encoder is the model itself, which stays frozen; what is
trained is the network (`ctxshrink.training.kv_latent`). Nothing that comes out is verbatim, and 16 tokens in one vector
lose much: measure before use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ctxshrink.errors import ConfigError
from ctxshrink.kv._trained import load_trained, save_trained
from ctxshrink.kv.fingerprint import fingerprint

__all__ = ["LatentCard", "LatentEncoder"]

_WEIGHTS = "latent.safetensors"


@dataclass(frozen=True, slots=True)
class LatentCard:
    """What a latent encoder is made of and where it comes from.

    Attributes:
        fingerprint: The model that it was trained for (`ctxshrink.kv.fingerprint`).
        window: Tokens that become one vector.
        hidden: Size of the model's hidden states.
        width: Size of the network's inner layer.
        training: How it was trained: settings and final losses.
    """

    fingerprint: str
    window: int
    hidden: int
    width: int
    training: Mapping[str, Any] = field(default_factory=dict[str, Any])


class LatentEncoder(nn.Module):
    """Maps hidden states of a context to fewer input vectors; a value of ``KVCompressor(select=…)``.

    Args:
        card: What it is made of. New weights give the mean of the input embeddings that the model itself would read.
        seed: Of the weights.
    """

    def __init__(self, card: LatentCard, seed: int = 0) -> None:
        super().__init__()
        self.card = card
        with cast(Any, torch.random).fork_rng(devices=[]):
            cast(Any, torch).manual_seed(seed)
            self.norm = nn.LayerNorm(2 * card.hidden)
            self.up = nn.Linear(2 * card.hidden, card.width)
            self.down = nn.Linear(card.width, card.hidden)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    @classmethod
    def new(cls, model: Any, window: int = 16, *, width: int | None = None, seed: int = 0) -> LatentEncoder:
        """An untrained encoder for a model, on its device.

        Args:
            model: A Hugging Face causal language model.
            window: Tokens that become one vector, at least 2.
            width: Size of the inner layer; None is four times that of the hidden states.
            seed: Of the weights.

        Raises:
            ConfigError: The window or the width is too small.
        """
        hidden = int(model.config.hidden_size)
        width = 4 * hidden if width is None else width
        if window < 2 or width < 1:
            raise ConfigError(f"window ({window}) must be at least 2, and width ({width}) at least 1")
        return cls(LatentCard(fingerprint(model), window, hidden, width), seed).to(model.device)

    @property
    def name(self) -> str:
        """For reports."""
        return f"latent-{self.card.window}x"

    def encode(self, embeddings: Tensor, hidden: Tensor) -> Tensor:
        """Input vectors for the model, one for each window; the last window may be shorter.

        Args:
            embeddings: Input embeddings of the tokens, shape (B, n, hidden size).
            hidden: Their last hidden states, same shape.

        Returns:
            Shape (B, ceil(n / window), hidden size), in the type of the embeddings.
        """
        words, states = self._pooled(embeddings.float()), self._pooled(hidden.float())
        change = self.down(F.gelu(self.up(self.norm(torch.cat([words, states], dim=-1)))))
        return (words + change).to(embeddings.dtype)

    def _pooled(self, x: Tensor) -> Tensor:
        n, window = x.shape[1], self.card.window
        missing = -n % window
        summed = cast(Tensor, cast(Any, F.pad(x, (0, 0, 0, missing))).unflatten(1, (-1, window)).sum(2))
        sizes = torch.full((summed.shape[1],), window, device=x.device)
        sizes[-1] -= missing
        return summed / sizes[:, None]

    def check(self, model: Any) -> None:
        """Refuses a model that this encoder was not trained for.

        Raises:
            ConfigError: It is another one.
        """
        if fingerprint(model) != self.card.fingerprint:
            raise ConfigError("the latent encoder was trained for another model, or for this one in another type")

    def save(self, folder: str | Path) -> None:
        """Writes weights (16 bits) and card into a folder, which is made if need be."""
        save_trained(self, folder, asdict(self.card), _WEIGHTS)

    @classmethod
    def load(cls, folder: str | Path, model: Any) -> LatentEncoder:
        """Reads what `save` wrote.

        Raises:
            ConfigError: There is no latent encoder there, or it belongs to another model.
            ModelError: The files are damaged or of another format.
        """

        def make(card: Mapping[str, Any]) -> LatentEncoder:
            encoder = cls(LatentCard(**card))
            encoder.check(model)
            return encoder

        return load_trained(folder, _WEIGHTS, "latent encoder", make).to(model.device).requires_grad_(False)
