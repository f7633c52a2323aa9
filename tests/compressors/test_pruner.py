"""The pruner compressor: meaning beside words, and what happens without a usable model."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ctxshrink import Shrinker
from ctxshrink.compressors import pruner
from ctxshrink.compressors.pruner import PrunerCompressor
from ctxshrink.errors import ModelError
from ctxshrink.models import PRUNER
from ctxshrink.models._vectors import CACHE
from ctxshrink.testing import check_compressor

DOCUMENTS = [
    "The ferry leaves at nine. Its crew are from Bergen. The captain resigned after the accident in March.",
    "Tickets are sold at the kiosk. Dogs travel free of charge. Bicycles need a reservation.",
]


def shrink(documents: list[str], query: str, keep: float, compressor: str = "pruner") -> list[str]:
    shrinker = Shrinker(compressors=[compressor], guardrail=None)
    return shrinker.shrink_documents(documents, query=query, keep=keep).output


def test_it_finds_what_shares_no_word_with_the_question():
    kept = shrink(DOCUMENTS, "Who quit their job?", 0.3)
    assert "The captain resigned after the accident in March." in kept[0]
    assert shrink(DOCUMENTS, "Where can I buy a fare?", 0.3)[1] == "Tickets are sold at the kiosk."


def test_it_is_a_compressor():
    check_compressor(PrunerCompressor())


def test_chinese_is_ranked_by_words_alone(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(pruner, "read", refuse)
    documents = ["这座桥建于1931年。它很长。", "渡轮九点出发。船员来自卑尔根。"]
    assert shrink(documents, "桥是什么时候建成的？", 0.4)[0] == "这座桥建于1931年。"


def test_what_the_encoder_does_not_read_is_still_ranked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pruner, "READ", 25)
    many = [*DOCUMENTS, *(f"Page {i} is about gardens. Roses bloom in June." for i in range(10))]
    shrinker = Shrinker(compressors=["pruner"], guardrail=None)
    result = shrinker.shrink_documents(many, query="When does the ferry leave?", keep=0.15)
    assert "The ferry leaves at nine." in result.output[0]
    assert result.tokens_after <= 0.15 * result.tokens_before


def broken(folder: Path, file: str, content: bytes | None) -> Path:
    shutil.copytree(PRUNER, folder)
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(content)
    return folder


@pytest.mark.parametrize("file", ["model.onnx", "tokenizer.json"])
@pytest.mark.parametrize("content", [None, b"", b"another file"])
def test_a_bad_model_is_told_and_words_stand_in(tmp_path: Path, file: str, content: bytes | None):
    CACHE.clear()  # or the vectors of an earlier test would do without the file
    bad = PrunerCompressor(broken(tmp_path / "pruner", file, content))
    result = Shrinker(compressors=[bad, "extractive"], guardrail=None).shrink_documents(
        DOCUMENTS, query="When does the ferry leave?", keep=0.4
    )
    assert "The ferry leaves at nine." in result.output[0]
    assert result.warnings[0].startswith("pruner could not rank (ModelError")
    assert file in result.warnings[0]
    attempts = [a for d in result.decisions for a in d.attempts]
    assert any(a.compressor == "pruner" and file in (a.error or "") for a in attempts)
    assert any(a.compressor == "extractive" and a.ok for a in attempts)


def test_a_folder_without_a_configuration_is_an_error_at_once(tmp_path: Path):
    with pytest.raises(ModelError, match=r"config\.json"):
        PrunerCompressor(tmp_path)
