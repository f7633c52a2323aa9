from __future__ import annotations

import json
from pathlib import Path

import pytest

from ctxshrink.bench.journal import Journal
from ctxshrink.errors import ConfigError

SETTINGS = {"keep": [0.5], "methods": ["bm25"]}


def filled(path: Path, count: int = 3) -> bytes:
    with Journal(path, SETTINGS) as journal:
        assert (journal.found, journal.note) == ({}, "")
        for i in range(count):
            journal.add(f"set/{i}", {"score": i / 7, "words": "é\ud800\n"})
    return path.read_bytes()


def test_what_was_written_comes_back_exactly(tmp_path: Path) -> None:
    filled(tmp_path / "j.jsonl")
    with Journal(tmp_path / "j.jsonl", SETTINGS) as journal:
        assert journal.found == {f"set/{i}": {"score": i / 7, "words": "é\ud800\n"} for i in range(3)}
        assert "3 of its units" in journal.note
        journal.add("set/3", None)
    assert len((tmp_path / "j.jsonl").read_bytes().splitlines()) == 5


def test_every_cut_leaves_the_whole_lines(tmp_path: Path) -> None:
    whole = filled(tmp_path / "j.jsonl")
    head = whole.index(b"\n") + 1
    for size in range(head, len(whole)):
        path = tmp_path / "cut.jsonl"
        path.write_bytes(whole[:size])
        with Journal(path, SETTINGS) as journal:
            assert len(journal.found) == whole[head:size].count(b"\n")
            for i in range(len(journal.found), 3):
                journal.add(f"set/{i}", {"score": i / 7, "words": "é\ud800\n"})
        assert path.read_bytes() == whole


def test_a_changed_setting_starts_anew_and_keeps_the_old(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    whole = filled(path)
    with Journal(path, {**SETTINGS, "keep": [0.25], "seed": 1}) as journal:
        assert not journal.found
        assert journal.note == "starts anew: keep, seed changed; the earlier journal is kept as ….old"
    assert (tmp_path / "j.jsonl.old").read_bytes() == whole


@pytest.mark.parametrize("other", [b"no journal", b"[1]\n", b'{"journal": 99, "settings": {}}\n', b'{"journal": 1}\n'])
def test_another_file_is_kept_aside(tmp_path: Path, other: bytes) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(other)
    with Journal(path, SETTINGS) as journal:
        assert "of another kind" in journal.note
        journal.add("a", 1)
    assert (tmp_path / "j.jsonl.old").read_bytes() == other
    assert json.loads(path.read_bytes().splitlines()[1]) == {"unit": "a", "found": 1}


def test_an_empty_file_is_a_new_journal(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.touch()
    with Journal(path, SETTINGS) as journal:
        journal.add("a", 1)
    assert not (tmp_path / "j.jsonl.old").exists()


def test_lines_behind_a_broken_one_are_not_trusted(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    lines = filled(path).splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b"{broken\n", *lines[2:]]))
    with Journal(path, SETTINGS) as journal:
        assert list(journal.found) == ["set/0"]


def test_a_folder_in_its_place_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read and written"):
        Journal(tmp_path, SETTINGS)
