"""An account without texts holds nothing of them: not in reasons, not in warnings, not in errors."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink import AllOf, KeepFacts, PerplexityGuardrail, Shrinker
from ctxshrink._redact import MARK, redacted
from ctxshrink.types import Call, Candidate, Guardrail, Job
from tests.strategies import PROPERTY


class Leaky:
    """A compressor whose errors hold the text."""

    name = "leaky"

    def compress(self, jobs: Sequence[Job], call: Call, /) -> Sequence[Candidate]:
        raise ValueError(f"cannot shorten {jobs[0].segment.text}")


class Liar:
    """Changes what it keeps, so that the guardrail has something to say."""

    name = "liar"

    def compress(self, jobs: Sequence[Job], call: Call, /) -> Sequence[Candidate]:
        return [Candidate(re.sub(r"\d", "7", j.segment.text[: len(j.segment.text) // 2])) for j in jobs]


def texts(seed: int) -> list[str]:
    """Sentences of words that nobody else writes."""
    rng = random.Random(seed)
    word = lambda: "zq" + "".join(rng.choices("aeioubdgkt", k=6))  # noqa: E731
    sentence = lambda: f"{word().title()} {word()} '{word()}' the {word()} {rng.randint(10**6, 10**7)} of “{word()}”."  # noqa: E731
    return [" ".join(sentence() for _ in range(5)) for _ in range(3)]


@pytest.mark.parametrize(
    "guardrail", [PerplexityGuardrail(), AllOf(PerplexityGuardrail(), KeepFacts())], ids=["one", "all"]
)
@pytest.mark.parametrize("compressors", [["pruner"], [Leaky(), "lead"], [Liar()]], ids=["pruner", "leaky", "liar"])
@pytest.mark.parametrize("goal", [{"keep": 0.4}, {"max_tokens": 60}], ids=["keep", "budget"])
def test_no_word_of_the_texts_is_in_the_account(guardrail: Guardrail, compressors: list, goal: dict) -> None:
    for seed in range(3):
        given_texts = texts(seed)
        query = given_texts[0].split(".")[0] + "?"
        shrinker = Shrinker(guardrail=guardrail, compressors=compressors)
        result = shrinker.shrink_documents(given_texts, query, **goal)
        account = json.dumps(result.to_dict(), ensure_ascii=False).lower()
        assert "zq" not in account, account
        assert not any(number in account for text in given_texts for number in re.findall(r"\d{7}", text))
        assert "zq" in json.dumps(result.to_dict(text=True)).lower()


@given(st.text(max_size=60))
@PROPERTY
def test_what_stands_in_quotation_marks_is_left_out(text: str) -> None:
    made = redacted(f"pruner at keep 0.5; drops 'zq{text}zq', number 3 in the ranking; risk 0.10 <= 0.30")
    assert "zq" not in made
    assert made.startswith("pruner at keep 0.5; drops " + MARK)


def test_of_an_exception_its_class_is_left() -> None:
    assert redacted("pruner failed: ValueError: no room for the secret") == "pruner failed: ValueError"
    assert redacted("the newest user turn") == "the newest user turn"
