"""Bytes of a compressed cache before anything is compressed, from a model's configuration; needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ctxshrink.economics._checks import check_number, check_whole
from ctxshrink.economics._model_config import ConfigLike, Layer, describe_layers, read_config
from ctxshrink.economics.kv import KVDtype, kv_bytes, users_per_gpu
from ctxshrink.errors import ConfigError

__all__ = ["KVEstimate", "estimate_kv"]

_ELEMENT: Final[dict[str, int]] = {"float32": 4, "float16": 2, "bfloat16": 2}
_GROUP: Final = 64
_SCALE: Final = 4
"""Bytes of a group's step and offset, 16 bits each."""
_PLACE: Final = 4
"""Bytes of an entry's position; as many of its score, while a later step may need that."""


@dataclass(frozen=True, slots=True)
class KVEstimate:
    """What a context takes, whole and compressed.

    Attributes:
        tokens: Tokens of the context.
        kept: Entries that each full-attention layer and head stores.
        nbytes_full: Bytes of the whole cache.
        nbytes: Bytes of the compressed one: keys, values, scales, positions.
        users_full: Contexts that fit on the GPU beside the weights, whole; None where that was not asked.
        users: The same, compressed.
    """

    tokens: int
    kept: int
    nbytes_full: int
    nbytes: int
    users_full: int | None = None
    users: int | None = None


def estimate_kv(
    config: ConfigLike,
    tokens: int,
    *,
    keep: float,
    quant: tuple[str | None, str | None] = (None, None),
    sink: int = 4,
    recent: int = 32,
    dtype: KVDtype = "bfloat16",
    memory_bytes: float | None = None,
    weights_bytes: float | None = None,
) -> KVEstimate:
    """What `KVCompressor` would store of a context, by its own formats.

    Args:
        config: As of `ctxshrink.economics.kv_bytes`.
        tokens: Tokens of the context.
        keep: Share that stays, in (0, 1].
        quant: What keys and values are stored as: None, "int8" or "int4".
        sink: First tokens, which stay exact.
        recent: Last tokens, likewise.
        dtype: Type of the model: float32, float16 or bfloat16.
        memory_bytes: Of the GPU; a tenth of it is left for activations.
        weights_bytes: Of the model's weights.

    Raises:
        ConfigError: A setting is out of range, the configuration lacks a field, or the weights do not fit.
    """
    tokens = check_whole(tokens, "tokens", 1)
    if not 0 < check_number(keep, "keep", "a share of the tokens") <= 1:
        raise ConfigError(f"keep must be in (0, 1], not {keep}")
    if dtype not in _ELEMENT:
        raise ConfigError(f"a model's type is one of {', '.join(_ELEMENT)}; got {dtype!r}")
    sink, recent = check_whole(sink, "sink", 0), check_whole(recent, "recent", 0)
    kept = min(tokens, max(1, round(keep * tokens), sink + recent))
    layers = [layer for layer in describe_layers(read_config(config)) if layer.stores]
    size = _ELEMENT[dtype]
    full = kv_bytes(config, tokens, dtype, latent=False)
    made = sum(_layer(layer, tokens, kept, sink, min(recent, kept), quant, size) for layer in layers)
    if memory_bytes is None or weights_bytes is None:
        return KVEstimate(tokens, kept, full, made)
    users = users_per_gpu(memory_bytes, weights_bytes, config, tokens, dtype=dtype, latent=False)
    return KVEstimate(tokens, kept, full, made, users, int((memory_bytes * 0.9 - weights_bytes) // made))


def _layer(
    layer: Layer, tokens: int, kept: int, sink: int, recent: int, quant: tuple[str | None, str | None], size: int
) -> int:
    width = layer.key_dim + layer.value_dim
    if layer.window is not None:
        return min(tokens, max(layer.window - 1, 0)) * layer.heads * (width * size + _PLACE)
    exact = min(kept, sink + recent)
    body = kept - exact
    dims = (layer.key_dim, layer.value_dim)
    packed = sum(
        _packed(body, dim, kind, size, keys=dim_is_key)
        for dim, kind, dim_is_key in zip(dims, quant, (True, False), strict=True)
    )
    return layer.heads * (exact * width * size + packed + kept * _PLACE + recent * _PLACE)


def _packed(count: int, dim: int, kind: str | None, size: int, *, keys: bool) -> int:
    """Bytes of the keys (groups along the tokens of a channel) or values (along the channels of a token) of a head."""
    if kind is None or not count:
        return count * dim * size
    codes = count * (dim if kind == "int8" else (dim + 1) // 2)
    along, across = (count, dim) if keys else (dim, count)
    return codes + max(1, round(along / _GROUP)) * across * _SCALE
