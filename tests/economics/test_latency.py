from __future__ import annotations

from typing import Any

import pytest

from ctxshrink import Shrinker
from ctxshrink.economics import Latency, measure_compress, measure_prefill
from ctxshrink.errors import ConfigError
from ctxshrink.testing import WordCounter


def test_seconds_follow_from_the_throughputs() -> None:
    latency = Latency(5_000, 20_000)
    assert latency.prefill(1_000) == pytest.approx(0.2)
    assert latency.compress(1_000) == pytest.approx(0.05)
    assert latency.gain(400, latency.compress(1_000)) == pytest.approx(0.03)
    share = latency.needed_share()
    assert latency.gain(share * 777, latency.compress(777)) == pytest.approx(0)
    assert Latency(5_000).compress(1_000) == 0


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "fast", True])
def test_throughputs_are_positive_numbers(value: Any) -> None:
    with pytest.raises(ConfigError, match="prefill_tokens_per_second"):
        Latency(value)
    with pytest.raises(ConfigError, match="compress_tokens_per_second"):
        Latency(1_000, value)


def test_a_real_model_is_measured_with_and_without_its_tokenizer() -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(vocab_size=64, n_embd=16, n_layer=1, n_head=2, n_positions=64)
    model = transformers.GPT2LMHeadModel(config).eval()
    seen: list[Any] = []
    model.register_forward_pre_hook(lambda _, args, kwargs: seen.append(kwargs["input_ids"]), with_kwargs=True)
    assert measure_prefill(model, tokens=32, repeats=2) > 0
    assert [tuple(ids.shape) for ids in seen] == [(1, 32)] * 3

    def tokenizer(text: str, *, add_special_tokens: bool) -> dict[str, list[int]]:
        assert not add_special_tokens
        return {"input_ids": [len(word) for word in text.split()]}

    seen.clear()
    assert measure_prefill(model, tokenizer, tokens=16, repeats=1) > 0
    assert seen[0][0, :3].tolist() == [3, 4, 2]  # "The pump in"
    assert not torch.is_grad_enabled() or model.training is False
    with pytest.raises(ConfigError, match="window of 64"):
        measure_prefill(model, tokens=65)
    with pytest.raises(ConfigError, match="loaded model"):
        measure_prefill("a-name")
    with pytest.raises(ConfigError, match="repeats"):
        measure_prefill(model, repeats=0)


def test_a_shrinker_is_measured_by_its_own_calls() -> None:
    shrinker = Shrinker(compressors=["lead"], guardrail=None, counter=WordCounter())
    assert measure_compress(shrinker, tokens=200, repeats=1) > 0
    with pytest.raises(ConfigError, match="tokens"):
        measure_compress(shrinker, tokens=5)
