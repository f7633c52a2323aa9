"""The scorer's network as a transformers model gives the ONNX network's numbers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctxshrink.errors import ModelError
from ctxshrink.models import SCORER
from ctxshrink.scorers import EmbeddedScorer
from ctxshrink.scorers._windows import Window

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("onnx")

from ctxshrink.training.scorer_llama import read_weights, scorer_as_llama  # noqa: E402

_TEXTS = (
    "The ferry leaves at 7:40 from the north pier. Passengers without a ticket wait behind the yellow line.",
    'def area(width, height):\n    """Square metres."""\n    return width * height\n',
    "Der Antrag wurde am 3. Mai abgelehnt, weil zwei Unterschriften fehlten.",
)


@pytest.fixture(scope="module")
def loaded() -> tuple[Any, Any]:
    return scorer_as_llama()


def _nll(model: Any, ids: list[int]) -> Any:
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([ids])).logits[0]
    return torch.nn.functional.cross_entropy(logits[:-1], torch.tensor(ids[1:]), reduction="none").numpy()


@pytest.mark.parametrize("text", [*_TEXTS, " ".join(_TEXTS * 4)])
def test_nll_equals_that_of_the_network_in_onnxruntime(loaded: tuple[Any, Any], text: str) -> None:
    model, tokenizer = loaded
    ids = [tokenizer.bos_token_id, *tokenizer(text, add_special_tokens=False)["input_ids"]]
    window = Window(0, 0, tuple(ids), len(ids) - 1)
    theirs = EmbeddedScorer(threads=1).nll_windows([window])
    np.testing.assert_allclose(_nll(model, ids), theirs, atol=1e-3)
    assert theirs.mean() < 6  # a language model, not noise: log(12288) is 9.4


def test_the_window_is_used_to_its_end(loaded: tuple[Any, Any]) -> None:
    model, _ = loaded
    ids = [0, *np.random.default_rng(3).integers(1, model.config.vocab_size, 1023).tolist()]
    theirs = EmbeddedScorer(threads=1).nll_windows([Window(0, 0, tuple(ids), 1023)])
    np.testing.assert_allclose(_nll(model, ids), theirs, atol=1e-3)


def test_sizes_are_those_of_the_configuration(loaded: tuple[Any, Any]) -> None:
    described = json.loads((SCORER / "config.json").read_text(encoding="utf-8"))
    config = loaded[0].config
    assert config.vocab_size == described["vocab_size"] == len(loaded[1])
    assert config.max_position_embeddings == described["window"] == loaded[1].model_max_length
    assert config.num_hidden_layers == described["layers"]
    assert not loaded[0].training


def test_it_generates(loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    given = tokenizer(tokenizer.bos_token + _TEXTS[0], return_tensors="pt", return_token_type_ids=False)
    out = model.generate(**given, max_new_tokens=4, do_sample=False)
    assert out.shape[1] > given["input_ids"].shape[1]


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_cut_file_is_refused(tmp_path: Path, share: float) -> None:
    for name in ("config.json", "tokenizer.json"):
        shutil.copyfile(SCORER / name, tmp_path / name)
    data = (SCORER / "model.onnx").read_bytes()
    (tmp_path / "model.onnx").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelError, match=r"model\.onnx"):
        read_weights(tmp_path)


def test_another_network_is_refused(tmp_path: Path) -> None:
    described = json.loads((SCORER / "config.json").read_text(encoding="utf-8"))
    described["layers"] = 9
    (tmp_path / "config.json").write_text(json.dumps(described), encoding="utf-8")
    shutil.copyfile(SCORER / "model.onnx", tmp_path / "model.onnx")
    with pytest.raises(ModelError, match="not a scorer's network"):
        read_weights(tmp_path)
