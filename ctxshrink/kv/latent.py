"""Latent contexts (experimental): every N tokens become one input vector, and the model reads those in their place.

After latent context language models (arXiv 2606.09659): windows of an encoder's hidden states are averaged and mapped
by a small network to the decoder's input embeddings. Here the encoder is the model itself, which stays frozen: its
hidden states behind one of its first layers, where a token already knows the one before it, but is not yet turned into
a prediction. Trained are the network and, unless the average is to be plain, each token's weight in its window
(`ctxshrink.training.kv_latent`). Nothing that comes out is verbatim, and a window in which two facts are asked about
keeps one of them: measure before use, and take KV-Distill where its bytes are as few.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ctxshrink.errors import ConfigError
from ctxshrink.kv._adapter_layers import TokenScorer
from ctxshrink.kv._trained import load_trained, save_trained
from ctxshrink.kv.fingerprint import fingerprint

__all__ = ["LatentCard", "LatentEncoder"]

_WEIGHTS = "latent.safetensors"
_SCORER = 128, 2
"""Width and pools of the scorer: KV-Distill's defaults."""
_SHARPNESS = 3.0
"""Power of the weights before training: the scorer's own leave half of an average to the many tokens of no use."""


@dataclass(frozen=True, slots=True)
class LatentCard:
    """What a latent encoder is made of and where it comes from.

    Attributes:
        fingerprint: The model that it was trained for (`ctxshrink.kv.fingerprint`).
        window: Tokens that become one vector.
        hidden: Size of the model's hidden states.
        width: Size of the network's inner layer.
        layer: Number of the model's layers behind which the hidden states are taken; 0 takes the input embeddings.
        weighted: Whether tokens have learned weights in the average of their window.
        training: How it was trained: settings and final losses.
    """

    fingerprint: str
    window: int
    hidden: int
    width: int
    layer: int = 1
    weighted: bool = True
    training: Mapping[str, Any] = field(default_factory=dict[str, Any])


class LatentEncoder(nn.Module):
    """Makes fewer input vectors of a context; a value of ``KVCompressor(select=…)``.

    Args:
        card: What it is made of. New weights give a mean of each window's hidden states, with
            random weights of the tokens where it has any.
        seed: Of the weights.
    """

    def __init__(self, card: LatentCard, seed: int = 0) -> None:
        super().__init__()
        self.card = card
        with cast(Any, torch.random).fork_rng(devices=[]):
            cast(Any, torch).manual_seed(seed)
            self.scorer = TokenScorer(card.hidden, 1, *_SCORER) if card.weighted else None
            self.sharpness = nn.Parameter(torch.tensor(_SHARPNESS))
            self.straight = nn.Linear(card.hidden, card.hidden, bias=False)
            self.norm = nn.LayerNorm(card.hidden)
            self.up = nn.Linear(card.hidden, card.width)
            self.down = nn.Linear(card.width, card.hidden)
        nn.init.eye_(self.straight.weight)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    @classmethod
    def new(
        cls,
        model: Any,
        window: int = 16,
        *,
        width: int | None = None,
        layer: int = 1,
        weighted: bool = True,
        seed: int = 0,
    ) -> LatentEncoder:
        """An untrained encoder for a model, on its device.

        Args:
            model: A Hugging Face causal language model.
            window: Tokens that become one vector, at least 2.
            width: Size of the inner layer; None is four times that of the hidden states.
            layer: Number of layers behind which the hidden states are taken, at most those of the model.
            weighted: Whether tokens get learned weights in the average of their window.
            seed: Of the weights.

        Raises:
            ConfigError: The window, the width or the layer is out of range.
        """
        hidden, layers = int(model.config.hidden_size), int(model.config.num_hidden_layers)
        width = 4 * hidden if width is None else width
        _check(window)
        if width < 1:
            raise ConfigError(f"width ({width}) must be at least 1")
        if not 0 <= layer <= layers:
            raise ConfigError(f"layer ({layer}) must be 0 to {layers}, the layers of the model")
        return cls(LatentCard(fingerprint(model), window, hidden, width, layer, weighted), seed).to(model.device)

    @property
    def name(self) -> str:
        """For reports."""
        return f"latent-{self.card.window}x"

    def resized(self, window: int) -> LatentEncoder:
        """A copy for another window: no weight depends on it, so that training can go from small windows to large.

        Args:
            window: Tokens that become one vector, at least 2.

        Raises:
            ConfigError: The window is too small.
        """
        _check(window)
        made = LatentEncoder(replace(self.card, window=window))
        made.load_state_dict(self.state_dict())
        return made.to(self.down.weight.device)

    def vectors(self, model: Any, ids: Tensor) -> Tensor:
        """Input vectors in place of tokens.

        Args:
            model: The model.
            ids: Token ids without padding, shape (B, n).

        Returns:
            As `encode`, in the model's type.
        """
        return self.encode(self.states(model, ids))

    @torch.no_grad()
    def states(self, model: Any, ids: Tensor, cache: Any = None) -> Tensor:
        """The model's hidden states that are averaged, shape (B, n, hidden size), without gradients.

        Args:
            model: The model.
            ids: Token ids without padding, shape (B, n).
            cache: An empty cache that is filled on the way.
        """
        out = model.base_model(
            input_ids=ids.to(model.device), past_key_values=cache, use_cache=cache is not None,
            output_hidden_states=True,
        )  # fmt: skip
        return cast(Tensor, out.hidden_states[self.card.layer])

    def scores(self, states: Tensor) -> Tensor:
        """How much questions will attend to each token, float32, shape (B, n), of hidden states (B, n, hidden size).

        A token's weight in its window is the exponential of the score times `sharpness`.
        """
        if self.scorer is None:
            return torch.zeros(states.shape[:2], device=states.device)
        real = torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)
        return self.scorer(_even(states.float()), real)[:, 0]

    def encode(self, states: Tensor) -> Tensor:
        """Input vectors for the model, one for each window; the last window may be shorter.

        Args:
            states: Hidden states of the tokens (`states`), shape (B, n, hidden size).

        Returns:
            Shape (B, ceil(n / window), hidden size), in the type of the states.
        """
        window = self.card.window
        missing = -states.shape[1] % window
        scores = F.pad(self.sharpness * self.scores(states), (0, missing), value=-torch.inf)
        shares = cast(Any, scores).unflatten(1, (-1, window)).softmax(-1)
        windows = cast(Any, F.pad(states.float(), (0, 0, 0, missing))).unflatten(1, (-1, window))
        pooled = cast(Tensor, (shares[:, :, None] @ windows)[:, :, 0])
        change = self.down(F.gelu(self.up(self.norm(_even(pooled)))))
        return (self.straight(pooled) + change).to(states.dtype)

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


def _check(window: int) -> None:
    if window < 2:
        raise ConfigError(f"window ({window}) must be at least 2: tokens that become one vector")


def _even(x: Tensor) -> Tensor:
    """Vectors of mean 0 and variance 1: layers differ much in the size of their states."""
    return F.layer_norm(x, x.shape[-1:])
