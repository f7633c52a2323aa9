from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ctxshrink.bench.data import RagRecord
from ctxshrink.bench.encoder import SentenceEncoder
from ctxshrink.bench.guardrail_labels import Compressions
from ctxshrink.bench.guardrail_rows import ASKED, COSINE, DETECTOR, HARMLESS, KEPT, PERPLEXITY, WORDS, Observer, Row
from ctxshrink.bench.tasks import Rag
from ctxshrink.testing import FakeScorer
from ctxshrink.types import Call, Trial, Verdict

TEXT = "The pump was replaced. The valve was ordered."


class Judge:
    """Scores by the length of what is left; the whole output by its number of segments."""

    name = "judge"

    def check(self, trials: Sequence[Trial], call: Call, /) -> list[Verdict]:
        return [Verdict(bool(t.text), 1 / (1 + len(t.text)), "by length", {"length": len(t.text)}) for t in trials]

    def check_output(self, trials: Sequence[Trial], call: Call, /) -> Verdict:
        return Verdict(False, 0.25, "as a whole", {"segments": len(trials)})


def rows(docs: Sequence[str], query: str, answer: str, keep: float = 0.5, **settings: Any) -> list[Row]:
    record = RagRecord("r", "r", "en", query, tuple({"text": d, "title": ""} for d in docs), (answer,), (), ())
    made = Compressions(Rag(), methods=("lead",), keeps=(keep,))
    judge: Any = Judge()
    return Observer(Rag(), "tiny", judge, made, **settings).rows([record])


def test_a_row_for_each_segment_and_one_for_the_output() -> None:
    segment, output = rows([TEXT], "the valve", "ordered", 0.6)
    assert (segment.level, segment.lost, segment.ok, segment.weight) == ("segment", True, True, 1.0)
    assert segment.features == {"length": 22}  # "The pump was replaced." is left
    assert segment.risks[DETECTOR] == 1 / 23
    assert (output.level, output.lost, output.share, output.ok) == ("output", True, 1.0, False)
    assert output.risks[DETECTOR] == 0.25
    assert output.features == {"segments": 1}
    # Of the 8 words the 4 of the first sentence are left; they are 2 of the second one's as well, counted once.
    assert segment.risks[WORDS] == 0.5
    assert segment.risks[ASKED] == 0.5  # "the" is left, "valve" is not
    assert 0.4 <= segment.risks[KEPT] < 0.6


def test_harmless_segments_are_sampled_and_weighted() -> None:
    docs = [f"{TEXT} The gate {i} is open. The roof {i} is high." for i in range(HARMLESS + 4)]
    found = [r for r in rows(docs, "the valve", "roof 3") if r.level == "segment"]
    harmless = [r for r in found if not r.lost]
    assert len(harmless) == HARMLESS
    assert sum(r.weight for r in harmless) == pytest.approx(HARMLESS + 3)
    assert [r.weight for r in found if r.lost] == [1.0]


def test_models_read_a_sample(encoder_folder: Path) -> None:
    encoder = SentenceEncoder(encoder_folder)
    docs = [f"{TEXT} The gate {i} is open. The roof {i} is high." for i in range(5)]
    found = rows(docs, "the valve", "roof 3", encoder=encoder, scorer=FakeScorer(), slow=2)
    read = [r for r in found if r.read]
    assert len(read) == 4  # two harmless segments, the one that lost something, the output
    assert sum(r.read for r in read if r.level == "segment" and not r.lost) == 4
    for r in read:
        assert 0 <= r.risks[COSINE] < 1
        # Without a context every word is unknown to the scorer.
        assert r.features[PERPLEXITY] == 6.0
    assert all(COSINE not in r.risks and PERPLEXITY not in r.features for r in found if not r.read)


def test_an_empty_output_has_no_perplexity() -> None:
    made = Compressions(Rag(), methods=("truncate",), keeps=(0.5,))
    docs = tuple({"text": d, "title": ""} for d in (TEXT, TEXT + " The gate is open. It is late."))
    record = RagRecord("r", "r", "en", "the gate", docs, ("pump",), (), ())
    judge: Any = Judge()
    first, *_ = Observer(Rag(), "tiny", judge, made, scorer=FakeScorer()).rows([record])
    assert math.isnan(first.features[PERPLEXITY])
    assert not first.ok
