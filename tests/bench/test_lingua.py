"""The comparison with the llmlingua package runs on a tiny model, and says where the package raises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from ctxshrink.bench import lingua as module
from ctxshrink.bench.lingua import paces
from ctxshrink.bench.lingua_command import lingua
from ctxshrink.models import SCORER

pytest.importorskip("llmlingua")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Llama with the embedded scorer's tokenizer."""
    transformers: Any = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        vocab_size=12288,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=1024,
        bos_token_id=0,
        eos_token_id=0,
    )
    made = tmp_path_factory.mktemp("llama")
    transformers.LlamaForCausalLM(config).save_pretrained(made)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(SCORER / "tokenizer.json"), bos_token="<|bos|>")
    tokenizer.save_pretrained(made)
    return made


def test_every_work_is_measured(folder: Path) -> None:
    found = {p.work: p for p in paces(str(folder), documents=2, runs=1)}
    assert len(found) == 5
    assert all(p.ours > 0 and p.tokens > 400 for p in found.values())
    for name, pace in found.items():
        assert pace.theirs is not None, pace.error
        assert not pace.error
        assert (pace.kept is None) == (pace.their_kept is None) == (name == "coarse ranking")
    assert all(p.kept <= 0.5 for p in found.values() if p.kept is not None)
    short, long = found["words left out, no question"], found["long texts, no question"]
    assert short.their_kept is not None
    assert long.their_kept is not None
    assert short.their_kept > 0.6  # one window of it is pruned
    assert long.their_kept < short.their_kept


def test_how_the_package_raises_is_in_the_row(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ValueError("another cache")

    monkeypatch.setattr(module.OldCaches, "__call__", broken)
    for pace in paces(str(folder), documents=1, runs=1):
        assert pace.theirs is None
        assert pace.their_kept is None
        assert "another cache" in pace.error


def test_the_command_prints_a_row_for_each(folder: Path) -> None:
    app = typer.Typer()
    app.command()(lingua)
    result = CliRunner().invoke(
        app, ["--model", str(folder), "--documents", "1", "--runs", "1"], env={"COLUMNS": "200"}
    )
    assert result.exit_code == 0
    assert "coarse ranking" in result.output
    assert "long texts" in result.output
