"""Recipes from TOML."""

from __future__ import annotations

from pathlib import Path

import pytest

import ctxshrink.training
from ctxshrink.errors import ConfigError
from ctxshrink.training.config import load_config


def write(path: Path, text: str) -> Path:
    (path / "r.toml").write_text(text)
    return path / "r.toml"


def test_the_shipped_recipe_loads() -> None:
    folder = Path(ctxshrink.training.__file__).parent / "configs"
    config = load_config(folder / "scorer.toml")
    assert config.tokenizer.vocab_size == 12288
    assert config.model.max_position_embeddings >= 1024
    assert "RESEARCH_ONLY" in config.data.exclude


def test_what_is_not_named_keeps_its_default(tmp_path: Path) -> None:
    config = load_config(
        write(
            tmp_path, "[train]\ntokens = 100\nlengths = [8]\nshares = [1]\ncopy_shares = [0]\n[data.epochs]\nde = 3\n"
        )
    )
    assert config.train.tokens == 100
    assert config.train.lengths == (8,)
    assert config.data.epochs == {"de": 3}
    assert config.model.hidden_size == 256


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense = 1", "unknown setting nonsense"),
        ("[train]\nspeed = 1", r"unknown setting train\.speed"),
        ("train = 3", "train must be a table"),
        ("[train]\nseed = 1.5", r"train\.seed must be int"),
        ("[train]\nmuon_lr = 'fast'", r"train\.muon_lr must be a number"),
        ("[data]\nroot = 3", r"data\.root must be str"),
        ("[data]\nexclude = 3", r"data\.exclude"),
        ("[train]\nseed = 1", r"train\.tokens or train\.seconds"),
        ("[train]\ntokens = 1\nshares = [0.5, 0.6]", "sum to 1"),
        ("[train]\ntokens = 1\nlengths = [4096]\nshares = [1]\ncopy_shares = [0]", "window"),
        ("[train]\ntokens = 1\ncopy_shares = [0.5]", "equal length"),
        ("[train]\ntokens = 1\ncopy_shares = [0.5, 1.5]", "copy_shares"),
        ("[train]\ntokens = 1\n[data]\nrandom_share = 2.0", "random_share"),
        ("[train]\ntokens = 1\n[tokenizer]\nvocab_size = 70000", "vocab_size"),
        ("[train]\ntokens = 1\ndtype = 'int4'", "dtype"),
        ("[train]\ntokens = 1\n[model]\nnum_attention_heads = 5", "hidden_size"),
        ("[train", "cannot read"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(write(tmp_path, text))


def test_a_missing_file() -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        load_config("no/such/recipe.toml")
