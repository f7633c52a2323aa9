from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ctxshrink.bench.scoring import Haystack
from ctxshrink.calibrate.examples import modes_of, read_labelled
from ctxshrink.errors import ConfigError

from .conftest import rag_rows, write_lines

CHAT = {
    "id": "c",
    "messages": [{"role": "user", "content": "The code is 4711."}, {"role": "assistant", "content": "Noted."}],
    "probes": [{"answers": ["4711"], "evidence_message_idx": [0]}],
}
TOOL = {"id": "t", "query": "Which disk?", "content": "disk sda1 is full", "needles": [{"answers": ["sda1"]}]}


def test_kinds_may_be_mixed_in_one_file(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "mixed.jsonl", [*rag_rows(2), CHAT, TOOL])
    data = read_labelled(file)
    assert [e.mode for e in data.examples] == ["query", "query", "blind", "query"]
    assert modes_of(data.examples) == {"query": 3, "blind": 1}
    assert (data.name, data.labels, data.unlabelled) == ("mixed.jsonl", "answers", 0)
    assert data.examples[0].source == "mixed"


def test_what_is_needed(tmp_path: Path) -> None:
    base: dict[str, Any] = {"query": "When?", "docs": [{"text": "It was in May. Nobody came to the opening day."}]}
    rows = [
        {"id": "1", **base, "answers": ["May", "5"], "facts": ["June"]},
        {"id": "2", **base, "facts": ["May", "June"]},
        {"id": "3", **base, "supporting_sentences": ["Nobody came to the opening day."]},
        CHAT,
        TOOL,
    ]
    answers, facts, support, chat, tool = read_labelled(write_lines(tmp_path / "m.jsonl", rows)).examples
    assert answers.needed(Haystack("in May")) == [True]
    assert facts.needed(Haystack("in May")) == [True, False]
    assert support.needed(Haystack("Nobody came to the opening day.")) == [True]
    assert support.needed(Haystack("Nobody.")) == [False]
    assert chat.needed(Haystack("code 4711")) == [True]
    assert tool.needed(Haystack("sda")) == [False]


def test_a_question_may_be_unknown(tmp_path: Path) -> None:
    [example] = read_labelled(write_lines(tmp_path / "m.jsonl", [{**rag_rows(1)[0], "query": " "}])).examples
    assert (example.query, example.mode) == (None, "blind")


def test_records_that_name_nothing_are_counted(tmp_path: Path) -> None:
    bare = [
        {k: v for k, v in row.items() if k not in ("answers", "probes", "needles")}
        for row in [*rag_rows(1), CHAT, TOOL]
    ]
    unspoken = {**CHAT, "probes": [{"answers": [], "evidence_message_idx": [0]}]}
    data = read_labelled(write_lines(tmp_path / "m.jsonl", [*bare, unspoken, TOOL]))
    assert (len(data.examples), data.unlabelled) == (1, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no records"),
        ("\n\n", "no records"),
        ('{"id": "1", "question": "?"}', r'bad.jsonl:1: a record has "docs".*this one has id, question.*--traces'),
        ('{"id": "1", "docs": 3, "answers": ["x"]}', r'bad.jsonl:1: "docs" must be a list'),
        ("[1]", "bad.jsonl:1: expected a JSON object"),
        ("{", "bad.jsonl:1: not a line of JSON"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.jsonl").write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=message):
        read_labelled(tmp_path / "bad.jsonl")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        read_labelled(tmp_path / "none.jsonl")
