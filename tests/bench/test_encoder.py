from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctxshrink.bench.encoder import SentenceEncoder, require_encoder
from ctxshrink.errors import ConfigError, MissingExtraError, ModelError

TEXTS = ["The pump was replaced.", "a", "The valve in hall 7 was ordered in Turin, and painted twice."]


def test_vectors_are_means_over_tokens_of_unit_length_whatever_the_batch(encoder_folder: Path) -> None:
    import torch
    import transformers

    auto: Any = transformers
    tokenizer = auto.AutoTokenizer.from_pretrained(str(encoder_folder))
    model = auto.AutoModel.from_pretrained(str(encoder_folder)).eval()
    found = SentenceEncoder(encoder_folder).encode(TEXTS)
    for text, vector in zip(TEXTS, found, strict=True):
        with torch.inference_mode():
            mean = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0).numpy()
        np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)
    assert SentenceEncoder(encoder_folder).encode([]).shape == (0, 16)


def test_cosine_is_one_with_itself(encoder_folder: Path) -> None:
    values = SentenceEncoder(encoder_folder).cosine(TEXTS[0], TEXTS)
    assert values.shape == (3,)
    assert values[0] == pytest.approx(1.0)
    assert max(values[1:]) < 0.999


def test_long_texts_are_cut(encoder_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "short"
    shutil.copytree(encoder_folder, folder)
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 6}), encoding="utf-8")
    texts = ["pump valve hall was", "pump valve hall was turin", "pump valve hall turin"]
    a, b, c = SentenceEncoder(folder).encode(texts)
    np.testing.assert_allclose(a, b, atol=1e-6)
    assert np.abs(a - c).max() > 1e-3


def test_texts_are_encoded_once_until_forgotten(encoder_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = SentenceEncoder(encoder_folder)
    seen: list[str] = []
    forward = encoder._forward
    monkeypatch.setattr(encoder, "_forward", lambda texts: (seen.extend(texts), forward(texts))[1])
    first = encoder.encode([*TEXTS, TEXTS[0]])
    assert (sorted(seen), encoder.spared) == (sorted(TEXTS), 0.0)
    again = encoder.encode([TEXTS[1], TEXTS[0]])
    np.testing.assert_array_equal(again, first[[1, 0]])
    assert len(seen) == 3
    assert encoder.spared > 0
    encoder.forget()
    encoder.encode(TEXTS[:1])
    assert seen[3:] == TEXTS[:1]


def test_tokens_are_counted_without_special_ones(encoder_folder: Path) -> None:
    encoder = SentenceEncoder(encoder_folder)
    assert encoder.count(["the pump", "", "hall 7."]) == [2, 0, 3]
    assert encoder.count([]) == []


def test_a_missing_folder_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"minilm, hybrid: give --encoder the folder of a sentence encoder"):
        require_encoder(None, ["minilm", "hybrid"])
    with pytest.raises(ConfigError, match=r"no config.json there; give --encoder"):
        SentenceEncoder(tmp_path)


def test_another_pooling_is_refused(encoder_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cls"
    shutil.copytree(encoder_folder, folder)
    (folder / "1_Pooling").mkdir()
    pooling = folder / "1_Pooling" / "config.json"
    pooling.write_text('{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}', encoding="utf-8")
    with pytest.raises(ConfigError, match="not means over tokens"):
        SentenceEncoder(folder)
    pooling.write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be read as JSON"):
        SentenceEncoder(folder)


def test_truncated_weights_are_one_error(encoder_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cut"
    shutil.copytree(encoder_folder, folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(ModelError, match="cannot be loaded"):
        SentenceEncoder(folder)


def test_without_the_extra(encoder_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"ctxshrink\[bench\]"):
        SentenceEncoder(encoder_folder)
