import pytest

from ctxshrink import PerplexityGuardrail, Shrinker
from ctxshrink.guardrails import judge_result
from ctxshrink.testing import FakeScorer
from tests.guardrails.detectors import detector

DOCS = [
    "The canteen opens at noon. Soup is served first. The cook is called Irma. Bread is free on Mondays.",
    "The bridge was closed on 3 May. Lorries take the ring road. Cyclists may pass. The toll is 7 euros.",
]


@pytest.mark.parametrize("query", [None, "Who cooks?"])
@pytest.mark.parametrize("keep", [0.2, 0.7])
def test_a_result_is_judged_as_the_call_judged_it(query: str | None, keep: float) -> None:
    guardrail = PerplexityGuardrail(FakeScorer(), detector=detector(), threshold=0.6)
    result = Shrinker(guardrail=guardrail).shrink_documents(DOCS, query, keep=keep)
    assert judge_result(guardrail, result, query).ok
    free = Shrinker(guardrail=None).shrink_documents(DOCS, query, keep=0.05)
    risk = judge_result(guardrail, free, query)
    assert not risk.ok
    assert risk.score > 0.6


def test_what_came_out_whole_is_no_loss() -> None:
    result = Shrinker(guardrail=None).shrink_documents(DOCS, keep=1.0)
    assert judge_result(PerplexityGuardrail(FakeScorer()), result).score == 0.0
