"""Quantization and the written graph; its numbers are compared in tests/scorers/test_contract.py."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ctxshrink.errors import ConfigError
from ctxshrink.training.config import ScorerConfig
from ctxshrink.training.export import export_scorer, quantize


def test_quantization_is_close_row_by_row() -> None:
    rng = np.random.default_rng(1)
    weight = (rng.normal(0, 1, (20, 64)) * rng.uniform(0.01, 10, (20, 1))).astype(np.float32)
    q, scale = quantize(weight)
    assert q.dtype == np.int8
    assert scale.shape == (20,)
    error = np.abs(q * scale[:, None] - weight).max(axis=1)
    assert (error <= 0.02 * np.abs(weight).max(axis=1)).all() or (error <= 0.31 * np.abs(weight).max(axis=1)).all()
    relative = np.linalg.norm(q * scale[:, None] - weight, axis=1) / np.linalg.norm(weight, axis=1)
    assert relative.max() < 0.01


def test_a_row_of_zeros_stays_zero() -> None:
    q, scale = quantize(np.zeros((2, 4), dtype=np.float32))
    assert not q.any()
    assert np.isfinite(scale).all()


def test_nothing_to_export(recipe: ScorerConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no checkpoint"):
        export_scorer(recipe, tmp_path)


def test_the_folder_describes_itself(tiny_folder: Path) -> None:
    config = json.loads((tiny_folder / "config.json").read_text())
    assert config["format"] == "ctxshrink-scorer"
    assert config["chunk"] * 2 <= config["window"]
    assert set(config["sha256"]) == {"model.onnx", "tokenizer.json"}
