from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ctxshrink import Conversation, Shrinker
from ctxshrink.economics import Economics, Latency, Prices, Usage, bill, net, rewritten_tokens
from ctxshrink.economics.simulated import SimulatedCache
from ctxshrink.errors import ConfigError
from ctxshrink.providers import RULES
from ctxshrink.result import ShrinkResult
from ctxshrink.testing import WordCounter
from ctxshrink.types import Attempt, Decision, Goal, Segment

PRICED = Prices(3.0, 15.0, 3.75, 0.3)
CACHED = replace(RULES["anthropic"], min_prefix=10)


def result(before: int, after: int, *decisions: Decision, seconds: float = 0.5, **more: Any) -> ShrinkResult[Any]:
    return ShrinkResult([], decisions, before, after, "words", True, Goal(keep=0.5), seconds=seconds, **more)


def decision(before: int, after: int, action: Any) -> Decision:
    tried = (Attempt("lead", 0.5, after),) if action in ("compressed", "fallback", "frozen") else ()
    return Decision(Segment("0", ""), action, "", "", before, after, attempts=tried)


def test_gross_and_net_with_their_denominators() -> None:
    decisions = decision(600, 200, "compressed"), decision(100, 100, "fallback"), decision(300, 300, "locked")
    economics = Economics(prices=PRICED, throughput=Latency(1_000, 2_000), compute_price=0.0002)
    report = net([result(1000, 600, *decisions)] * 2, economics, rewritten=50, expanded=100)
    assert (report.calls, report.tokens, report.saved, report.net_tokens) == (2, 2000, 800, 700)
    assert (report.tried, report.fallback) == (1400, 200)
    assert report.plain_cost == pytest.approx(2000 * 3 / 1e6)
    assert report.saved_cost == pytest.approx(800 * 3 / 1e6)
    assert report.compress_cost == pytest.approx(0.0002)
    assert report.rewrite_cost == 0  # nothing is cached
    assert report.expand_cost == pytest.approx(100 * 3 / 1e6)
    assert report.net_cost == pytest.approx(0.0024 - 0.0002 - 0.0003)
    assert report.net_seconds == pytest.approx(0.8 - 1.0)
    said = str(report)
    assert "800 of the 2,000 input tokens that 2 calls would have sent uncompressed were saved, 40.0% gross" in said
    assert "35.0% net of expansions" in said
    assert "31.7% of the 0.0060" in said
    as_dict = json.loads(json.dumps(report.to_dict()))
    assert as_dict["net_share_of_plain_cost"] == pytest.approx(0.0019 / 0.006, abs=1e-6)
    assert as_dict["saved_share_of_tokens"] == 0.4


def test_a_loss_is_shown_as_one() -> None:
    economics = Economics(prices=PRICED, throughput=Latency(1_000, 2_000), compute_price=0.1)
    report = net(result(1000, 999, decision(1000, 1000, "fallback")), economics)
    assert report.net_cost is not None
    assert report.net_cost < 0
    assert "-" in str(report)


def test_without_prices_tokens_and_time_alone() -> None:
    report = net(result(10, 10))
    assert (report.saved, report.net_cost, report.net_seconds, report.plain_cost) == (0, None, None, None)
    assert "Money" not in str(report)
    assert net(result(0, 0)).to_dict()["saved_share_of_tokens"] is None
    assert "would have been saved" in str(net(result(10, 5, mode="observe")))


def test_in_a_conversation_what_was_sent_is_read_again() -> None:
    economics = Economics(prices=PRICED, rules=CACHED)
    report = net([result(100, 60), result(150, 80)], economics, conversation=True, rewritten=30)
    assert report.plain_cost == pytest.approx((100 * 3.75 + 100 * 0.3 + 50 * 3.75) / 1e6)
    sent = (60 * 3.75 + 60 * 0.3 + 20 * 3.75) / 1e6
    assert report.saved_cost == pytest.approx((report.plain_cost or 0) - sent)
    assert report.rewrite_cost == pytest.approx(30 * 3.45 / 1e6)
    short = net([result(5, 5)], economics, conversation=True)
    assert short.plain_cost == pytest.approx(5 * 3 / 1e6)


def test_the_report_of_a_real_conversation_agrees_with_its_simulated_bill() -> None:
    shrinker = Shrinker(compressors=["lead"], guardrail=None, counter=len)
    counter, talk = shrinker.counter, Conversation(shrinker, provider=CACHED)
    results: list[ShrinkResult[Any]] = []
    cache, usage = SimulatedCache(CACHED, counter), Usage()
    messages: list[dict[str, Any]] = [{"role": "system", "content": "Answer."}]
    for turn in range(6):
        lines = " ".join(f"Line {turn} {i} of the log says nothing new." for i in range(300))
        messages += [
            {"role": "user", "content": f"What about hall {turn}?"},
            {"role": "assistant", "content": None, "tool_calls": [call(turn)]},
            {"role": "tool", "tool_call_id": f"c{turn}", "content": lines},
        ]
        results.append(talk.shrink(messages, keep=0.5))
        usage += cache.request(results[-1].output)
        messages.append({"role": "assistant", "content": f"Hall {turn} is fine."})
    economics = Economics(prices=PRICED, rules=CACHED)
    again = rewritten_tokens([r.output for r in results], counter)
    report = net(results, economics, conversation=True, rewritten=again)
    assert report.saved > 1000
    assert again == 0
    assert report.plain_cost is not None
    assert report.saved_cost is not None
    # The simulation counts whole messages, the report the text of segments: the rest of each message is a few words.
    assert report.plain_cost - report.saved_cost == pytest.approx(bill(usage, PRICED), rel=0.1)


def call(turn: int) -> dict[str, Any]:
    return {"id": f"c{turn}", "type": "function", "function": {"name": "read_log", "arguments": "{}"}}


def test_what_was_written_anew_is_counted_from_the_first_change_on() -> None:
    def said(*texts: str) -> list[dict[str, Any]]:
        return [{"role": "user", "content": t} for t in texts]

    one = WordCounter().count(['{"role":"user","content":"c"}'])[0]
    assert rewritten_tokens([said("a", "b"), said("a", "b", "c")], WordCounter()) == 0
    assert rewritten_tokens([said("a", "b", "c"), said("a", "x", "c", "d")], WordCounter()) == 2 * one
    assert rewritten_tokens([], WordCounter()) == 0


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least one"):
        net([])
    with pytest.raises(ConfigError, match="different counters"):
        net([result(1, 1), replace(result(1, 1), counter="other")])
    with pytest.raises(ConfigError, match="rewritten"):
        net(result(1, 1), rewritten=-1)
