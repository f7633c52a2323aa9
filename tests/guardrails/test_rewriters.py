"""Compressors that say something else than the original, through a whole `Shrinker`."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ctxshrink import PerplexityGuardrail, Shrinker
from ctxshrink.testing import FakeScorer, WordCounter
from ctxshrink.types import Call, Candidate, Job


class Rewriter:
    """A compressor that says something else than the original."""

    def __init__(self, rewrite: Callable[[str], str]) -> None:
        self.name, self.rewrite = "rewriter", rewrite

    def compress(self, jobs: Sequence[Job], call: Call, /) -> list[Candidate]:
        return [Candidate(self.rewrite(j.segment.text)) for j in jobs]


PRICES = "Room 4 costs 90 euros a night. Room 7 costs 60 euros a night. Breakfast is served in the garden all summer."
ORDERS = "Do not open the blue valve. The tank must never be emptied. Breakfast is served in the garden all summer."
REST = " Breakfast is served in the garden all summer."


@pytest.mark.parametrize("query", [None, "What does room 7 cost?"])
@pytest.mark.parametrize(
    ("text", "rewrite"),
    [
        (PRICES, lambda t: t.replace("90", "x").replace("60", "90").replace("x", "60").removesuffix(REST)),
        (PRICES, lambda t: t.replace("60", "66").removesuffix(REST)),
        (ORDERS, lambda t: t.replace("Do not open", "Open").removesuffix(REST)),
        (ORDERS, lambda t: t.replace("must never be", "must be").removesuffix(REST)),
        (PRICES, lambda t: "Prices were recently discussed by various experienced travellers."),
    ],
    ids=["swapped", "altered", "not", "never", "filler"],
)
def test_a_compressor_that_changes_what_is_said_is_not_believed(text: str, rewrite: Any, query: str | None) -> None:
    guardrail = PerplexityGuardrail(FakeScorer(), threshold=1.0)
    shrinker = Shrinker(guardrail=guardrail, counter=WordCounter(), compressors=[Rewriter(rewrite)])
    result = shrinker.shrink_text(text, query, keep=0.9)
    assert result.output == text
    [decision] = result.decisions
    assert decision.action == "fallback"
    assert "the compression " in decision.reason


@pytest.mark.parametrize("query", [None, "What does room 7 cost?"])
def test_a_compressor_that_rewords_nothing_of_what_it_keeps_is_believed(query: str | None) -> None:
    guardrail = PerplexityGuardrail(FakeScorer(), threshold=1.0)
    drop = Rewriter(lambda text: text.removesuffix(REST))
    shrinker = Shrinker(guardrail=guardrail, counter=WordCounter(), compressors=[drop])
    result = shrinker.shrink_text(PRICES, query, keep=0.9)
    assert result.output == PRICES.removesuffix(REST)


@pytest.mark.parametrize("on_reject", ["exceed", "budget"])
@pytest.mark.parametrize("rewrite", [lambda t: "", lambda t: "What does room 7 cost?", lambda t: t[:9]])
def test_what_loses_nearly_everything_is_rejected(rewrite: Callable[[str], str], on_reject: Any) -> None:
    shrinker = Shrinker(guardrail=PerplexityGuardrail(FakeScorer()), compressors=[Rewriter(rewrite)])
    result = shrinker.shrink_text(PRICES, "What does room 7 cost?", keep=0.5, on_reject=on_reject)
    if on_reject == "exceed":
        assert result.output == PRICES
    else:
        assert result.kept_share <= 0.5
        assert any("without the guardrail's consent" in w for w in result.warnings)
