"""Every architecture gets the numbers of its own plain forward pass, with shared prefixes and without."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

from ctxshrink.scorers._windows import Window

torch: Any = pytest.importorskip("torch")
transformers: Any = pytest.importorskip("transformers")

SIZE = 300
BASE = {
    "vocab_size": SIZE,
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "max_position_embeddings": 256,
    "bos_token_id": 0,
    "eos_token_id": 1,
}
GROUPED = {**BASE, "num_key_value_heads": 2}
HEADS = {**GROUPED, "head_dim": 16}
ABSOLUTE = {"vocab_size": SIZE, "n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 256}

# name: (config, its arguments, whether prefixes are reused)
ARCHITECTURES: dict[str, tuple[str, dict[str, Any], bool]] = {
    "llama, all heads": ("LlamaConfig", BASE, True),
    "llama, grouped heads": ("LlamaConfig", GROUPED, True),
    "qwen2": ("Qwen2Config", GROUPED, True),
    "qwen3": ("Qwen3Config", HEADS, True),
    "mistral, sliding window": ("MistralConfig", {**GROUPED, "sliding_window": 24}, True),
    "gemma2, window and capped logits": (
        "Gemma2Config",
        {**HEADS, "sliding_window": 24, "query_pre_attn_scalar": 16, "final_logit_softcapping": 4.0},
        True,
    ),
    "gpt2, learned positions": ("GPT2Config", {**ABSOLUTE, "bos_token_id": 0, "eos_token_id": 1}, True),
    "bloom, positions by distance": ("BloomConfig", {"vocab_size": SIZE, "hidden_size": 64, "n_layer": 3}, True),
    "granite, scaled logits": ("GraniteConfig", {**GROUPED, "logits_scaling": 4.0}, True),
    "mixtral, experts": ("MixtralConfig", {**GROUPED, "num_local_experts": 4}, True),
    "mamba, recurrent": ("MambaConfig", {"vocab_size": SIZE, "hidden_size": 16, "num_hidden_layers": 1}, False),
}


def build(name: str, dtype: Any = torch.float32) -> tuple[Any, bool]:
    kind, arguments, reuses = ARCHITECTURES[name]
    config = getattr(transformers, kind)(**arguments)
    config.initializer_range = 0.2  # predictions far from uniform
    torch.manual_seed(0)
    return transformers.AutoModelForCausalLM.from_config(config).eval().to(dtype), reuses


def windows() -> list[Window]:
    """A few contexts, two of which begin like a third, with a few targets each, at lengths up to the window."""
    rng = np.random.default_rng(1)

    def some(count: int) -> list[int]:
        return rng.integers(2, SIZE, count).tolist()

    contexts: list[list[int]] = [[], some(90), some(40), some(200)]
    contexts += [contexts[1][:70] + some(20), contexts[1] + some(35)]
    targets = [some(n) for n in (1, 8, 33)]
    pairs = [(c, t) for c in contexts for t in targets]
    return [Window(i, 0, (0, *c, *t), len(t)) for i, (c, t) in enumerate(pairs)]


def plain(model: Any, window: Window) -> np.ndarray:
    ids = torch.tensor([window.tokens])
    with torch.inference_mode():
        logits = model(input_ids=ids[:, :-1]).logits[0].float()
    return torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="none")[-window.scored :].numpy()


def run(model: Any, *, reuse: bool) -> tuple[np.ndarray, bool]:
    from ctxshrink.scorers._causal import CausalModel

    runner = CausalModel(model, reuse=reuse)
    out = [np.full(w.scored, np.nan, dtype=np.float32) for w in windows()]
    runner.nll(windows(), out)
    return np.concatenate(out), runner.reuses


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_numbers_are_those_of_a_plain_pass(name: str) -> None:
    model, reuses = build(name)
    expected = np.concatenate([plain(model, w) for w in windows()])
    assert expected.std() > 0.2
    for reuse in (True, False):
        found, reused = run(model, reuse=reuse)
        assert reused == (reuse and reuses)
        np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("name", ["llama, grouped heads", "mistral, sliding window", "gpt2, learned positions"])
def test_in_bfloat16_they_differ_by_its_rounding(name: str) -> None:
    model, _ = build(name, torch.bfloat16)
    expected = np.concatenate([plain(model, w) for w in windows()])
    found, reused = run(model, reuse=True)
    assert reused
    off = np.abs(found - expected)
    assert off.max() < 0.15
    assert off.mean() < 0.02


def test_a_model_that_reads_its_cache_wrongly_is_run_without_one() -> None:
    model, _ = build("llama, grouped heads")
    expected = np.concatenate([plain(model, w) for w in windows()])
    forward = model.model.forward

    def forgetful(*args: Any, **inputs: Any) -> Any:
        past = inputs.get("past_key_values")
        if past is not None and past.get_seq_length():
            inputs["past_key_values"] = None
            inputs["attention_mask"] = inputs["attention_mask"][:, past.get_seq_length() :]
        return forward(*args, **inputs)

    forgetful.__signature__ = inspect.signature(forward)  # type: ignore[attr-defined]
    model.model.forward = forgetful
    found, reused = run(model, reuse=True)
    assert not reused
    np.testing.assert_allclose(found, expected, atol=1e-4)
