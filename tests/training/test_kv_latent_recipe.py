"""A recipe trains one encoder for each window, each from the one before it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ctxshrink.errors import ConfigError
from ctxshrink.kv.latent import LatentEncoder
from ctxshrink.training import kv_latent_recipe
from ctxshrink.training.kv_latent_recipe import load_latent_recipe, run_latent_recipe
from ctxshrink.training.kv_recipe import base_model
from ctxshrink.training.needle_model import load_needle_config, train_needle_model
from ctxshrink.training.run import Progress

TASK = """
[task]
length = 66
facts = 2
distractors = 8
questions = 2
topics = 4
words = 8
"""
NEEDLE = 'output = "{folder}/needle"' + TASK + "[train]\nlengths = [66]\nbatches = [2]\nsteps = [2]\n"
LATENT = (
    'model = "{folder}/needle"\noutput = "{folder}/latent"\nwindows = [2, 4]\n[needle]\nuse = true\nbatch = 2\n'
    + TASK
    + "[train]\nscorer_steps = 2\nsteps = 2\nwidth = 8\n"
)


def test_each_window_has_an_encoder(tmp_path: Path) -> None:
    for name, text in (("needle", NEEDLE), ("latent", LATENT)):
        (tmp_path / f"{name}.toml").write_text(text.format(folder=tmp_path), encoding="utf-8")
    folder = train_needle_model(load_needle_config(tmp_path / "needle.toml"))
    told: list[Progress] = []
    made = run_latent_recipe(load_latent_recipe(tmp_path / "latent.toml"), told.append)
    assert [p.step for p in told] == [1, 2, 3, 4, 1, 2]
    fractions = [p.fraction for p in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    model = base_model(str(folder), "float32")
    first, second = (LatentEncoder.load(made / name, model) for name in ("2x", "4x"))
    assert (first.card.window, second.card.window) == (2, 4)
    card = json.loads((made / "4x" / "card.json").read_text())
    assert card["training"]["before"][0]["config"]["scorer_steps"] == 2


def test_the_recipe_of_the_package_is_read() -> None:
    shipped = Path(kv_latent_recipe.__file__).parent / "configs" / "kv-latent-needle.toml"
    assert load_latent_recipe(shipped).needle.use


@pytest.mark.parametrize("text", ["", 'model = "m"\nwindows = [1]\n', 'model = "m"\nwindows = []\n', "model = 1\n"])
def test_wrong_recipes_are_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "r.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError):
        load_latent_recipe(file)


def test_a_model_or_a_type_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="dtype"):
        base_model(str(tmp_path), "int4")
    with pytest.raises(ConfigError, match="cannot be loaded"):
        base_model(str(tmp_path), "float32")
