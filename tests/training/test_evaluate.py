"""Bits per byte and probes, on scorers whose answers are known."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from ctxshrink.models import load_tokenizer
from ctxshrink.training.evaluate import (
    bits_per_byte,
    lookup_probe,
    read_held_out,
    repeat_probe,
    restatement_probe,
    to_markdown,
)
from ctxshrink.training.kneser_ney import KneserNey
from tests.training.conftest import tale

TEXTS = [tale(random.Random(i)) for i in range(30)]
APART = [" ".join(f"In{i} the{i} hall{j} stood{i} seven{j} lamps{i} still{i}{j}." for j in range(6)) for i in range(30)]


class Copier:
    """Words that the context holds cost little, others much."""

    name, max_context = "copier", 1024

    def nll(self, pairs: Sequence[tuple[str, str]], /) -> list[np.ndarray]:
        return [np.asarray([0.1 if w in c.split() else 5.0 for w in t.split()], dtype=np.float32) for c, t in pairs]


class Deaf(Copier):
    """Takes no notice of the context."""

    def nll(self, pairs: Sequence[tuple[str, str]], /) -> list[np.ndarray]:
        return [np.full(len(t.split()), math.log(4), dtype=np.float32) for _, t in pairs]


def test_probes_tell_a_copier_from_one_that_takes_no_notice() -> None:
    for probe in (repeat_probe, restatement_probe):
        assert probe(Copier(), APART, trials=20).accuracy > 0.9
        deaf = probe(Deaf(), APART, trials=20)
        assert deaf.accuracy == 0
        assert deaf.gain == 0
    assert lookup_probe(Deaf(), trials=10).gain == 0
    assert lookup_probe(Copier(), trials=10).gain == pytest.approx(4.9, abs=0.01)


def test_bits_per_byte_of_known_scorers() -> None:
    tokenizer = load_tokenizer()
    [row] = bits_per_byte({"en": ["one two three four"]}, Deaf(), None, tokenizer)
    assert row.size == 18
    assert row.scorer == pytest.approx(4 * 2 / 18, abs=1e-5)  # four words of two bits
    assert math.isnan(row.ngram)
    assert row.xz > 8  # a header for so little text


def test_the_ngram_model_is_measured_on_the_same_tokens() -> None:
    tokenizer = load_tokenizer()
    ids = np.asarray([i for t in TEXTS for i in [0, *tokenizer.encode(t).ids]])
    model = KneserNey(ids, tokenizer.get_vocab_size())
    [seen] = bits_per_byte({"en": TEXTS[:3]}, None, model, tokenizer)
    [unseen] = bits_per_byte({"de": ["Der Pegel steigt seit gestern Nacht."]}, None, model, tokenizer)
    assert seen.ngram < 1 < unseen.ngram


def test_held_out_texts_come_by_domain_and_are_cut(tmp_path: Path) -> None:
    rows = [
        {"file": "en/docs_a.jsonl.xz", "id": "1", "text": "x" * 60},
        {"file": "en/docs_b.jsonl.xz", "id": "2", "text": "y" * 10},
        {"file": "en/docs_a.jsonl.xz", "id": "3", "text": "z" * 60},
        {"file": "ja/wiki.jsonl", "id": "4", "text": "水"},
    ]
    (tmp_path / "held_out.json").write_text(json.dumps(rows))
    texts = read_held_out(tmp_path, limit=80)
    assert {k: [len(t) for t in v] for k, v in texts.items()} == {"en docs": [60, 10, 20], "ja wiki": [1]}


def test_the_tables() -> None:
    rows = bits_per_byte({"en": ["one two three four"]}, Deaf(), None, load_tokenizer())
    table = to_markdown(rows, [repeat_probe(Copier(), APART, trials=4)])
    assert "| en | 18 | 0.444 | nan |" in table
    assert "| repeat a sentence |" in table
