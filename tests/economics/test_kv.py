from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink.economics import Quantization, kv_bytes, users_per_gpu
from ctxshrink.errors import ConfigError

SMALL = {"vocab_size": 50, "hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 4}
ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama, grouped": ("LlamaConfig", {**SMALL, "num_hidden_layers": 3, "num_key_value_heads": 2}),
    "gpt-2, all heads": ("GPT2Config", {"vocab_size": 50, "n_embd": 24, "n_layer": 2, "n_head": 3}),
    "falcon, one head": ("FalconConfig", {**SMALL, "num_hidden_layers": 2, "multi_query": True}),
    "bigcode, one head": (
        "GPTBigCodeConfig",
        {"vocab_size": 50, "n_embd": 24, "n_layer": 2, "n_head": 3, "multi_query": True},
    ),
    "qwen3, head size of its own": (
        "Qwen3Config",
        {**SMALL, "num_hidden_layers": 2, "num_key_value_heads": 2, "head_dim": 16},
    ),
    "mistral, window": (
        "MistralConfig",
        {**SMALL, "num_hidden_layers": 2, "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 16},
    ),
    "qwen2, window from a layer on": (
        "Qwen2Config",
        {
            **SMALL,
            "num_hidden_layers": 4,
            "num_key_value_heads": 2,
            "use_sliding_window": True,
            "sliding_window": 10,
            "max_window_layers": 3,
        },
    ),
    "gemma3, every sixth layer full": (
        "Gemma3TextConfig",
        {**SMALL, "num_hidden_layers": 7, "num_key_value_heads": 1, "head_dim": 8, "sliding_window": 12},
    ),
}
LLAMA = {"num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "hidden_size": 4096}


@pytest.mark.parametrize("tokens", [1, 23])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_estimate_is_the_bytes_of_a_real_cache(name: str, tokens: int, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    kind, settings = ARCHITECTURES[name]
    config = getattr(transformers, kind)(**settings)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    with torch.inference_mode():
        cache = transformers.DynamicCache(config=model.config)
        out = model(input_ids=torch.arange(tokens)[None] % 50, past_key_values=cache, use_cache=True)
    real = sum(layer.keys.nbytes + layer.values.nbytes for layer in out.past_key_values.layers)
    assert kv_bytes(config, tokens) == real
    assert kv_bytes(config.to_dict(), tokens, "float32") == 2 * real
    config.save_pretrained(tmp_path)
    assert kv_bytes(tmp_path, tokens) == kv_bytes(str(tmp_path / "config.json"), tokens) == real
    assert kv_bytes(config, tokens, batch=3) == 3 * real


def test_a_well_known_figure() -> None:
    # Eight KV heads of 128 in 32 layers: 128 KiB a token in 16 bits.
    assert kv_bytes(LLAMA, 1) == 128 * 1024
    assert kv_bytes(LLAMA, 0) == 0


def test_raw_files_that_name_no_layer_types() -> None:
    gemma = {**LLAMA, "num_hidden_layers": 4, "sliding_window": 11, "model_type": "gemma2"}
    full, windowed = 1000 * 4096, 10 * 4096
    assert kv_bytes(gemma, 1000) == 2 * full + 2 * windowed
    qwen = {**LLAMA, "num_hidden_layers": 4, "sliding_window": 11, "use_sliding_window": False}
    assert kv_bytes(qwen, 1000) == 4 * full
    jamba = {**LLAMA, "num_hidden_layers": 8, "attn_layer_period": 4, "attn_layer_offset": 1}
    assert kv_bytes(jamba, 1000) == 2 * full
    shared = {**LLAMA, "num_hidden_layers": 4, "num_kv_shared_layers": 3}
    assert kv_bytes(shared, 1000) == full
    vision = {"model_type": "seen", "text_config": LLAMA, "vision_config": {"num_hidden_layers": 2}}
    assert kv_bytes(vision, 10) == kv_bytes(LLAMA, 10)
    uneven = {**LLAMA, "num_hidden_layers": 2, "head_dim": 128, "per_layer_config": {"01": {"head_dim": 256}}}
    assert kv_bytes(uneven, 1000) == 3 * full


def test_latent_attention_stores_one_vector_or_everything() -> None:
    deep = {
        **LLAMA,
        "num_hidden_layers": 2,
        "kv_lora_rank": 512,
        "qk_rope_head_dim": 64,
        "qk_nope_head_dim": 128,
        "v_head_dim": 128,
    }
    assert kv_bytes(deep, 10) == 2 * 10 * 576 * 2
    assert kv_bytes(deep, 10, latent=False) == 2 * 10 * 32 * (192 + 128) * 2


@given(
    tokens=st.integers(0, 70),
    bits=st.sampled_from([8, 4, 2]),
    group=st.integers(1, 130),
    residual=st.integers(0, 30),
)
def test_a_quantized_cache_has_the_bytes_of_its_arrays(tokens: int, bits: int, group: int, residual: int) -> None:
    config = {"num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6}
    real = 0
    for _ in range(3):
        exact = np.zeros((2, 2, min(tokens, residual), 6), np.float16)
        codes = np.zeros((2, 2, tokens - exact.shape[2], 6), np.uint8).reshape(-1)
        packed = np.packbits(np.unpackbits(codes[:, None], axis=1)[:, -bits:].reshape(-1))
        scales = np.zeros((math.ceil(codes.size / group), 2), np.float16)
        real += exact.nbytes + packed.nbytes + scales.nbytes
    settings = Quantization(group_size=group, residual_tokens=residual)
    assert kv_bytes(config, tokens, f"int{bits}", quantization=settings) == real  # type: ignore[arg-type]


def test_users_are_those_whose_caches_fit_beside_the_weights() -> None:
    memory, weights = 80 * 2**30, 16 * 2**30
    users = users_per_gpu(memory, weights, LLAMA, 8000)
    each = kv_bytes(LLAMA, 8000)
    assert weights + users * each <= 0.9 * memory < weights + (users + 1) * each
    assert users_per_gpu(memory, weights, LLAMA, 4000) in (2 * users, 2 * users + 1)
    assert users_per_gpu(memory, weights, LLAMA, 8000, dtype="fp8") >= 2 * users
    assert users_per_gpu(memory, weights, LLAMA, 10**7) == 0


@pytest.mark.parametrize(
    ("config", "match"),
    [
        ({}, "num_hidden_layers"),
        ({"num_hidden_layers": 2, "hidden_size": 8}, "num_attention_heads"),
        ({"num_hidden_layers": 2, "num_attention_heads": 2}, "hidden_size"),
        ({**LLAMA, "num_key_value_heads": -1}, "num_key_value_heads"),
        ({**LLAMA, "num_hidden_layers": "many"}, "num_hidden_layers"),
        ({**LLAMA, "layer_types": ["full_attention"]}, "1 layer types for 32"),
        ({**LLAMA, "num_hidden_layers": 1, "layer_types": ["spiral"]}, "spiral"),
        ({**LLAMA, "num_hidden_layers": 1, "layer_types": ["sliding_attention"]}, "sliding_window"),
        ({**LLAMA, "head_dim": 0}, "head_dim"),
        (3, "configuration"),
        (None, "configuration"),
    ],
)
def test_a_configuration_without_what_is_needed_is_refused(config: Any, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        kv_bytes(config, 10)


def test_files_that_cannot_be_read_and_numbers_out_of_range(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        kv_bytes(tmp_path / "absent", 10)
    bad = tmp_path / "config.json"
    bad.write_text("{")
    with pytest.raises(ConfigError, match="JSON"):
        kv_bytes(bad, 10)
    bad.write_text(json.dumps([1]))
    with pytest.raises(ConfigError, match="configuration"):
        kv_bytes(tmp_path, 10)
    for name, value in (("num_kv_shared_layers", "one"), ("attn_layer_offset", [])):
        with pytest.raises(ConfigError, match=name):
            kv_bytes({**LLAMA, "attn_layer_period": 2, name: value}, 10)
    with pytest.raises(ConfigError, match="dtype"):
        kv_bytes(LLAMA, 10, "int3")  # type: ignore[arg-type]
    for tokens in (-1, 2.5, True):
        with pytest.raises(ConfigError, match="tokens"):
            kv_bytes(LLAMA, tokens)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="group_size"):
        Quantization(group_size=0)
    with pytest.raises(ConfigError, match="do not fit"):
        users_per_gpu(10 * 2**30, 16 * 2**30, LLAMA, 100)
    with pytest.raises(ConfigError, match="reserve"):
        users_per_gpu(10 * 2**30, 0, LLAMA, 100, reserve=1.0)
    with pytest.raises(ConfigError, match="memory_bytes"):
        users_per_gpu(float("nan"), 0, LLAMA, 100)
    with pytest.raises(ConfigError, match="tokens_per_user"):
        users_per_gpu(10 * 2**30, 0, LLAMA, 0)
    mamba = {**LLAMA, "num_hidden_layers": 1, "layer_types": ["mamba"]}
    with pytest.raises(ConfigError, match="no layer with a KV cache"):
        users_per_gpu(10 * 2**30, 0, mamba, 10)
