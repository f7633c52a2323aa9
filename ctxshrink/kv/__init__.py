"""KV caches of local Hugging Face models: read a context once, keep what matters, answer from it.

Needs the extra ``kv`` (torch, transformers, safetensors).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ctxshrink._lazy import lazy
from ctxshrink.errors import MissingExtraError

if TYPE_CHECKING:
    from ctxshrink.kv.adapter import KVDistillAdapter
    from ctxshrink.kv.compressor import KVCompressor
    from ctxshrink.kv.context import CompressedContext
    from ctxshrink.kv.guardrail import KVGuardrail
    from ctxshrink.kv.kvpress import from_kvpress
    from ctxshrink.kv.latent import LatentEncoder
    from ctxshrink.kv.policy import AgePolicy
    from ctxshrink.kv.pool import ContextPool
    from ctxshrink.kv.selectors import SELECTORS
    from ctxshrink.kv.types import KVReport, KVVerdict, LayerInput, Selector

__all__ = [
    "SELECTORS",
    "AgePolicy",
    "CompressedContext",
    "ContextPool",
    "KVCompressor",
    "KVDistillAdapter",
    "KVGuardrail",
    "KVReport",
    "KVVerdict",
    "LatentEncoder",
    "LayerInput",
    "Selector",
    "from_kvpress",
]

_HOMES = {
    "adapter": ["KVDistillAdapter"],
    "compressor": ["KVCompressor"],
    "context": ["CompressedContext"],
    "guardrail": ["KVGuardrail"],
    "kvpress": ["from_kvpress"],
    "latent": ["LatentEncoder"],
    "policy": ["AgePolicy"],
    "pool": ["ContextPool"],
    "selectors": ["SELECTORS"],
    "types": ["KVReport", "KVVerdict", "LayerInput", "Selector"],
}
_found = lazy(__name__, _HOMES)


def __getattr__(name: str) -> Any:
    try:
        return _found(name)
    except ImportError as error:
        if (error.name or "").partition(".")[0] in ("torch", "transformers", "safetensors"):
            raise MissingExtraError("the KV level", "kv") from error
        raise
