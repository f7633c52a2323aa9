"""The exported encoder against Hugging Face's BertModel in float32."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from ctxshrink.errors import ConfigError
from ctxshrink.training.encoder_export import export_encoder, int8_cost
from ctxshrink.training.encoder_graph import build_encoder
from tests.models.tiny_bert import (
    HEADS,
    LAYERS,
    LOGITS,
    MIDDLE,
    POSITIONS,
    VOCABULARY,
    WIDTH,
    bert_weights,
    random_rows,
    write_folder,
    write_tokenizer,
)

Floats = NDArray[np.float32]


@pytest.fixture(scope="module")
def pruner_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnx")
    return write_folder(tmp_path_factory.mktemp("pruner"))


def run(model: bytes, rows: list[list[int]]) -> list[tuple[Floats, Floats]]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    results = (session.run(["vectors", "logits"], {"input_ids": np.asarray([row], np.int64)}) for row in rows)
    return [(vectors[0], logits[0]) for vectors, logits in results]


def reference(rows: list[list[int]]) -> list[tuple[Floats, Floats]]:
    """Vectors and logits of `transformers.BertModel` with the same weights."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    weights = bert_weights()
    config = transformers.BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=MIDDLE,
        max_position_embeddings=POSITIONS,
    )
    model = transformers.BertModel(config, add_pooling_layer=False).eval()
    tensors = {name: torch.from_numpy(w) for name, w in weights.items() if not name.startswith("head.")}
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    assert not unexpected
    assert all("position_ids" in name for name in missing)
    found: list[tuple[Floats, Floats]] = []
    with torch.inference_mode():
        for row in rows:
            vectors = model(torch.tensor([row])).last_hidden_state[0].numpy()
            found.append((vectors, vectors @ weights["head.weight"].T + weights["head.bias"]))
    return found


def test_the_float_graph_is_bert() -> None:
    rows = random_rows(6)
    for found, expected in zip(run(build_encoder(bert_weights(), HEADS), rows), reference(rows), strict=True):
        np.testing.assert_allclose(found[0], expected[0], atol=1e-4, rtol=1e-4)
        np.testing.assert_allclose(found[1], expected[1], atol=1e-4, rtol=1e-4)


def test_int8_is_close_to_bert(pruner_folder: Path) -> None:
    rows = random_rows(12, seed=7)
    exported = run((pruner_folder / "model.onnx").read_bytes(), rows)
    for (vectors, logits), (exact, exact_logits) in zip(exported, reference(rows), strict=True):
        error = np.linalg.norm(vectors - exact, axis=1) / np.linalg.norm(exact, axis=1)
        assert error.mean() < 0.03
        assert error.max() < 0.2
        assert np.abs(logits - exact_logits).max() < 0.08 * np.abs(exact_logits).max() + 0.1


def test_the_cost_is_measured(pruner_folder: Path) -> None:
    cost = int8_cost(bert_weights(), pruner_folder, random_rows(8, seed=5), HEADS)
    assert 0.99 < cost.worst_token <= cost.token < 1
    assert 0.99 < cost.worst_text <= cost.text < 1
    other = int8_cost(bert_weights(seed=1), pruner_folder, random_rows(8, seed=5), HEADS)
    assert other.text < 0.9


def test_matrices_and_embeddings_are_stored_as_int8(pruner_folder: Path) -> None:
    import onnx

    model = onnx.load(str(pruner_folder / "model.onnx"))
    matrices = [t for t in model.graph.initializer if len(t.dims) == 2 and min(t.dims) >= len(VOCABULARY)]
    small = {"places", "head.weight"}
    kinds = {t.data_type for t in matrices if t.name not in small}
    assert len(matrices) >= 1 + 6 * LAYERS
    assert kinds == {onnx.TensorProto.INT8}


def test_the_folder_describes_itself(pruner_folder: Path) -> None:
    config = json.loads((pruner_folder / "config.json").read_text())
    assert (config["format"], config["version"], config["heads"]) == ("ctxshrink-pruner", 1, LOGITS)
    assert (config["window"], config["width"], config["vocab_size"]) == (POSITIONS, WIDTH, len(VOCABULARY))
    assert config["mix"] == [1, 2]
    for name, digest in config["sha256"].items():
        assert hashlib.sha256((pruner_folder / name).read_bytes()).hexdigest() == digest
    tokenizer = json.loads((pruner_folder / "tokenizer.json").read_text())
    assert tokenizer["truncation"] is None
    assert tokenizer["padding"] is None


def test_the_same_weights_give_the_same_bytes(pruner_folder: Path, tmp_path: Path) -> None:
    write_folder(tmp_path)
    for name in ("model.onnx", "tokenizer.json", "config.json"):
        assert (tmp_path / name).read_bytes() == (pruner_folder / name).read_bytes()


def test_what_cannot_be_exported(tmp_path: Path) -> None:
    tokenizer = write_tokenizer(tmp_path / "tokenizer.json")
    other = write_tokenizer(tmp_path / "other.json", special=False)
    weights, rows, out = bert_weights(), random_rows(2), tmp_path / "out"
    with pytest.raises(ConfigError, match="calibration"):
        export_encoder(weights, out, tokenizer, [[]], "tiny", heads=HEADS)
    with pytest.raises(ConfigError, match="sha256"):
        export_encoder(weights, out, tokenizer, rows, "tiny", {"sha256": {}}, heads=HEADS)
    with pytest.raises(ConfigError, match=r"head\.weight"):
        export_encoder({n: w for n, w in weights.items() if n != "head.weight"}, out, tokenizer, rows, "t", heads=HEADS)
    with pytest.raises(ConfigError, match=r"\[CLS\]"):
        export_encoder(weights, out, other, rows, "tiny", heads=HEADS)
    with pytest.raises(ConfigError, match="not a tokenizer"):
        export_encoder(weights, out, tmp_path / "none.json", rows, "tiny", heads=HEADS)
