"""A tiny corpus, written by rule, and a recipe small enough for a test."""

from __future__ import annotations

import json
import lzma
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ctxshrink.training.bpe import train_bpe
from ctxshrink.training.config import DataConfig, ModelConfig, ScorerConfig, TokenizerConfig, TrainConfig
from ctxshrink.training.export import write_model
from tests.scorers.conftest import CONFIG, random_weights

_NAMES = ("Amara", "Bram", "Chiyo", "Dario", "Elif", "Farid")
_PLACES = ("the north lock", "the mill", "the archive", "the ferry", "room 12")
_THINGS = ("a blue book", "two keys", "the pump", "an old map", "412 crates")


def tale(rng: random.Random) -> str:
    """A few sentences of one pattern, so that even a tiny model learns something."""
    sentences = []
    for _ in range(rng.randint(4, 12)):
        name, place, thing = rng.choice(_NAMES), rng.choice(_PLACES), rng.choice(_THINGS)
        sentences.append(f"{name} left {thing} at {place} on day {rng.randint(1, 30)}.")
    return " ".join(sentences)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Matrices this small are slower on several threads, much slower on a busy machine."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two languages' folders with three files."""
    root = tmp_path_factory.mktemp("corpus")
    rng = random.Random(5)
    for name, count in (("en/tales.jsonl.xz", 60), ("en/notes_PRIVATE.jsonl.xz", 5), ("de/berichte.jsonl", 30)):
        path = root / name
        path.parent.mkdir(exist_ok=True)
        lines = "".join(json.dumps({"id": f"{name}:{i}", "text": tale(rng)}) + "\n" for i in range(count))
        if path.suffix == ".xz":
            path.write_bytes(lzma.compress(lines.encode()))
        else:
            path.write_text(lines, encoding="utf-8")
    return root


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported model of random weights."""
    pytest.importorskip("onnx")
    folder = tmp_path_factory.mktemp("exported")
    train_bpe([tale(random.Random(1))], folder / "tokenizer.json", 300)
    weights = random_weights(CONFIG, 300, seed=1)
    write_model(folder, CONFIG, weights, folder / "tokenizer.json", "tiny")
    return folder


@pytest.fixture
def recipe(corpus: Path, tmp_path: Path) -> ScorerConfig:
    """Trains in a second or two."""
    return ScorerConfig(
        work=str(tmp_path / "work"),
        output=str(tmp_path / "out"),
        data=DataConfig(root=str(corpus), exclude=("PRIVATE",), held_out=0.05, epochs={"de": 2}, copy_rows=8),
        tokenizer=TokenizerConfig(vocab_size=400),
        model=ModelConfig(
            num_hidden_layers=1,
            hidden_size=32,
            num_attention_heads=2,
            num_key_value_heads=1,
            intermediate_size=48,
            max_position_embeddings=128,
        ),
        train=TrainConfig(
            lengths=(32, 64),
            shares=(0.5, 0.5),
            copy_shares=(0.125, 0.25),
            batch_tokens=256,
            tokens=256 * 24,
            dtype="float32",
            compile=False,
        ),
    )


@pytest.fixture
def longer(recipe: ScorerConfig) -> ScorerConfig:
    """The same with a larger budget."""
    return replace(recipe, train=replace(recipe.train, tokens=256 * 120))
