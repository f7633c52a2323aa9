"""The tokenizer's training; the shipped tokenizer's promises are tested in tests/test_tokens.py."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from ctxshrink.training.bpe import BOS, train_bpe

TEXTS = ['Lock keepers keep locks. 12345 crates, 水位は記録される。\n\n{"a": [1, 2]}\n'] * 4


def make(path: Path) -> Tokenizer:
    train_bpe(TEXTS, path / "tokenizer.json", 330)
    return Tokenizer.from_file(str(path / "tokenizer.json"))


def test_the_vocabulary_has_its_size_and_starts_with_the_start_token(tmp_path: Path) -> None:
    tokenizer = make(tmp_path)
    assert 257 < tokenizer.get_vocab_size() <= 330
    assert tokenizer.token_to_id(BOS) == 0
    assert tokenizer.encode(BOS).ids != [0]


def test_training_twice_gives_the_same_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        make(tmp_path / name)
    assert (tmp_path / "a/tokenizer.json").read_bytes() == (tmp_path / "b/tokenizer.json").read_bytes()


def test_every_string_comes_back(tmp_path_factory) -> None:  # type: ignore[no-untyped-def]
    tokenizer = make(tmp_path_factory.mktemp("bpe"))

    @given(text=st.text())
    @settings(deadline=None, max_examples=60)
    def check(text: str) -> None:
        assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text

    check()
