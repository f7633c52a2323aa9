"""What a KV cache's size depends on, read from Hugging Face model configurations of many kinds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias, cast, runtime_checkable

from ctxshrink.errors import ConfigError


@runtime_checkable
class _Config(Protocol):
    """What a configuration object of Transformers has."""

    def to_dict(self) -> dict[str, Any]: ...


ConfigLike: TypeAlias = _Config | Mapping[str, Any] | str | Path
Fields: TypeAlias = Mapping[str, Any]

_LAYERS: Final = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
_HEADS: Final = ("num_attention_heads", "n_head", "num_heads", "n_heads")
_KV_HEADS: Final = ("num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num", "kv_n_heads")
_HIDDEN: Final = ("hidden_size", "n_embd", "d_model")
_WINDOWED: Final = frozenset({"sliding_attention", "hybrid_sliding", "reference_sliding_attention"})
_FULL: Final = frozenset({"full_attention", "attention", "hybrid", "sparse", "dense"})
_NONE: Final = frozenset({"linear_attention", "conv", "mamba", "mamba2", "recurrent", "moe", "mlp"})
_FULL_EVERY: Final = {"gemma2": 2, "gemma3": 6, "gemma3_text": 6, "cohere2": 4}
"""Families whose older files do not name their layers: every n-th one has full attention."""


@dataclass(frozen=True, slots=True)
class Layer:
    """What one layer stores of each token.

    Attributes:
        heads: KV heads.
        key_dim: Elements of a key.
        value_dim: Elements of a value.
        window: Tokens of its sliding window; None for all.
        stores: False where it has no cache of its own.
    """

    heads: int
    key_dim: int
    value_dim: int
    window: int | None = None
    stores: bool = True


def read_config(config: ConfigLike) -> Fields:
    """The fields of a language model's configuration; of a model of several kinds of input, the text part's.

    Raises:
        ConfigError: It is of another type, or the file cannot be read.
    """
    if isinstance(config, str | Path):
        path = Path(config)
        path = path / "config.json" if path.is_dir() else path
        try:
            value: object = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror or error}; name a model's folder") from error
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{path}: not valid JSON: {error}") from error
    else:
        value = config.to_dict() if isinstance(config, _Config) else config
    if not isinstance(value, Mapping):
        raise ConfigError(f"config must be a model's configuration, its dict or its folder; got {type(value).__name__}")
    fields = cast("Fields", value)
    for part in ("text_config", "llm_config", "language_config"):
        inner = fields.get(part)
        if isinstance(inner, Mapping) and _first(cast("Fields", inner), _LAYERS) is not None:
            return cast("Fields", inner)
    return fields


def latent_width(fields: Fields) -> int | None:
    """Elements that multi-head latent attention stores of a token (DeepSeek-V2, section 2.1); None without it."""
    rank, rope = fields.get("kv_lora_rank"), fields.get("qk_rope_head_dim")
    return rank + rope if isinstance(rank, int) and isinstance(rope, int) and rank > 0 else None


def describe_layers(fields: Fields) -> list[Layer]:
    """What each layer stores.

    Raises:
        ConfigError: A field is missing or of another type, or a layer is of an unknown kind.
    """
    count = _need(fields, _LAYERS, "layers")
    types = _types(fields, count)
    if len(types) != count:
        raise ConfigError(f"the configuration names {len(types)} layer types for {count} layers")
    shared = _count(fields, "num_kv_shared_layers")
    overrides = _overrides(fields.get("per_layer_config"))
    layers: list[Layer] = []
    for index, kind in enumerate(types):
        own = {**fields, **overrides.get(index, {})}
        stores = kind not in _NONE and index < count - shared
        heads, key_dim, value_dim = _heads(own)
        layers.append(Layer(heads, key_dim, value_dim, _window(own, kind), stores))
    return layers


def _types(fields: Fields, count: int) -> Sequence[str]:
    """The kind of each layer, as recent files name them."""
    named = fields.get("layer_types") or fields.get("layers_block_type")
    if isinstance(named, Sequence) and not isinstance(named, str):
        return [str(kind) for kind in cast("Sequence[object]", named)]
    period = fields.get("attn_layer_period")
    if isinstance(period, int) and period > 0:  # Jamba
        offset = _count(fields, "attn_layer_offset")
        return ["attention" if i % period == offset else "mamba" for i in range(count)]
    if isinstance(fields.get("sliding_window"), int) and fields.get("use_sliding_window", True):
        pattern = fields.get("sliding_window_pattern") or fields.get("_sliding_window_pattern")
        every = pattern if isinstance(pattern, int) else _FULL_EVERY.get(str(fields.get("model_type")))
        if every:
            return ["sliding_attention" if (i + 1) % every else "full_attention" for i in range(count)]
        # Only Qwen's files say whether the window is in use, and from which layer on.
        first = fields.get("max_window_layers") if "use_sliding_window" in fields else 0
        first = first if isinstance(first, int) else 0
        return ["full_attention" if i < first else "sliding_attention" for i in range(count)]
    chunked = isinstance(fields.get("attention_chunk_size"), int)
    return ["chunked_attention" if chunked else "full_attention"] * count


def _window(fields: Fields, kind: str) -> int | None:
    if kind in _WINDOWED:
        return _need(fields, ("sliding_window",), "tokens of its sliding windows")
    if kind == "chunked_attention":
        return _need(fields, ("attention_chunk_size",), "tokens of its chunks")
    if kind in _FULL or kind in _NONE:
        return None
    raise ConfigError(
        f"layers of the type {kind!r} are not known: what they store cannot be told from the configuration"
    )


def _heads(fields: Fields) -> tuple[int, int, int]:
    """KV heads, and the sizes of a key and a value."""
    heads = _need(fields, _HEADS, "attention heads")
    if latent_width(fields) is not None:  # the full keys and values, see `kv_bytes`
        nope = _need(fields, ("qk_nope_head_dim",), "elements of a key")
        key = nope + _need(fields, ("qk_rope_head_dim",), "elements of a rotary key")
        return heads, key, _need(fields, ("v_head_dim",), "elements of a value")
    own = fields.get("head_dim")
    if not isinstance(own, int):
        hidden = _need(fields, _HIDDEN, "elements of a hidden state")
        own = hidden // heads
    own = _positive(own, "head_dim")
    return _kv_heads(fields, heads), own, own


def _kv_heads(fields: Fields, heads: int) -> int:
    if fields.get("multi_query") is True and not fields.get("new_decoder_architecture"):
        return 1  # Falcon's first models and GPTBigCode, whatever else their files say
    inner = fields.get("attn_config")
    found = _first(fields, _KV_HEADS)
    if found is None and isinstance(inner, Mapping):  # MPT, DBRX
        found = _first(cast("Fields", inner), _KV_HEADS)
    return heads if found is None else _positive(found[1], found[0])


def _overrides(value: object) -> dict[int, Fields]:
    """Fields of single layers, by index."""
    if not isinstance(value, Mapping):
        return {}
    rows = cast("Mapping[Any, Any]", value)
    return {int(i): row for i, row in rows.items() if str(i).isdecimal() and isinstance(row, Mapping)}


def _first(fields: Fields, names: Sequence[str]) -> tuple[str, Any] | None:
    return next(((name, fields[name]) for name in names if fields.get(name) is not None), None)


def _need(fields: Fields, names: Sequence[str], what: str) -> int:
    found = _first(fields, names)
    if found is None:
        raise ConfigError(f"the configuration does not say how many {what} the model has: it needs {names[0]!r}")
    return _positive(found[1], found[0])


def _count(fields: Fields, name: str) -> int:
    """A field that may be missing or 0."""
    value = fields.get(name)
    return 0 if value is None or value == 0 else _positive(value, name)


def _positive(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{name} in the configuration must be a positive whole number; got {value!r}")
    return value
