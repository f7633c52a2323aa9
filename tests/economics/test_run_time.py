"""Break-even inside a `Shrinker`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from ctxshrink import ConfigError, KeepRatio, Shrinker
from ctxshrink.economics import Economics, Latency, Prices
from ctxshrink.providers import RULES
from ctxshrink.testing import WordCounter
from ctxshrink.types import Call, Candidate, Job

PRICED = Prices(3.0, 15.0, 3.75, 0.3)
CACHED = replace(RULES["anthropic"], min_prefix=100)


def words(n: int, name: str) -> str:
    return " ".join(f"{name}{i}" + ("." if i % 7 == 6 else "") for i in range(n))


def shrinker(economics: Economics | None) -> Shrinker:
    return Shrinker(
        policy=KeepRatio(0.5), compressors=["lead"], guardrail=None, counter=WordCounter(), economics=economics
    )


def test_a_segment_that_does_not_pay_is_left_alone_and_says_so() -> None:
    docs = [words(21, "a"), words(210, "b")]
    result = shrinker(Economics(minimum_tokens=50)).shrink_documents(docs, keep=0.5)
    small, large = result.decisions
    assert (small.action, small.text) == ("kept", docs[0])
    assert "fewer than the 50" in small.reason
    assert large.tokens_after < large.tokens_before
    assert result.output[0] == docs[0]
    assert not small.attempts
    assert shrinker(None).shrink_documents(docs, keep=0.5).decisions[0].attempts


def test_slow_compressing_is_not_worth_it_where_time_matters() -> None:
    slow = Economics(throughput=Latency(10_000, 1_000), max_delay=0.0)
    result = shrinker(slow).shrink_text(words(200, "a"), keep=0.5)
    assert result.saved == 0
    assert "prefill" in result.decisions[0].reason
    assert any("prefill" in warning for warning in result.warnings)


def test_documents_that_are_asked_about_again_stay_long_enough_to_be_cached() -> None:
    docs = [words(70, "a"), words(70, "b")]
    economics = Economics(prices=PRICED, rules=CACHED, turns=20)
    result = shrinker(economics).shrink_documents(docs, keep=0.5)
    assert result.tokens_after >= CACHED.min_prefix
    assert shrinker(replace(economics, turns=0)).shrink_documents(docs, keep=0.5).tokens_after < 100


def test_a_history_that_the_provider_caches_is_left_to_a_conversation() -> None:
    messages = [{"role": ("user", "assistant")[i % 2], "content": words(40, f"m{i}x")} for i in range(13)]
    made = shrinker(Economics(prices=PRICED, rules=CACHED))
    result = made.shrink_messages(messages, keep=0.5)
    assert result.output == messages
    assert any("Conversation" in d.reason for d in result.decisions)
    bound = made.shrink_messages(messages, max_tokens=350)
    assert bound.tokens_after <= 350  # a bound holds whatever it costs


def test_what_came_out_too_short_to_be_cached_is_undone() -> None:
    class Hard:
        name = "hard"

        def compress(self, jobs: Sequence[Job], call: Call, /) -> Sequence[Candidate]:
            return [Candidate(" ".join(j.segment.text.split()[:25])) for j in jobs]

    economics = Economics(prices=PRICED, rules=CACHED, turns=50)
    made = Shrinker(compressors=[Hard()], guardrail=None, counter=WordCounter(), economics=economics)
    docs = [words(70, "a"), words(80, "b"), words(90, "c")]
    result = made.shrink_documents(docs, keep=0.6)
    assert result.tokens_after >= CACHED.min_prefix
    undone = [d for d in result.decisions if d.action == "kept"]
    assert undone
    assert all(d.text == d.segment.text and d.tokens_after == d.tokens_before for d in undone)
    assert any(d.attempts for d in undone)


def test_the_setting_is_checked_and_shown() -> None:
    with pytest.raises(ConfigError, match="economics"):
        Shrinker(economics="gpt-5")  # type: ignore[arg-type]
    economics = Economics(model="gpt-5")
    made = shrinker(economics)
    assert made.economics is economics
    assert "gpt-5" in repr(made)
    assert "economics" not in repr(shrinker(None))
