"""Presses of the package kvpress as selectors.

Only the scoring of a press is used: which tokens stay, and how many, is settled here. kvpress is not imported: what has
a base class `ScorerPress` and its methods will do.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor

from ctxshrink.errors import ConfigError
from ctxshrink.kv.selectors._attention import attention, first_place
from ctxshrink.kv.types import LayerInput, Selector

__all__ = ["from_kvpress", "is_press"]


def is_press(given: Any) -> bool:
    """Whether an object looks like a press of kvpress, of whatever kind."""
    return not isinstance(given, type) and all(callable(getattr(given, x, None)) for x in ("compress", "forward_hook"))


def from_kvpress(press: Any, model: Any = None, *, attentions: bool = False) -> Selector:
    """A selector that ranks tokens by a press's `score`.

    Args:
        press: An object of a subclass of kvpress's `ScorerPress`. Its `compression_ratio` is not used.
        model: The model, for presses that read something from it first, or that rotate queries themselves.
        attentions: Whether `score` is given the attention weights of all queries, H × n² numbers for each layer
            (ObservedAttentionPress asks for them). Otherwise it is given None.

    Raises:
        ConfigError: The press does not score tokens one by one, so it cannot rank them here.
    """
    kind = cast("type[Any]", type(press))
    name = kind.__name__
    if not is_press(press):
        raise ConfigError(f"{name} is no kvpress press: an object of a subclass of its ScorerPress is needed")
    scorer: Any = next((base for base in kind.__mro__ if base.__name__ == "ScorerPress"), None)
    if scorer is None:
        raise ConfigError(
            f"{name} is no ScorerPress: it masks keys in place, changes them, or wraps another press, while here "
            "tokens are ranked and the cache really becomes shorter. Give a press that scores, such as KeyDiffPress()"
        )
    if any(is_press(part) for part in _parts(press)):
        raise ConfigError(
            f"{name} wraps another press and ranks by the compression ratio, which is not its own here: give the press "
            "inside it"
        )
    if kind.compress is not scorer.compress:
        raise ConfigError(
            f"{name} decides itself how much each layer or head keeps, and here all keep equally many: give a press "
            "that only scores"
        )
    if model is not None and callable(getattr(press, "post_init_from_model", None)):
        press.post_init_from_model(model)
    rotary = getattr(getattr(model, "base_model", None), "rotary_emb", None)
    return _Press(name, press, rotary, attentions)


def _parts(press: Any) -> list[Any]:
    parts: list[Any] = []
    for held in cast("dict[str, Any]", vars(press)).values():
        parts += cast("list[Any]", held) if isinstance(held, list | tuple) else [held]
    return parts


@dataclass(frozen=True, slots=True)
class _Press:
    """A press as a selector."""

    name: str
    press: Any
    rotary: Any
    attentions: bool

    def score(self, layer: LayerInput, /) -> Tensor:
        """The press's scores, shape (B, G, n). Presses know no padding: rows that have some are scored alone."""
        if bool(layer.real.all()):
            return self._scored(layer)
        scores = torch.zeros(layer.keys.shape[:3], device=layer.keys.device)
        for row, skip in enumerate(first_place(layer.real)):
            scores[row, :, int(skip) :] = self._scored(_cut(layer, row, int(skip)))[0]
        return scores

    def _scored(self, layer: LayerInput) -> Tensor:
        n = layer.keys.shape[2]
        # A press may ask the layer for the rotary embedding. A shallow copy gets it, so that the model stays as it is.
        module = copy.copy(layer.module)
        if self.rotary is not None:
            module.__dict__["rotary_emb"] = self.rotary
        kwargs = {
            "hidden_states": layer.hidden,
            "position_embeddings": (layer.cos, layer.sin),
            "cache_position": torch.arange(layer.before, layer.before + n, device=layer.keys.device),
        }
        weights = _weights(layer) if self.attentions else None
        try:
            scores = self.press.score(module, layer.hidden, layer.keys, layer.values, weights, kwargs)
        except AssertionError as error:  # how presses refuse: too few tokens, or no attention weights
            hint = "" if self.attentions else " (weights: from_kvpress(press, model, attentions=True))"
            told = str(error).partition("\n")[0]
            raise ConfigError(f"{self.name} refused a layer: {told}{hint}") from error
        except AttributeError as error:
            raise ConfigError(
                f"{self.name} asks for what it was not set up with ({error}): from_kvpress(press, model) sets it up"
            ) from error
        if not isinstance(scores, Tensor) or scores.shape != layer.keys.shape[:3]:
            raise ConfigError(f"{self.name} gave no scores of shape {tuple(layer.keys.shape[:3])}")
        return scores.float()


def _cut(layer: LayerInput, row: int, skip: int) -> LayerInput:
    one = slice(row, row + 1)

    def turns(x: Tensor | None) -> Tensor | None:
        return None if x is None else (x[one, skip:] if len(x) > 1 else x[:, skip:])

    return replace(
        layer, queries=layer.queries[one, :, skip:], keys=layer.keys[one, :, skip:], values=layer.values[one, :, skip:],
        hidden=layer.hidden[one, skip:], cos=turns(layer.cos), sin=turns(layer.sin), real=layer.real[one, skip:],
    )  # fmt: skip


def _weights(layer: LayerInput) -> Tensor:
    """All attention weights, float32, shape (B, H, n, n)."""
    batch, heads, n, _ = layer.queries.shape
    whole = torch.zeros(batch, heads, n, n, device=layer.keys.device)
    for few, weights in attention(layer.queries, layer.keys, layer.scaling):
        whole[:, :, few, : weights.shape[-1]] = weights.flatten(1, 2)
    return whole
