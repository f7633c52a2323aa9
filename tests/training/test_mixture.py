"""Fitting the mixture."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ctxshrink.errors import ConfigError, ModelError
from ctxshrink.scorers import EmbeddedScorer
from ctxshrink.scorers._mixture import WIDTH, Mixture, Steps
from ctxshrink.training.config import MixtureConfig, ScorerConfig
from ctxshrink.training.mixture import add_mixture, fit_weights, split_blocks


def test_the_weights_that_made_a_text_are_found() -> None:
    rng = np.random.default_rng(2)
    cells = rng.integers(0, 2, (40000, 1))
    true = np.array([0.2, 0.7])
    copied = rng.random(40000) < true[cells[:, 0]]
    # A copied token is the one that the step is sure of; any other one of a hundred is not.
    steps = Steps(cells, copied[:, None].astype(float))
    weights = fit_weights(steps, np.full(40000, np.log(100)))
    assert weights.shape == (1, WIDTH)
    np.testing.assert_allclose(weights[0, :2], true, atol=0.02)


def test_more_rounds_never_make_the_text_less_likely() -> None:
    rng = np.random.default_rng(3)
    steps = Steps(rng.integers(-1, 4, (500, 3)), rng.random((500, 3)))
    nats = rng.uniform(0.5, 6, 500)

    def loss(rounds: int) -> float:
        weights, p = fit_weights(steps, nats, rounds), np.exp(-nats)
        for k in range(3):
            w = steps.used(weights, k)
            p = (1 - w) * p + w * steps.shares[:, k]
        return float(-np.log(p).mean())

    losses = [loss(n) for n in (0, 1, 3, 10, 30)]
    assert losses == sorted(losses, reverse=True)


def test_without_text_there_is_nothing_to_fit() -> None:
    with pytest.raises(ConfigError, match="mixture"):
        fit_weights(Steps(np.zeros((0, 2), dtype=np.int64), np.zeros((0, 2))), np.zeros(0))


def test_blocks_stand_once() -> None:
    assert split_blocks(np.array([0, 5, 6, 0, 7, 0, 5, 6], dtype=np.uint16)) == [[5, 6], [7]]


def folder_with_stream(tiny_folder: Path, tmp_path: Path, recipe: ScorerConfig) -> Path:
    folder, work = tmp_path / "model", Path(recipe.work)
    shutil.copytree(tiny_folder, folder)
    work.mkdir()
    run = [0, *range(40, 80)]
    np.save(work / "stream.npy", np.array(run * 8, dtype=np.uint16))
    np.save(work / "mixture.npy", np.array(run + run[:1] + run[11:41] * 2, dtype=np.uint16))
    return folder


def test_a_folder_gets_its_mixture(tiny_folder: Path, tmp_path: Path, recipe: ScorerConfig) -> None:
    folder = folder_with_stream(tiny_folder, tmp_path, recipe)
    text = "Amara left a blue book. Amara left a blue book."
    for ngrams in (50, 0):
        add_mixture(replace(recipe, mixture=MixtureConfig(100, ngrams)), folder)
        assert (folder / "ngrams.npz").exists() == bool(ngrams)
        mixed, plain = (EmbeddedScorer(f, threads=1).nll([("", text)])[0] for f in (folder, tiny_folder))
        assert mixed[-5:].mean() < plain[-5:].mean()
        assert np.isfinite(mixed).all()


def test_a_damaged_table_is_one_error_that_names_it(tiny_folder: Path, tmp_path: Path, recipe: ScorerConfig) -> None:
    folder = folder_with_stream(tiny_folder, tmp_path, recipe)
    add_mixture(replace(recipe, mixture=MixtureConfig(100, 50)), folder)
    table = folder / "ngrams.npz"
    table.write_bytes(table.read_bytes()[:-9])
    with pytest.raises(ModelError, match=r"ngrams\.npz"):
        EmbeddedScorer(folder, threads=1).nll([("", "the mill")])


def test_damaged_weights_are_one_error(tiny_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "mixture": {"weights": [[0.1]]}}))
    with pytest.raises(ModelError, match="mixture"):
        EmbeddedScorer(folder, threads=1).nll([("", "the mill")])


def test_the_shares_of_a_mixture_without_steps_are_the_networks() -> None:
    nats = np.array([0.5, 2.0])
    from ctxshrink.scorers._windows import Window

    bare = Mixture(np.zeros((0, WIDTH)))
    np.testing.assert_allclose(bare.mix([Window(0, 0, (0, 1, 2), 2)], nats), nats)
