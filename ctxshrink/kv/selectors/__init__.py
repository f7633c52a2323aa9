"""Which tokens of a context are worth keeping, without training: selectors by name.

Each is a small file of its own and says which paper it is from and what was simplified.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

from torch import Tensor

from ctxshrink.errors import ConfigError
from ctxshrink.kv.selectors.expected import ExpectedAttention
from ctxshrink.kv.selectors.h2o import H2O
from ctxshrink.kv.selectors.keydiff import KeyDiff
from ctxshrink.kv.selectors.knorm import Knorm
from ctxshrink.kv.selectors.kvzip import KVzip
from ctxshrink.kv.selectors.random import Random
from ctxshrink.kv.selectors.snapkv import SnapKV
from ctxshrink.kv.selectors.streaming import Streaming
from ctxshrink.kv.selectors.tova import TOVA
from ctxshrink.kv.types import ContextSelector, LayerInput, Selector

__all__ = [
    "H2O",
    "SELECTORS",
    "TOVA",
    "ExpectedAttention",
    "KVzip",
    "KeyDiff",
    "Knorm",
    "Random",
    "SnapKV",
    "Streaming",
    "resolve_selector",
]

SELECTORS: dict[str, Callable[[], Selector | ContextSelector]] = {
    "h2o": H2O,
    "snapkv": SnapKV,
    "tova": TOVA,
    "streaming": Streaming,
    "knorm": Knorm,
    "keydiff": KeyDiff,
    "expected": ExpectedAttention,
    "kvzip": KVzip,
    "random": Random,
}
"""The selectors of this package, with their default settings, by name."""


@dataclass(frozen=True, slots=True)
class _Function:
    """A function as a selector."""

    name: str
    function: Callable[[LayerInput], Tensor]

    def score(self, layer: LayerInput, /) -> Tensor:
        """What the function says."""
        return self.function(layer)


def resolve_selector(which: Any, *, model: Any = None, tokenizer: Any = None) -> Selector | ContextSelector:
    """A selector by name, or what was given, as one.

    Args:
        which: A name of `SELECTORS`; a selector; a kvpress press; or a function of a `LayerInput` that returns scores
            of shape (B, G, n).
        model: The model, for presses that are set up from it.
        tokenizer: Its tokenizer, in which KVzip words its instruction where it has none of its own.

    Raises:
        ConfigError: No selector has this name, the object is none, or the press cannot be one.
    """
    from ctxshrink.kv.kvpress import from_kvpress, is_press  # it imports this package

    if isinstance(which, str):
        if which not in SELECTORS:
            raise ConfigError(f"unknown selector {which!r}; known: {', '.join(SELECTORS)}")
        which = SELECTORS[which]()
    if isinstance(which, type):
        raise ConfigError(f"a selector is an object, not the class {which.__name__}: write {which.__name__}()")
    if isinstance(which, KVzip):
        return replace(which, tokenizer=tokenizer) if which.tokenizer is None else which
    if is_press(which):  # before functions: a press can be called, with a model
        return from_kvpress(which, model)
    if isinstance(which, Selector | ContextSelector):
        return which
    if callable(which):
        function = cast("Callable[[LayerInput], Tensor]", which)
        return _Function(str(getattr(function, "__name__", type(function).__name__)), function)
    raise ConfigError(
        f"a selector is a name ({', '.join(SELECTORS)}), an object with `name` and `score`, or a function of a layer's "
        f"input, not {which!r}"
    )
