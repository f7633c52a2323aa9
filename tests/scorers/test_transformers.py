"""What only the Hugging Face scorer does: its arguments and their errors."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctxshrink.errors import ConfigError, MissingExtraError, ModelError
from ctxshrink.scorers import TransformersScorer
from tests.scorers.conftest import TEXT, Tiny, hugging_face


def test_loads_from_a_folder(tiny: Tiny, tmp_path: Path) -> None:
    scorer: Any = hugging_face(tiny)
    scorer._model.save_pretrained(tmp_path)
    scorer._tokenizer.save_pretrained(tmp_path)
    loaded = TransformersScorer(str(tmp_path), device="cpu")
    [a], [b] = loaded.nll([("", TEXT)]), scorer.nll([("", TEXT)])
    np.testing.assert_allclose(a, b, atol=2e-3)


def test_a_loaded_model_needs_its_tokenizer(tiny: Tiny) -> None:
    scorer: Any = hugging_face(tiny)
    with pytest.raises(ConfigError, match="tokenizer"):
        TransformersScorer(scorer._model)


def test_a_tokenizer_without_a_start(tiny: Tiny) -> None:
    scorer: Any = hugging_face(tiny)
    scorer._tokenizer.bos_token = None
    with pytest.raises(ConfigError, match="bos"):
        TransformersScorer(scorer._model, scorer._tokenizer)


@pytest.mark.parametrize("size", [0, 7, 100_000])
def test_the_window_must_fit_the_model(tiny: Tiny, size: int) -> None:
    scorer: Any = hugging_face(tiny)
    with pytest.raises(ConfigError, match="max_context"):
        TransformersScorer(scorer._model, scorer._tokenizer, max_context=size)


def test_an_unknown_folder(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    with pytest.raises(ModelError, match="cannot load"):
        TransformersScorer(str(tmp_path))


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match="transformers"):
        TransformersScorer("any")
