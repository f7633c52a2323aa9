"""The recipe from end to end, tiny."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

import torch

from ctxshrink.errors import ConfigError, MissingExtraError
from ctxshrink.scorers import EmbeddedScorer
from ctxshrink.training import scorer as module
from ctxshrink.training.config import ScorerConfig
from ctxshrink.training.llama import Llama
from ctxshrink.training.mixture import split_blocks
from ctxshrink.training.run import Progress
from ctxshrink.training.scorer import Batches, train, train_weights


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["model"]


def test_from_a_corpus_to_a_scorer(longer: ScorerConfig) -> None:
    reports: list[Progress] = []
    output = train(longer, reports.append)
    assert reports[-1].fraction == 1.0
    assert max(r.tokens for r in reports) == longer.train.tokens
    assert "mixture" in json.loads((output / "config.json").read_text())
    scorer = EmbeddedScorer(output, threads=1)
    learned, shuffled = scorer.nll(
        [("", "Elif left two keys at the mill on day 4."), ("", "mill day left the 4 keys Elif on two at.")]
    )
    assert learned.mean() < shuffled.mean()
    assert learned.mean() < 0.8 * np.log(longer.tokenizer.vocab_size)


def test_the_same_seed_gives_the_same_weights(recipe: ScorerConfig, tmp_path: Path) -> None:
    one = weights(train_weights(recipe))
    other = weights(train_weights(replace(recipe, work=str(tmp_path / "again"))))
    assert all(torch.equal(one[n], other[n]) for n in one)


def test_a_stopped_run_goes_on_where_it_was(
    recipe: ScorerConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = weights(train_weights(recipe))
    stopped = replace(recipe, work=str(tmp_path / "stopped"), train=replace(recipe.train, checkpoint_seconds=0.0))
    save, saves = module._save, []

    def stop(*args: object) -> None:
        save(*args)
        saves.append(1)
        if len(saves) == 9:
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "_save", stop)
    with pytest.raises(KeyboardInterrupt):
        train_weights(stopped)
    monkeypatch.undo()
    resumed = weights(train_weights(stopped))
    assert all(torch.equal(whole[n], resumed[n]) for n in whole)


def test_threads_share_a_batch(recipe: ScorerConfig, tmp_path: Path) -> None:
    one = weights(train_weights(recipe))
    other = weights(train_weights(replace(recipe, work=str(tmp_path / "t"), train=replace(recipe.train, threads=2))))
    for name in one:
        torch.testing.assert_close(one[name], other[name], atol=2e-2, rtol=0.1)


def test_rows_start_with_the_start_token_and_follow_the_stream(recipe: ScorerConfig) -> None:
    work = train_weights(recipe).parent
    stream = np.load(work / "stream.npy")
    state = module._State()
    x, y = Batches(recipe, work, state).next(0.0)
    assert x.shape == y.shape == (8, 32)
    assert (x[:, 0] == 0).all()
    copies = 1  # an eighth of eight rows
    np.testing.assert_array_equal(y[copies:].ravel(), stream[1 : 7 * 32 + 1])
    x, _ = Batches(recipe, work, state).next(0.9)
    assert x.shape == (4, 64)


def test_a_corpus_smaller_than_a_batch(recipe: ScorerConfig) -> None:
    with pytest.raises(ConfigError, match="fewer than one batch"):
        train_weights(replace(recipe, train=replace(recipe.train, batch_tokens=10_000_000)))


def test_without_torch(recipe: ScorerConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"ctxshrink\[train\]"):
        train(recipe)


def test_a_run_starts_from_another_ones_weights(recipe: ScorerConfig, tmp_path: Path) -> None:
    first = train_weights(recipe)
    begun = torch.load(first, weights_only=True)["state"]
    deeper = replace(recipe.model, num_hidden_layers=3)
    for name, model in (("same", recipe.model), ("deeper", deeper)):
        settings = replace(recipe.train, tokens=256, init=str(first), muon_lr=0.0, adam_lr=0.0)
        second = train_weights(replace(recipe, work=str(tmp_path / name), model=model, train=settings))
        saved = torch.load(second, weights_only=True)
        assert saved["state"]["tokens"] == 256
        assert saved["state"]["position"] > begun["position"]
        ids = torch.arange(40, 60)[None]
        before, after = Llama(recipe.model, 400), Llama(model, 400)
        before.load_state_dict(weights(first))
        after.load_state_dict(saved["model"])
        torch.testing.assert_close(before.nll(ids[:, :-1], ids[:, 1:]), after.nll(ids[:, :-1], ids[:, 1:]))


def test_a_start_that_does_not_fit(recipe: ScorerConfig, tmp_path: Path) -> None:
    first = str(train_weights(replace(recipe, train=replace(recipe.train, tokens=256))))
    (tmp_path / "foreign.pt").write_bytes(b"not a checkpoint")
    wider = replace(recipe.model, hidden_size=64)
    for number, (init, model) in enumerate(
        [("missing.pt", recipe.model), (str(tmp_path / "foreign.pt"), recipe.model), (first, wider)]
    ):
        started = replace(recipe, work=str(tmp_path / str(number)), model=model, train=replace(recipe.train, init=init))
        with pytest.raises(ConfigError, match=r"train\.init"):
            train_weights(started)


def test_the_rates_are_those_of_the_recipe(recipe: ScorerConfig, tmp_path: Path) -> None:
    first = train_weights(recipe)
    settings = replace(recipe.train, init=str(first), muon_lr=0.005)
    second = train_weights(replace(recipe, work=str(tmp_path / "again"), train=settings))
    muon = torch.load(second, weights_only=True)["optim"][0]["param_groups"][0]
    assert muon["peak"] == 0.005


def test_what_is_kept_for_the_mixture_is_not_in_the_stream(recipe: ScorerConfig) -> None:
    work = train_weights(replace(recipe, train=replace(recipe.train, tokens=256))).parent
    stream, kept = np.load(work / "stream.npy"), np.load(work / "mixture.npy")
    assert 0 < len(kept) < len(stream) / 5
    trained = {tuple(b) for b in split_blocks(stream)}
    assert not trained & {tuple(b) for b in split_blocks(kept)}
