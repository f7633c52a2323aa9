"""A tiny random Llama in both of its forms: an exported folder and a Hugging Face model with the same weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ctxshrink.scorers import EmbeddedScorer, ServerScorer, TransformersScorer
from ctxshrink.training.bpe import BOS, train_bpe
from ctxshrink.training.config import ModelConfig
from ctxshrink.training.export import dequantized, write_model
from ctxshrink.types import Scorer
from tests.scorers.loopback import Completions, serve

CONFIG = ModelConfig(
    num_hidden_layers=2,
    hidden_size=32,
    num_attention_heads=4,
    num_key_value_heads=2,
    intermediate_size=48,
    max_position_embeddings=192,
)
VOCABULARY = 400
TEXT = (
    "The gate of the north lock opens at six. The keeper writes the level of the water in a blue book, line by line. "
    "When the wind turns, the lower gate is closed first. Der Schleusenwärter notiert den Pegel. "
    "水位は毎朝記録される。 "
    '{"gate": "north", "level": 412, "open": true}\n'
)


def random_weights(c: ModelConfig, vocabulary: int, seed: int) -> dict[str, NDArray[np.float32]]:
    """Weights of a size that makes predictions far from uniform."""
    rng = np.random.default_rng(seed)
    kv = c.hidden_size // c.num_attention_heads * c.num_key_value_heads
    shapes = {
        "self_attn.q_proj": (c.hidden_size, c.hidden_size),
        "self_attn.k_proj": (kv, c.hidden_size),
        "self_attn.v_proj": (kv, c.hidden_size),
        "self_attn.o_proj": (c.hidden_size, c.hidden_size),
        "mlp.gate_proj": (c.intermediate_size, c.hidden_size),
        "mlp.up_proj": (c.intermediate_size, c.hidden_size),
        "mlp.down_proj": (c.hidden_size, c.intermediate_size),
        "input_layernorm": (c.hidden_size,),
        "post_attention_layernorm": (c.hidden_size,),
    }
    named: dict[str, Any] = {"model.embed_tokens.weight": rng.normal(0, 0.5, (vocabulary, c.hidden_size))}
    for layer in range(c.num_hidden_layers):
        for name, shape in shapes.items():
            value = rng.normal(0, 0.3, shape) if len(shape) == 2 else rng.uniform(0.5, 1.5, shape)
            named[f"model.layers.{layer}.{name}.weight"] = value
    named["model.norm.weight"] = rng.uniform(0.5, 1.0, (c.hidden_size,))
    return {n: np.asarray(v, dtype=np.float32) for n, v in named.items()}


@dataclass(frozen=True)
class Tiny:
    """A tiny model's files and its weights as exported."""

    folder: Path
    weights: dict[str, NDArray[np.float32]]
    tokenizer: Any

    def ids(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """These models are too small for more threads, and waiting for each other costs them more than it brings."""
    try:
        import torch
    except ImportError:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """The tiny model, exported."""
    return exported(tmp_path_factory.mktemp("tiny"), seed=3)


def exported(folder: Path, seed: int) -> Tiny:
    """A tiny random Llama, written to a folder."""
    pytest.importorskip("onnx")
    from tokenizers import Tokenizer

    train_bpe([TEXT] * 3, folder / "tokenizer.json", VOCABULARY)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    weights = random_weights(CONFIG, tokenizer.get_vocab_size(), seed=seed)
    write_model(folder, CONFIG, weights, folder / "tokenizer.json", "tiny")
    return Tiny(folder, dequantized(weights), tokenizer)


def embedded(tiny: Tiny, stack: ExitStack) -> Scorer:
    return EmbeddedScorer(tiny.folder, threads=1)


def loaded(tiny: Tiny) -> tuple[Any, Any]:
    """The Hugging Face model and its tokenizer."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        vocab_size=len(tiny.weights["model.embed_tokens.weight"]),
        hidden_size=CONFIG.hidden_size,
        intermediate_size=CONFIG.intermediate_size,
        num_hidden_layers=CONFIG.num_hidden_layers,
        num_attention_heads=CONFIG.num_attention_heads,
        num_key_value_heads=CONFIG.num_key_value_heads,
        max_position_embeddings=CONFIG.max_position_embeddings,
        rms_norm_eps=CONFIG.rms_norm_eps,
        rope_theta=CONFIG.rope_theta,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=None,
    )
    model = transformers.LlamaForCausalLM(config)
    state = {n: torch.from_numpy(w) for n, w in tiny.weights.items()}
    state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.load_state_dict(state)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(tiny.folder / "tokenizer.json"), bos_token=BOS, clean_up_tokenization_spaces=False
    )
    return model.eval(), tokenizer


def hugging_face(tiny: Tiny, stack: ExitStack) -> Scorer:
    return TransformersScorer(*loaded(tiny))


def server(tiny: Tiny, stack: ExitStack) -> Scorer:
    window = CONFIG.max_position_embeddings
    url = stack.enter_context(serve(Completions(*loaded(tiny), name="tiny-llama", window=window + 2)))
    return ServerScorer(url, "tiny-llama", max_context=window)


SCORERS: dict[str, Callable[[Tiny, ExitStack], Scorer]] = {
    "embedded": embedded,
    "transformers": hugging_face,
    "server": server,
}
"""Every scorer that the contract holds for; a new one is one line here."""


@pytest.fixture(scope="session", params=SCORERS)
def scorer(request: pytest.FixtureRequest, tiny: Tiny) -> Iterator[Scorer]:
    """Each scorer in turn, over the tiny model."""
    with ExitStack() as stack:
        yield SCORERS[request.param](tiny, stack)
