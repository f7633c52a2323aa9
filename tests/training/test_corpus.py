"""Reading, splitting and cutting the corpus."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink.errors import ConfigError
from ctxshrink.training.corpus import blocks, find_files, read_documents

PATTERNS = ("*/*.jsonl.xz", "*/*.jsonl")


def test_files_are_found_and_left_out(corpus: Path) -> None:
    names = [p.relative_to(corpus).as_posix() for p in find_files(corpus, PATTERNS, ("PRIVATE",))]
    assert names == ["de/berichte.jsonl", "en/tales.jsonl.xz"]


def test_nothing_found_is_an_error(corpus: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.root"):
        find_files(corpus, ("*.parquet",), ())


def test_the_split_is_by_document_and_stays(corpus: Path) -> None:
    files = find_files(corpus, PATTERNS, ("PRIVATE",))
    documents = list(read_documents(corpus, files, 0.05))
    held = {d.id for d in documents if d.held_out}
    assert len(documents) == 90
    assert len(held) == 3 + 2  # a twentieth of each file, rounded up
    assert held == {d.id for d in read_documents(corpus, files, 0.05) if d.held_out}
    assert held < {d.id for d in read_documents(corpus, files, 0.3) if d.held_out}
    assert {d.language for d in documents} == {"en", "de"}
    assert not any(d.held_out for d in read_documents(corpus, files, 0.0))


@pytest.mark.parametrize("line", ["{", "[]", '{"id": 1}', '{"text": 5}'])
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"id": "a", "text": "fine"}\n' + line + "\n")
    with pytest.raises(ConfigError, match=r"bad\.jsonl:2"):
        list(read_documents(tmp_path, [path], 0.1))


@given(tokens=st.lists(st.integers(0, 9)), size=st.integers(1, 20))
def test_blocks_make_up_the_whole(tokens: list[int], size: int) -> None:
    cut = list(blocks(tokens, size))
    assert [t for b in cut for t in b] == tokens
    assert all(0 < len(b) <= size for b in cut)
