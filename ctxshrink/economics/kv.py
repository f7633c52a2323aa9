"""Memory: bytes of a KV cache, from a model's Hugging Face configuration, and the users that fit beside its weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from ctxshrink.economics._checks import check_number, check_whole
from ctxshrink.economics._model_config import ConfigLike, Layer, describe_layers, latent_width, read_config
from ctxshrink.errors import ConfigError

KVDtype: TypeAlias = Literal["float32", "float16", "bfloat16", "fp8", "int8", "int4", "int2"]
_BITS: Final[dict[str, int]] = {
    "float32": 32,
    "float16": 16,
    "bfloat16": 16,
    "fp8": 8,
    "int8": 8,
    "int4": 4,
    "int2": 2,
}
_GROUPED: Final = frozenset({"int8", "int4", "int2"})


@dataclass(frozen=True, slots=True)
class Quantization:
    """What a quantized cache stores beside its integers.

    Attributes:
        group_size: Elements that share a scale; 64 is usual (KIVI, Liu et al. 2024, section 3).
        scale_bytes: Bytes of each group's scale and zero point together: 4 for two of 16 bits, 2 for a scale alone.
        residual_tokens: Newest tokens that stay in 16 bits; 128 in Transformers' quantized caches.
    """

    group_size: int = 64
    scale_bytes: int = 4
    residual_tokens: int = 0

    def __post_init__(self) -> None:
        for name, least in (("group_size", 1), ("scale_bytes", 0), ("residual_tokens", 0)):
            check_whole(getattr(self, name), name, least)


def kv_bytes(
    config: ConfigLike,
    tokens: int,
    dtype: KVDtype = "bfloat16",
    *,
    batch: int = 1,
    quantization: Quantization = Quantization(),
    latent: bool = True,
) -> int:
    """Bytes of the KV cache of some tokens.

    Layers x KV heads x head size x 2 (keys and values) x bytes of an element x tokens, where KV heads are as many as
    attention heads (MHA), fewer (GQA) or one (MQA). A layer with a sliding window of W stores the newest W - 1 tokens,
    as Transformers' ``DynamicCache`` does after a forward pass (a server with pages may hold a page more); a layer
    without attention (convolution, linear attention, Mamba) has a state of constant size, which is not counted; a layer
    that reuses another's cache stores nothing. Falcon models with ``new_decoder_architecture`` are counted as servers
    store them; Transformers repeats their KV heads for all attention heads first.

    Args:
        config: A Hugging Face configuration object, its dict, or a folder with (or the path of) ``config.json``.
        tokens: Tokens of each sequence.
        dtype: What elements are stored as. The integers also need scales, see ``quantization``; ``fp8`` is one byte
            with one scale for a whole tensor, which is not counted.
        batch: Sequences.
        quantization: For the integer types.
        latent: Only for models with multi-head latent attention (DeepSeek-V2 and later: ``kv_lora_rank``).
            True: a latent vector and a rotary key per token and layer, ``kv_lora_rank + qk_rope_head_dim`` elements,
            which is what servers (vLLM, SGLang) and recent releases of Transformers store. False: full keys and values
            of all heads, as Transformers 4 stores them.

    Raises:
        ConfigError: The configuration lacks a field, has layers of an unknown kind, or an argument is out of range.
    """
    if dtype not in _BITS:
        raise ConfigError(f"dtype must be one of {', '.join(_BITS)}; got {dtype!r}")
    tokens, batch = check_whole(tokens, "tokens", 0), check_whole(batch, "batch", 0)
    fields = read_config(config)
    width = latent_width(fields)
    layers = describe_layers(fields)
    if width is not None and latent:
        layers = [Layer(1, width, 0, layer.window, layer.stores) for layer in layers]
    return batch * sum(_layer_bytes(layer, tokens, dtype, quantization) for layer in layers if layer.stores)


def users_per_gpu(
    memory_bytes: float,
    weights_bytes: float,
    config: ConfigLike,
    tokens_per_user: int,
    *,
    dtype: KVDtype = "bfloat16",
    reserve: float = 0.1,
    quantization: Quantization = Quantization(),
    latent: bool = True,
) -> int:
    """Users whose KV caches fit on a GPU at once, beside the model's weights.

    Args:
        memory_bytes: Memory of the GPU (or of all GPUs that share the model).
        weights_bytes: Of the model's weights.
        config: As in `kv_bytes`.
        tokens_per_user: Tokens of a user's context, answer included.
        dtype: As in `kv_bytes`.
        reserve: Share of the memory that is left for activations and the runtime, in [0, 1); servers usually keep 0.1.
        quantization: As in `kv_bytes`.
        latent: As in `kv_bytes`.

    Returns:
        Whole users; 0 where not even one fits.

    Raises:
        ConfigError: The weights alone do not fit, or a user has no tokens, or as in `kv_bytes`.
    """
    memory = check_number(memory_bytes, "memory_bytes", "bytes of the GPU", positive=True)
    weights = check_number(weights_bytes, "weights_bytes", "bytes of the weights")
    if not 0 <= check_number(reserve, "reserve", "a share of the memory") < 1:
        raise ConfigError(f"reserve must be a share in [0, 1); got {reserve!r}")
    free = memory * (1 - reserve) - weights
    if free <= 0:
        raise ConfigError(
            f"the weights ({weights / 2**30:.1f} GiB) do not fit in {memory / 2**30:.1f} GiB with a reserve of "
            f"{reserve:.0%}: give more memory, or the weights of a quantized model"
        )
    check_whole(tokens_per_user, "tokens_per_user", 1)
    each = kv_bytes(config, tokens_per_user, dtype, quantization=quantization, latent=latent)
    if not each:
        raise ConfigError("this model has no layer with a KV cache: the number of users is not bound by it")
    return int(free // each)


def _layer_bytes(layer: Layer, tokens: int, dtype: str, quantization: Quantization) -> int:
    stored = tokens if layer.window is None else min(tokens, max(layer.window - 1, 0))
    per_token = layer.heads * (layer.key_dim + layer.value_dim)
    if dtype not in _GROUPED:
        return stored * per_token * _BITS[dtype] // 8
    residual = min(stored, quantization.residual_tokens)
    packed = (stored - residual) * per_token
    groups = math.ceil(packed / quantization.group_size)
    return math.ceil(packed * _BITS[dtype] / 8) + groups * quantization.scale_bytes + residual * per_token * 2
