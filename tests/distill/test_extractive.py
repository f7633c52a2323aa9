"""Distillation without a language model."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ctxshrink import KeepRatio, PerplexityGuardrail, Shrinker
from ctxshrink.compressors.extractive import ExtractiveCompressor
from ctxshrink.distill import Distiller, Source, recipe_key
from ctxshrink.distill.extractive import ExtractiveDistiller
from ctxshrink.errors import ConfigError
from ctxshrink.testing import BrokenCompressor, FakeScorer, ScriptedGuardrail, WordCounter
from ctxshrink.types import Call, Candidate, Job
from tests.strategies import LOG_LINES, PROPERTY, texts

REPORT = (
    "The harbour office moved to Quay Street in 2019. It is a pleasant building with tall windows. "
    "The crane lifts at most 40 tonnes and must not be used in wind above 17 m/s. "
    "Many people like to watch the ships from the terrace. The night shift begins at 22:00 and ends at 06:00. "
    "Invoices such as INV-2291 go to Mara Lindqvist, who pays them within 30 days. "
    "On sunny days the view reaches far over the bay."
)


def quick(**settings: Any) -> Shrinker:
    return Shrinker(
        **{"policy": KeepRatio(0.5), "compressors": ["extractive"], "guardrail": None, "counter": WordCounter()}
        | settings
    )


def test_it_keeps_spans_of_the_source() -> None:
    distiller = ExtractiveDistiller(0.5, shrinker=quick())
    [made] = distiller.distill([Source(REPORT)])
    assert made.method == "extractive"
    assert made.final
    assert 0 < made.tokens_after <= 0.5 * made.tokens_before
    assert made.spans
    assert all(REPORT[s:e].strip() in made.text for s, e in made.spans)
    assert distiller.counter_name == "words"
    assert isinstance(distiller, Distiller)


def test_with_the_embedded_models() -> None:
    distiller = ExtractiveDistiller(0.6)
    [made, empty] = distiller.distill([Source(REPORT, title="The harbour"), Source("")])
    assert made.tokens_after <= made.tokens_before
    assert made.method == "original" or 0 <= made.scores["risk"] <= 1
    assert (empty.text, empty.method, empty.tokens_after) == ("", "original", 0)
    assert empty.reason


def test_what_stands_beside_a_text_does_not_matter() -> None:
    sources = [Source(REPORT), Source("One line."), Source("\n".join(LOG_LINES)), Source(REPORT[::-1])]
    distiller = ExtractiveDistiller(0.4, shrinker=quick())
    together = distiller.distill(sources)
    assert together == [made for source in sources for made in distiller.distill([source])]
    assert together == distiller.distill(sources[::-1])[::-1]


@pytest.mark.parametrize("how", ["raise", "short", "grow", "error"])
def test_what_fails_comes_back_whole_with_the_reason(how: str) -> None:
    [made] = ExtractiveDistiller(0.3, shrinker=quick(compressors=[BrokenCompressor(how)])).distill([Source(REPORT)])
    assert (made.text, made.method, made.tokens_after) == (REPORT, "original", made.tokens_before)
    assert made.spans == ((0, len(REPORT)),)
    assert made.reason


def test_what_the_guardrail_rejects_comes_back_whole() -> None:
    guardrail = ScriptedGuardrail([False] * 9)
    [made] = ExtractiveDistiller(0.3, shrinker=quick(guardrail=guardrail)).distill([Source(REPORT)])
    assert (made.text, made.method) == (REPORT, "original")
    assert "as scripted" in made.reason
    assert made.scores == {"risk": 0.9}


def test_a_rendering_has_no_spans_of_the_source() -> None:
    records = [{"id": i, "city": "Gera", "note": None, "open": True} for i in range(30)]
    [made] = ExtractiveDistiller(0.5, shrinker=quick()).distill([Source(json.dumps(records, indent=2))])
    assert made.method == "extractive"
    assert made.spans is None


def test_an_emptied_text_stands_as_it_was() -> None:
    class Emptier:
        name = "emptier"

        def compress(self, jobs: Any, call: Any, /) -> list[Any]:
            from ctxshrink.types import Candidate

            return [Candidate("", ()) for _ in jobs]

    [made] = ExtractiveDistiller(0.3, shrinker=quick(compressors=[Emptier()])).distill([Source(REPORT)])
    assert (made.text, made.method) == (REPORT, "original")
    assert "nothing of it was left" in made.reason


@PROPERTY
@given(st.lists(texts(), max_size=4), st.floats(0.05, 1.0))
def test_every_text_comes_back_and_none_is_larger(found: list[str], keep: float) -> None:
    distiller = ExtractiveDistiller(keep, shrinker=quick())
    counter = WordCounter()
    made = distiller.distill([Source(text) for text in found])
    assert len(made) == len(found)
    for text, one in zip(found, made, strict=True):
        assert [one.tokens_before, one.tokens_after] == counter.count([text, one.text])
        assert one.tokens_after <= one.tokens_before
        assert one.reason
        assert one.text.strip() or not text.strip()


def test_the_recipe_names_every_setting() -> None:
    def keys(**settings: Any) -> str:
        return recipe_key(ExtractiveDistiller(0.5, shrinker=quick(**settings)).recipe)

    different = [
        keys(),
        keys(policy=KeepRatio(0.4)),
        keys(compressors=["lead"]),
        keys(guardrail=PerplexityGuardrail(FakeScorer())),
        keys(guardrail=PerplexityGuardrail(FakeScorer(), max_miss_rate=0.1)),
        keys(guardrail=PerplexityGuardrail(FakeScorer(), threshold=0.1)),
        keys(counter=lambda text: len(text)),
        recipe_key(ExtractiveDistiller(0.25, shrinker=quick()).recipe),
    ]
    assert len(set(different)) == len(different)
    assert keys(counter=WordCounter()) == keys()


class Judge:
    """A language model for the guardrail, in a folder of its own."""

    name = "/home/someone/judge"

    def nll(self, pairs: Sequence[tuple[str, str]], /) -> list[NDArray[np.float32]]:
        return [np.zeros(1, dtype=np.float32) for _ in pairs]


class Reader:
    """A compressor of somebody else, with settings."""

    name = "reader"

    def __init__(self, model: str | Path = "small", *, strict: bool = False, threads: int = 1, other: object = None):
        self.model, self._strict, self.threads = model, strict, threads

    def compress(self, jobs: Sequence[Job], call: Call, /) -> list[Candidate]:
        return [Candidate(job.segment.text) for job in jobs]


def test_the_recipe_names_what_the_parts_were_made_with() -> None:
    """Else what another model made would be taken for its work."""

    def parts(**settings: Any) -> list[object]:
        recipe = ExtractiveDistiller(0.5, shrinker=quick(**settings)).recipe
        return [recipe["compressors"], recipe["guardrail"]]

    assert parts(compressors=[Reader(), Reader(threads=8), ExtractiveCompressor()])[0] == "reader,reader,extractive"
    made = [Reader(Path("/home/someone/large")), Reader(strict=True), ExtractiveCompressor(structure=False)]
    assert parts(compressors=made)[0] == "reader(model=large),reader(strict=True),extractive(structure=False)"
    assert parts(guardrail=PerplexityGuardrail(Judge()))[1] == "perplexity(max_miss_rate=0.05, scorer=judge)"
    assert parts(guardrail=PerplexityGuardrail())[1] == "perplexity(max_miss_rate=0.05)"


def test_the_recipe_is_the_same_in_another_process_and_after_work() -> None:
    code = "from ctxshrink.distill import ExtractiveDistiller as E, recipe_key as k"
    policy = "lambda segments, call: {s.id: 0.5 for s in segments}"
    code += (
        f"\nfrom ctxshrink import Shrinker as S\nprint(k(E(0.6).recipe), k(E(0.6, shrinker=S(policy={policy})).recipe))"
    )
    told = [subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in range(2)]
    assert told[0] == told[1]
    distiller = ExtractiveDistiller(0.6)
    before = recipe_key(distiller.recipe)
    distiller.distill([Source(REPORT)])
    assert recipe_key(distiller.recipe) == before == told[0].decode().split()[0]


def test_the_recipe_holds_no_path() -> None:
    class Counter(WordCounter):
        name = "/home/someone/models/tokenizer.json"

    recipe = ExtractiveDistiller(0.5, shrinker=quick(counter=Counter())).recipe
    assert recipe["counter"] == "tokenizer.json"
    assert "someone" not in json.dumps(dict(recipe))


def test_what_is_wrong_raises() -> None:
    with pytest.raises(ConfigError, match="keep"):
        ExtractiveDistiller(0)
    with pytest.raises(ConfigError, match="apply"):
        ExtractiveDistiller(0.5, shrinker=quick(mode="observe"))
    with pytest.raises(ConfigError, match="Shrinker"):
        ExtractiveDistiller(0.5, shrinker="extractive")  # pyright: ignore[reportArgumentType]
