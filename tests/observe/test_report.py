"""The report: sums, intervals, and how it is told."""

import json

import numpy as np
import pytest

from ctxshrink import KeepFacts, Shrinker
from ctxshrink._shadow import LEAST_UNITS, Reused, ratio_interval
from ctxshrink.economics import Prices
from ctxshrink.observe import Observer
from tests.observe.material import CHUNKS, calls, returns, user, watched


def test_sums_are_those_of_the_results() -> None:
    observer = Observer(Prices(2.0, 8.0, 2.5, 0.5))
    shrinker = Shrinker(compressors=["extractive"], guardrail=KeepFacts(), mode="observe", telemetry=observer)
    results = [shrinker.shrink_documents([text], keep=keep) for text in CHUNKS for keep in (0.3, 0.6)]
    report = observer.report()
    saved = sum(r.saved for r in results)
    assert saved > 0
    assert report.tokens_before == sum(r.tokens_before for r in results)
    assert report.saved == saved
    assert report.share == pytest.approx(saved / report.tokens_before)
    assert report.seconds == pytest.approx(sum(r.seconds for r in results))
    decisions = [d for r in results for d in r.decisions]
    assert sum(report.actions.values()) == len(decisions)
    judged = [d for d in decisions if d.verdict and d.action == "compressed"]
    assert report.judged == len(judged)
    assert report.expected_losses == pytest.approx(sum(d.verdict.score for d in judged if d.verdict))
    assert report.money == pytest.approx(saved * 2e-6)
    assert report.money_cached == pytest.approx(saved * 0.5e-6)


def test_compressed_for_real_is_counted_apart() -> None:
    observer = Observer()
    Shrinker(compressors=["lead"], guardrail=None, telemetry=observer).shrink_documents(CHUNKS, keep=0.5)
    report = observer.report()
    assert (report.calls, report.applied, report.tokens_before) == (0, 1, 0)
    assert "1 calls were compressed for real" in report.to_text()


def test_the_report_as_text_and_json() -> None:
    observer = watched([calls("1", booking="QX7T2"), returns("1", "done"), user("Well?")])
    report = observer.report()
    told = json.loads(json.dumps(report.to_dict()))
    assert told["tool_calls"] == {
        "needed": 1,
        "missed": 1,
        "rate": 1.0,
        "interval": pytest.approx([0.2065, 1.0], abs=1e-4),
    }
    assert (told["saved"], told["share"], told["money"]) == (report.saved, report.share, None)
    text = report.to_text()
    assert f"{report.tokens_before} -> {report.tokens_after} tokens" in text
    assert "later tool calls: 1 of 1 reused strings would have been missed" in text
    assert "money" not in text
    assert Observer().report().to_text() == "no shadow calls were seen"


@pytest.mark.parametrize(
    ("missed", "needed", "low", "high"), [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (5, 10, 0.2366, 0.7634)]
)
def test_score_interval(missed: int, needed: int, low: float, high: float) -> None:
    assert Reused(needed, missed).interval == pytest.approx((low, high), abs=1e-4)


def test_no_needs_say_nothing() -> None:
    assert Reused(0, 0).rate is None
    assert Reused(0, 0).interval == (0.0, 1.0)


def test_bootstrap_interval() -> None:
    tops, bottoms = np.arange(40.0), np.full(40, 100.0)
    found = ratio_interval(tops, bottoms)
    assert found is not None
    assert found[0] < tops.sum() / bottoms.sum() < found[1]
    # The mean of n draws has the standard error s / sqrt(n); an interval of 95 % is about four of them wide.
    assert found[1] - found[0] == pytest.approx(4 * tops.std() / 40**0.5 / 100, rel=0.15)
    assert ratio_interval(tops, bottoms) == found
    assert ratio_interval(tops[: LEAST_UNITS - 1], bottoms[: LEAST_UNITS - 1]) is None
    assert ratio_interval(tops, np.zeros(40)) is None
