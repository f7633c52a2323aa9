"""The loader: checked files, shared objects."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ctxshrink.errors import ModelError
from ctxshrink.models import PRUNER, SCORER, load_session, load_tokenizer, read_config, read_file


def folder_with(path: Path, data: bytes, recorded: bytes) -> Path:
    (path / "weights.bin").write_bytes(data)
    (path / "config.json").write_text(json.dumps({"sha256": {"weights.bin": hashlib.sha256(recorded).hexdigest()}}))
    return path


def test_a_file_with_its_sum_is_read(tmp_path: Path) -> None:
    assert read_file(folder_with(tmp_path, b"abc", b"abc"), "weights.bin") == b"abc"


@pytest.mark.parametrize("data", [b"", b"ab", b"xyz"])
def test_a_file_with_another_sum_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ModelError, match=r"weights\.bin: truncated.*reinstall"):
        read_file(folder_with(tmp_path, data, b"abc"), "weights.bin")


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    folder_with(tmp_path, b"abc", b"abc")
    with pytest.raises(ModelError, match=r"other\.bin: missing.*reinstall"):
        read_file(tmp_path, "other.bin")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"sha256": 1}', "\x00"])
def test_a_foreign_configuration_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ModelError, match=r"config\.json"):
        read_config(tmp_path)


def test_objects_are_shared_between_threads() -> None:
    with ThreadPoolExecutor(4) as pool:
        sessions = {id(s) for s in pool.map(lambda _: load_session(SCORER, 1), range(8))}
        tokenizers = {id(t) for t in pool.map(lambda _: load_tokenizer(), range(8))}
    assert len(sessions) == len(tokenizers) == 1


def test_every_shipped_file_has_its_sum() -> None:
    for folder, files in (
        (SCORER, {"model.onnx", "tokenizer.json", "ngrams.npz"}),
        (PRUNER, {"model.onnx", "tokenizer.json"}),
    ):
        config = read_config(folder)
        assert set(config["sha256"]) == files
        for name in files:
            assert read_file(folder, name)


def test_the_cards_are_there() -> None:
    for folder, parts in (
        (SCORER, ("Data", "licence", "bits per byte", "Kneser-Ney", "CPU", "Limits")),
        (PRUNER, ("Data", "Apache-2.0", "int8", "CPU", "Limits")),
    ):
        card = (folder / "CARD.md").read_text(encoding="utf-8")
        assert all(part.lower() in card.lower() for part in parts)
