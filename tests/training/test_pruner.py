"""The pruner's network and its training loop, on a tiny encoder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import BertConfig as HFConfig
from transformers import BertModel
from typer.testing import CliRunner

from ctxshrink import Shrinker
from ctxshrink.cli import app
from ctxshrink.compressors.pruner import PrunerCompressor
from ctxshrink.errors import ConfigError
from ctxshrink.models.encoder import Encoder
from ctxshrink.training import pruner
from ctxshrink.training.bert import load_bert
from ctxshrink.training.matcher import info_nce, late_interaction
from ctxshrink.training.pruner import train_pruner
from ctxshrink.training.pruner_config import PrunerConfig, PrunerDataConfig, PrunerTrainConfig, load_pruner_config
from ctxshrink.training.run import Progress

from .test_pruner_data import ROWS, write

SIZES: dict[str, Any] = {
    "vocab_size": 200,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 128,
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(3)
    model = BertModel(HFConfig(**SIZES), add_pooling_layer=False)
    save_file(model.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({**SIZES, "model_type": "bert"}))
    words = sorted({w.strip(".?").lower() for r in ROWS for t in (*r["sentences"], r["query"]) for w in t.split()})
    vocabulary = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, ".": 4, "?": 5}
    vocabulary |= {w: 6 + i for i, w in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def recipe(base: Path, folder: Path, **train: Any) -> PrunerConfig:
    file = write(folder / "rows.jsonl", ROWS)
    settings: dict[str, Any] = {"steps": 4, "windows": 4, "questions": 4, "window": 64, "dtype": "float32", **train}
    return PrunerConfig(
        str(base), str(folder / "work"), str(folder / "out"), PrunerDataConfig((file,)), PrunerTrainConfig(**settings)
    )


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["model"]


def test_the_network_is_bert(base: Path):
    ours = load_bert(base, 1)
    theirs = BertModel(HFConfig(**SIZES), add_pooling_layer=False).eval()
    theirs.load_state_dict({k: v for k, v in ours.state_dict().items() if not k.startswith("head.")})
    ids = torch.randint(0, 200, (3, 20))
    lengths = torch.tensor([20, 11, 3])
    mask = (torch.arange(20)[None] < lengths[:, None]).long()
    with torch.no_grad():
        mine, expected = ours(ids, lengths), theirs(input_ids=ids, attention_mask=mask).last_hidden_state
    for row, n in enumerate(lengths.tolist()):
        torch.testing.assert_close(mine[row, :n], expected[row, :n], atol=1e-5, rtol=1e-4)


def test_a_folder_without_an_encoder_is_named(tmp_path: Path, base: Path):
    with pytest.raises(ConfigError, match="holds no encoder"):
        load_bert(tmp_path, 1)
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    (tmp_path / "model.safetensors").write_bytes((base / "model.safetensors").read_bytes())
    with pytest.raises(ConfigError, match="gpt2"):
        load_bert(tmp_path, 1)


def test_late_interaction_is_the_mean_of_the_best_matches():
    words, tokens = (torch.nn.functional.normalize(torch.randn(n, 8), dim=-1) for n in (5, 9))
    place = torch.tensor([0, 0, 1, 1, 1, 2, 2, 2, 2])
    found = late_interaction(words, [2, 3], tokens, place, 3)
    similar = words @ tokens.T
    for question, rows in enumerate((slice(0, 2), slice(2, 5))):
        for unit in range(3):
            expected = similar[rows][:, place == unit].amax(1).mean()
            torch.testing.assert_close(found[question, unit], expected)


def test_info_nce_leaves_masked_columns_out_and_rows_without_gold():
    score = torch.tensor([[1.0, 2.0, 50.0], [3.0, 0.0, 0.0]])
    gold = torch.tensor([[True, False, False], [False, False, False]])
    masked = torch.tensor([[False, False, True], [False, False, False]])
    expected = -torch.log_softmax(torch.tensor([1.0, 2.0]), 0)[0]
    torch.testing.assert_close(info_nce(score, gold, masked), expected)


def test_training_learns_the_answers(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pruner, "REPORT_SECONDS", 0.0)
    losses: list[float] = []
    lines: list[str] = []
    config = recipe(base, tmp_path, steps=60, lr=3e-3, hold=0.0)
    train_pruner(config, lambda p: (losses.append(p.loss), lines.append(p.message)))
    steps = [x for x in losses if x]
    assert np.mean(steps[-5:]) < 0.3 * np.mean(steps[:5])
    assert "windows" in lines[0]


def test_a_stopped_run_goes_on_where_it_was(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pruner, "REPORT_SECONDS", 0.0)
    whole = train_pruner(recipe(base, _new(tmp_path / "a"), steps=6))
    stopped = recipe(base, _new(tmp_path / "b"), steps=6, checkpoint_seconds=0.0)

    def stop(report: Progress) -> None:
        if report.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_pruner(stopped, stop)
    parts = train_pruner(stopped)
    first, second = weights(whole), weights(parts)
    assert all(torch.equal(first[k], second[k]) for k in first)


def test_the_seed_decides(base: Path, tmp_path: Path):
    runs = [weights(train_pruner(recipe(base, _new(tmp_path / n), seed=s))) for n, s in (("a", 1), ("b", 1), ("c", 2))]
    assert all(torch.equal(runs[0][k], runs[1][k]) for k in runs[0])
    assert any(not torch.equal(runs[0][k], runs[2][k]) for k in runs[0])


def test_hold_keeps_the_weights_near_the_base(base: Path, tmp_path: Path):
    start = load_bert(base, 1).state_dict()

    def distance(hold: float, name: str) -> float:
        found = weights(train_pruner(recipe(base, _new(tmp_path / name), steps=20, lr=1e-3, hold=hold)))
        return sum(float((found[f"bert.{k}"] - v).square().sum()) for k, v in start.items() if "head" not in k)

    assert distance(300.0, "held") < 0.5 * distance(0.0, "free")


def test_the_recipe_is_read_and_checked(tmp_path: Path):
    shipped = load_pruner_config(Path("ctxshrink/training/configs/pruner.toml"))
    assert shipped.train.windows == 36
    assert shipped.data.shares == {"chat_sgd.jsonl.xz": 0.25}
    (tmp_path / "c.toml").write_text("[data]\nfiles = []\n[train]\nsteps = 1\n")
    with pytest.raises(ConfigError, match=r"data\.files"):
        load_pruner_config(tmp_path / "c.toml")
    (tmp_path / "c.toml").write_text("[train]\nstep = 1\n")
    with pytest.raises(ConfigError, match=r"train\.step"):
        load_pruner_config(tmp_path / "c.toml")


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_the_command_trains_and_the_compressor_uses_what_it_wrote(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write(tmp_path / "rows.jsonl", ROWS)
    (tmp_path / "c.toml").write_text(
        f'base = "{base}"\n[data]\nfiles = ["rows.jsonl"]\n'
        '[train]\nsteps = 2\nwindows = 4\nquestions = 4\nwindow = 64\ndtype = "float32"\n'
    )
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["train", "pruner", "--config", "c.toml"])
    assert done.exit_code == 0, done.output
    assert "written to pruner" in done.output
    shrinker = Shrinker(compressors=[PrunerCompressor("pruner")], guardrail=None)
    result = shrinker.shrink_documents([" ".join(r["sentences"]) for r in ROWS], query=ROWS[0]["query"], keep=0.5)
    assert 0 < result.tokens_after <= 0.5 * result.tokens_before
    assert not result.warnings


def test_the_exported_model_gives_the_trained_vectors(base: Path, tmp_path: Path):
    config = recipe(base, tmp_path)
    checkpoint = train_pruner(config)
    pruner.export_pruner(config, checkpoint)
    trained = load_bert(base, 1)
    trained.load_state_dict({k.removeprefix("bert."): v for k, v in weights(checkpoint).items() if k != "scale"})
    encoder = Encoder(config.output)
    [ids] = encoder.tokenize([ROWS[0]["sentences"][1]])
    row = [encoder.cls, *ids, encoder.sep]
    with torch.no_grad():
        expected = trained(torch.tensor([row]), torch.tensor([len(row)]))[0].numpy()
    [found] = encoder.encode([row])
    cosine = (
        (found.vectors * expected).sum(1) / np.linalg.norm(found.vectors, axis=1) / np.linalg.norm(expected, axis=1)
    )
    assert cosine.min() > 0.98


@pytest.mark.parametrize(
    ("recipe_text", "told"),
    [
        ("nonsense", "cannot read the configuration"),
        ('base = "nowhere"\n[data]\nfiles = ["rows.jsonl"]\n[train]\nsteps = 1\n', "not a tokenizer"),
        ("[data]\nfiles = []\n[train]\nsteps = 1\n", "data.files"),
    ],
)
def test_a_bad_recipe_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe_text: str, told: str):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "rows.jsonl", ROWS)
    (tmp_path / "c.toml").write_text(recipe_text)
    done = CliRunner().invoke(app, ["train", "pruner", "--config", "c.toml"])
    assert done.exit_code != 0
    assert told in " ".join(done.output.split())
    assert "Traceback" not in done.output
