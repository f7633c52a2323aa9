"""Training data of the pruner: rows, windows, hard negatives and batches."""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctxshrink.errors import ConfigError
from ctxshrink.training.pruner_batches import Draws
from ctxshrink.training.pruner_data import PrunerData, build, read_rows


class Encoded:
    def __init__(self, text: str) -> None:
        self.ids, self.offsets, at = [], [], 0
        for word in text.split():
            at = text.index(word, at)
            self.ids.append(1000 + sum(map(ord, word)) % 500)
            self.offsets.append((at, at + len(word)))
            at += len(word)


SPECIAL = {"cls": 1, "sep": 2, "unk": 3}


def encode(texts: Any) -> list[Encoded]:
    return [Encoded(t) for t in texts]


ROWS = [
    {
        "query": f"What colour is boat {name} of {town}?",
        "title": f"Boat_{name}",
        "sentences": [f"Boat {name} was built in {town}.", f"The hull of boat {name} is {colour}.", "It is for sale."],
        "labels": [0, 1, 0],
        "answers": [colour],
    }
    for name, colour, town in (
        ("Ann", "red", "Kiel"),
        ("Bea", "green", "Kiel"),
        ("Cid", "blue", "Oslo"),
        ("Dan", "red", "Oslo"),
    )
]
CHAT = {
    "messages": [
        {"role": "user", "content": "I live in Oslo."},
        {"role": "assistant", "content": "Nice."},
        {"role": "tool", "content": "[]"},
        {"role": "assistant", "content": ""},
    ],
    "probes": [{"question": "Travel: Home town?", "answers": ["Oslo"], "evidence_message_idx": [0]}],
}


def data(rows: list[dict[str, Any]] = ROWS, window: int = 64) -> PrunerData:
    return build(iter(rows), encode, window, SPECIAL)


def write(path: Path, rows: list[Any]) -> str:
    text = "".join(json.dumps(r) + "\n" for r in rows)
    if path.suffix == ".xz":
        path.write_bytes(lzma.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.xz"])
def test_rows_are_read_and_the_dev_side_and_other_languages_left_out(tmp_path: Path, name: str):
    file = write(tmp_path / name, [*ROWS, {**ROWS[0], "split": "dev"}, {**ROWS[0], "lang": "zh"}])
    assert list(read_rows([file], {}, ["en"])) == ROWS


def test_a_share_of_a_file_is_spread_over_it(tmp_path: Path):
    file = write(tmp_path / "rows.jsonl", ROWS)
    assert list(read_rows([file], {"rows.jsonl": 0.5}, ["en"])) == [ROWS[1], ROWS[3]]


def test_a_chat_gives_a_row_a_probe(tmp_path: Path):
    [row] = read_rows([write(tmp_path / "chat.jsonl", [CHAT])], {}, ["en"])
    assert row["query"] == "Home town?"
    assert (row["sentences"], row["labels"]) == (["I live in Oslo.", "Nice."], [1, 0])


@pytest.mark.parametrize(
    "row", [{"query": "q", "sentences": ["a"]}, {"query": "q", "sentences": ["a"], "labels": [1, 0]}, {"query": 3}]
)
def test_a_wrong_row_is_named(tmp_path: Path, row: dict[str, Any]):
    file = write(tmp_path / "rows.jsonl", [ROWS[0], row])
    with pytest.raises(ConfigError, match=r"rows\.jsonl:2"):
        list(read_rows([file], {}, ["en"]))


def test_a_file_that_is_no_json_is_named(tmp_path: Path):
    (tmp_path / "rows.jsonl").write_text("nothing", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"rows\.jsonl"):
        list(read_rows([str(tmp_path / "rows.jsonl")], {}, ["en"]))


def test_windows_hold_whole_units_and_their_gold():
    d = data(window=16)
    first = d.windows[0]
    assert [len(u) for u in first.units] == [6]  # the second sentence no longer fits beside the title
    question = d.questions[0]
    assert question.gold == {1: frozenset({0})}
    assert d.windows[1].asked == [True, False]
    assert d.windows[1].answer[0] == [False] * 6 + [True]


def test_questions_about_one_passage_share_its_windows():
    again = {**ROWS[0], "query": "Where was it built?", "labels": [1, 0, 0], "answers": ["Kiel"]}
    d = data([ROWS[0], again])
    assert len(d.windows) == 1
    assert d.windows[0].asked == [True, True, False]
    assert d.of_window == {0: [0, 1]}


def test_hard_negatives_are_similar_and_never_the_answer():
    d = data()
    for number, question in enumerate(d.questions):
        assert d.hard[number]
        assert not set(d.hard[number]) & set(question.gold)


def test_no_answering_sentence_at_all_is_an_error():
    with pytest.raises(ConfigError, match="no question"):
        data([{**ROWS[0], "labels": [0, 0, 0]}])


def test_batches_are_consistent_and_seeded():
    d = data()
    draws, again = Draws(d, 3, 5, seed=7), Draws(d, 3, 5, seed=7)
    batch, same = [(d.next(), d.next())[1] for d in (draws, again)]
    assert batch.ids == same.ids
    assert batch.windows >= 3
    assert len(batch.ids) == batch.windows + len(batch.gold)
    for ids, unit, answer in zip(batch.ids, batch.unit, batch.answer, strict=False):
        assert ids[0] == SPECIAL["cls"]
        assert ids[-1] == SPECIAL["sep"]
        assert len(ids) == len(unit) == len(answer)
    assert batch.gold.any(axis=1).all()
    assert not (batch.gold & batch.masked).any()
    assert set(np.concatenate(batch.unit).tolist()) == {-1, *range(len(batch.of_row))}


def test_units_that_hold_the_same_answer_do_not_count_as_wrong():
    d = data()
    batch = Draws(d, 4, 4, seed=1).next()
    # Boats Ann and Dan are both red: the other's sentence is masked for each, and nothing else is.
    assert batch.masked.sum() == 2
