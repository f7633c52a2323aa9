"""Watching a model's attention layers while it reads: queries, keys, values and hidden states of each."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, cast
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from ctxshrink.errors import ModelError

__all__ = ["AttentionCall", "attention_modules", "observe"]


@dataclass(frozen=True, slots=True, eq=False)
class AttentionCall:
    """One call of one attention layer.

    Attributes:
        index: Number of the layer.
        queries: Rotated, shape (B, H, q, d).
        keys: Rotated, with those of the cache before them, shape (B, G, k, d).
        values: Likewise.
        mask: What the model adds to the dot products or masks them with, or None for plain causal attention.
        scaling: Factor of the dot products.
        hidden: What the layer reads, shape (B, q, hidden size).
        cos: Cosines of the rotary embedding, shape (B or 1, q, rotary size), or None.
        sin: Sines, likewise.
        module: The attention layer.
    """

    index: int
    queries: Tensor
    keys: Tensor
    values: Tensor
    mask: Tensor | None
    scaling: float
    hidden: Tensor
    cos: Tensor | None
    sin: Tensor | None
    module: nn.Module


Observer = Callable[[AttentionCall], None]


@dataclass(slots=True)
class _Watch:
    observer: Observer
    entered: dict[int, tuple[Tensor, Tensor | None, Tensor | None]]


_active: ContextVar[_Watch | None] = ContextVar("ctxshrink_kv_watch", default=None)
_lock = threading.Lock()
_users: WeakKeyDictionary[nn.Module, tuple[int, str]] = WeakKeyDictionary()


@contextmanager
def observe(model: Any, observer: Observer) -> Generator[None]:
    """Calls the observer for every attention layer that runs in this thread, before the attention is computed.

    The model's own attention implementation still computes; other threads may use the model meanwhile and are not
    observed.

    Args:
        model: A Hugging Face causal language model.
        observer: Called in the order of the layers. What it keeps is the live tensors.

    Raises:
        ModelError: The model computes attention in a way that cannot be observed.
    """
    with ExitStack() as undo:
        _switch_on(model)
        undo.callback(_switch_off, model)
        for module in attention_modules(model):
            undo.callback(module.register_forward_pre_hook(_enter, with_kwargs=True).remove)
        undo.callback(_active.reset, _active.set(_Watch(observer, {})))
        yield


def attention_modules(model: Any) -> list[nn.Module]:
    """The attention blocks of a model's decoder, in order of their layers.

    Raises:
        ModelError: There are none that look as Transformers' do.
    """
    found = {
        int(m.layer_idx): m
        for m in model.modules()
        if isinstance(getattr(m, "layer_idx", None), int) and "attention" in type(m).__name__.lower()
    }
    if not found:
        raise ModelError(
            f"{type(model).__name__} has no attention layers that can be watched: the KV level takes causal models of "
            "Hugging Face transformers such as Llama, Qwen and Mistral"
        )
    return [found[i] for i in sorted(found)]


def _enter(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    watch = _active.get()
    if watch is None:
        return
    hidden = kwargs.get("hidden_states", args[0] if args else None)
    cos, sin = kwargs.get("position_embeddings") or (None, None)
    watch.entered[cast(int, cast(Any, module).layer_idx)] = (cast(Tensor, hidden), cos, sin)


def _name(plain: str) -> str:
    return f"ctxshrink_{plain}"


def _switch_on(model: Any) -> None:
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    with _lock:
        users, plain = _users.get(model, (0, str(model.config._attn_implementation)))
        if not users:
            attention, masks = cast(Any, ALL_ATTENTION_FUNCTIONS), cast(Any, ALL_MASK_ATTENTION_FUNCTIONS)
            attention.register(_name(plain), _Observed(plain))
            masks.register(_name(plain), masks[plain])
            model.set_attn_implementation(_name(plain))
            if model.config._attn_implementation != _name(plain):
                raise ModelError(
                    f"the attention of {type(model).__name__} cannot be watched: it has no common interface"
                )
        _users[model] = (users + 1, plain)


def _switch_off(model: Any) -> None:
    with _lock:
        users, plain = _users[model]
        _users[model] = (users - 1, plain)
        if users == 1:
            model.set_attn_implementation(plain)
            del _users[model]


@dataclass(frozen=True)
class _Observed:
    """An attention implementation that tells the observer and passes on to the plain one."""

    plain: str

    def __call__(
        self, module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs: Any
    ) -> Any:
        watch = _active.get()
        if watch is not None and module.layer_idx in watch.entered:
            hidden, cos, sin = watch.entered.pop(module.layer_idx)
            scaling = kwargs.get("scaling")
            scaling = float(query.shape[-1] ** -0.5 if scaling is None else scaling)
            call = AttentionCall(module.layer_idx, query, key, value, attention_mask, scaling, hidden, cos, sin, module)
            watch.observer(call)
        return self._plain(module)(module, query, key, value, attention_mask, **kwargs)

    def _plain(self, module: Any) -> Any:
        from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

        eager = getattr(sys.modules[type(module).__module__], "eager_attention_forward", None)
        return cast(Any, ALL_ATTENTION_FUNCTIONS).get_interface(self.plain, eager)
