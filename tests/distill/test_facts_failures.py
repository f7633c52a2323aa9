"""A server that fails, hangs or refuses: nothing is lost, and what it costs is bounded."""

from __future__ import annotations

import threading

import pytest

from ctxshrink.distill import Limits, Source
from ctxshrink.distill.llms import OpenAIEndpoint
from tests.distill.chat import KEY, listed, model, said
from tests.distill.harbour import FACTS, HARBOUR, distilled, facts_of
from tests.scorers.loopback import Answer, Request


class Failing:
    """Fails a few times, then is good."""

    def __init__(self, times: int, bad: Answer) -> None:
        self.left, self.bad, self._lock = times, bad, threading.Lock()

    def __call__(self, _: Request) -> Answer:
        with self._lock:
            self.left -= 1
            return self.bad if self.left >= 0 else said(listed(FACTS))


BAD = {
    "429": Answer({"error": "slow down"}, 429, {"Retry-After": "0"}),
    "500": Answer(b"oops", 500),
    "529": Answer(b"overloaded", 529),
    "503": Answer({"error": {"message": "overloaded"}}, 503),
    "not JSON": Answer(b"<html>gateway</html>"),
    "truncated": Answer(b'{"choices": [{"mess', headers={"Content-Length": "500"}),
    "no choices": Answer({"object": "error"}),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_what_passes_is_waited_for(bad: Answer) -> None:
    made, asked = distilled(Failing(2, bad))
    assert (made.method, made.final, asked) == ("facts", True, 3)


@pytest.mark.parametrize(
    ("bad", "requests"),
    [
        *((b, 4) for b in BAD.values()),
        (Answer({"error": {"message": f"wrong key {KEY}"}}, 401), 1),
        (Answer(b"{}", 429, {"Retry-After": "3600"}), 1),
        (Answer(b" " * 4_000_000), 1),
    ],
    ids=[*BAD, "401", "asks for an hour", "huge"],
)
def test_what_does_not_pass_is_extracted_and_not_final(bad: Answer, requests: int) -> None:
    made, asked = distilled(lambda _: bad)
    assert (made.method, made.final, asked) == ("extractive", False, requests)
    assert made.text
    assert KEY not in made.reason


def test_a_server_that_hangs_or_drips_is_given_up() -> None:
    for bad in (Answer(b" " * 1000, pace=0.05),):
        made, asked = distilled(lambda _, bad=bad: bad, timeout=0.15, limits=Limits(patience=0.01, tries=2))
        assert (made.method, made.final, asked) == ("extractive", False, 2)
        assert "no whole answer" in made.reason


def test_the_bound_on_requests_holds_and_the_rest_is_not_final() -> None:
    with model(Failing(1, BAD["500"])) as (url, asked):
        distiller = facts_of(OpenAIEndpoint(url, "m"), limits=Limits(max_calls=3, concurrency=1, patience=0.01))
        made = distiller.distill([Source(HARBOUR), Source(HARBOUR + " "), Source(HARBOUR + "\n"), Source("Short.")])
    assert len(asked.requests) == 3 == distiller.usage.calls
    assert [m.method for m in made[:3]] == ["facts", "facts", "extractive"]
    assert [m.final for m in made] == [True, True, False, True]
    assert "max_calls=3" in made[2].reason


def test_the_bound_on_tokens_holds() -> None:
    used = {"prompt_tokens": 300, "completion_tokens": 100}
    with model(lambda _: said(listed(FACTS), **used)) as (url, asked):
        limits = Limits(max_tokens=2000, concurrency=1)
        distiller = facts_of(OpenAIEndpoint(url, "m"), limits=limits)
        made = distiller.distill([Source(HARBOUR + " " * i) for i in range(8)])
    usage = distiller.usage
    assert usage.input_tokens + usage.output_tokens <= 2000
    assert (usage.input_tokens, usage.output_tokens) == (300 * usage.calls, 100 * usage.calls)
    assert 1 <= len(asked.requests) == usage.calls < 8
    assert [m.final for m in made] == [True] * usage.calls + [False] * (8 - usage.calls)


def test_a_server_that_is_down_does_not_hold_up_a_corpus() -> None:
    with model(lambda _: BAD["500"]) as (url, asked):
        limits = Limits(tries=2, give_up=2, concurrency=1, patience=0.01)
        made = facts_of(OpenAIEndpoint(url, "m"), limits=limits).distill([Source(HARBOUR + " " * i) for i in range(9)])
    assert len(asked.requests) == 4
    assert not any(m.final for m in made)
    assert "failed in a row" in made[-1].reason
