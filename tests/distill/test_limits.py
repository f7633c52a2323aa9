"""Rates, costs and further tries."""

from __future__ import annotations

import threading
import time

import pytest

from ctxshrink.distill._calls import Caller, Unanswered
from ctxshrink.distill.limits import Limits, Meter, Spent, Usage
from ctxshrink.distill.llms import Completion, OpenAIEndpoint
from ctxshrink.errors import ConfigError
from ctxshrink.testing import WordCounter


class Clock:
    """Time that passes only where somebody sleeps."""

    def __init__(self) -> None:
        self.now, self.slept = 100.0, list[float]()

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.mark.parametrize(("rate", "size"), [(6.0, 1), (60.0, 1), (600.0, 1)])
def test_no_minute_holds_more_requests_than_asked(rate: float, size: int) -> None:
    clock = Clock()
    meter = Meter(Limits(requests_per_minute=rate), clock.sleep, clock)
    sent: list[float] = []
    while clock.now < 400:
        meter.begin(size, 0)
        sent.append(clock.now)
    assert len(sent) > 0.8 * rate * 300 / 60
    assert all(sum(t <= s < t + 60 for s in sent) <= rate for t in sent)


def test_tokens_flow_at_their_rate_and_what_was_not_used_comes_back() -> None:
    clock = Clock()
    meter = Meter(Limits(tokens_per_minute=6000), clock.sleep, clock)
    for _ in range(50):
        meter.begin(100, 100)
        meter.end((100, 100), (100, 20))
    used = meter.usage
    assert (used.calls, used.input_tokens, used.output_tokens) == (50, 5000, 1000)
    assert 45 < clock.now - 100 < 75


def test_a_request_larger_than_the_bucket_is_sent_and_paid_for() -> None:
    clock = Clock()
    meter = Meter(Limits(tokens_per_minute=600), clock.sleep, clock)
    meter.begin(600, 0)
    meter.begin(10, 0)
    assert 50 < sum(clock.slept) < 200


def test_many_threads_never_pass_the_bounds() -> None:
    meter = Meter(Limits(max_calls=50, max_tokens=400))
    spent: list[str] = []

    def work() -> None:
        for _ in range(20):
            try:
                meter.begin(5, 5)
                meter.end((5, 5), (4, 3))
            except Spent as error:
                spent.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    usage = meter.usage
    assert usage.calls <= 50
    assert usage.input_tokens + usage.output_tokens <= 400
    assert usage.calls + len(spent) == 160
    assert usage.calls >= 40


class Status(Exception):
    """As the errors of client libraries."""

    def __init__(self, status: int, **headers: str) -> None:
        super().__init__(str(status))
        self.status_code = status
        self.response = type("Response", (), {"status_code": status, "headers": headers})()


class APITimeoutError(Exception):
    pass


class Failing:
    name = "failing"

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.asked = list(errors), 0

    def complete(self, system: str, user: str, /, *, max_tokens: int) -> Completion:
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        return Completion("yes")


def ask(llm: Failing, clock: Clock, **limits: float) -> str:
    caller = Caller(llm, WordCounter(), Limits(**limits), sleep=clock.sleep, clock=clock)  # pyright: ignore[reportArgumentType]
    return caller.ask("s", "u", 10)


@pytest.mark.parametrize("error", [Status(429), Status(503), APITimeoutError(), TimeoutError(), ConnectionResetError()])
def test_what_may_pass_is_tried_again_after_longer_and_longer_pauses(error: Exception) -> None:
    clock, llm = Clock(), Failing(error, error, error)
    assert ask(llm, clock) == "yes"
    assert llm.asked == 4
    assert [pause <= 0.5 * 2**i for i, pause in enumerate(clock.slept)] == [True] * 3


@pytest.mark.parametrize("error", [Status(400), Status(401), ValueError("no"), RuntimeError()])
def test_what_will_not_pass_is_not(error: Exception) -> None:
    clock, llm = Clock(), Failing(error)
    with pytest.raises(Unanswered, match=type(error).__name__):
        ask(llm, clock)
    assert (llm.asked, clock.slept) == (1, [])


def test_a_pause_that_is_asked_for_is_made_unless_it_is_too_long() -> None:
    clock, llm = Clock(), Failing(Status(429, **{"retry-after": "17"}))
    assert ask(llm, clock) == "yes"
    assert clock.slept == [17.0]
    clock, llm = Clock(), Failing(Status(429, **{"retry-after": "3600"}))
    with pytest.raises(Unanswered, match="429"):
        ask(llm, clock)
    assert (llm.asked, clock.slept) == (1, [])


def test_a_model_that_keeps_failing_is_left_alone_for_a_while() -> None:
    clock, llm = Clock(), Failing(*[Status(400)] * 3)
    caller = Caller(llm, WordCounter(), Limits(give_up=2, cooling=30), sleep=clock.sleep, clock=clock)
    for why in ("400", "400", "2 requests failed in a row", "2 requests failed in a row"):
        with pytest.raises(Unanswered, match=why):
            caller.ask("s", "u", 10)
    clock.now += 31
    with pytest.raises(Unanswered, match="400"):
        caller.ask("s", "u", 10)
    clock.now += 31
    assert caller.ask("s", "u", 10) == "yes"
    assert caller.ask("s", "u", 10) == "yes"
    assert llm.asked == 5


def test_a_try_without_an_answer_counts_with_all_it_may_have_cost() -> None:
    clock = Clock()
    caller = Caller(Failing(TimeoutError()), WordCounter(), Limits(), sleep=clock.sleep, clock=clock)
    caller.ask("s", "u", 10)
    assert caller.usage == Usage(calls=2, input_tokens=36, output_tokens=11, failed=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [("requests_per_minute", 0), ("tokens_per_minute", -1), ("max_calls", -1), ("max_tokens", 0.5), ("concurrency", 0),
     ("tries", 0), ("patience", -1), ("give_up", 0), ("cooling", float("inf"))],
)  # fmt: skip
def test_what_is_wrong_raises(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=name):
        Limits(**{name: value})  # pyright: ignore[reportArgumentType]


class ConnectError(Exception):
    """As httpx calls it."""


@pytest.mark.parametrize("error", [ConnectError(), ConnectionRefusedError()])
def test_a_try_without_a_connection_costs_no_tokens(error: Exception) -> None:
    clock = Clock()
    caller = Caller(Failing(error), WordCounter(), Limits(), sleep=clock.sleep, clock=clock)
    caller.ask("s", "u", 10)
    assert caller.usage == Usage(calls=2, input_tokens=18, output_tokens=1, failed=1)


def test_a_server_that_is_down_spends_no_tokens() -> None:
    caller = Caller(OpenAIEndpoint("http://127.0.0.1:9", "m"), WordCounter(), Limits(tries=1), sleep=lambda _: None)
    with pytest.raises(Unanswered, match="connection failed"):
        caller.ask("s", "u", 10)
    assert caller.usage == Usage(calls=1, failed=1)


def test_what_a_client_library_says_is_not_kept() -> None:
    """Addresses in its errors may hold a key, and what a server says may repeat the text."""
    status = Status(400)
    status.args = ("400 for https://host.example/v1?key=hunter2: the secret text",)
    for error, said in ((status, "Status (status 400)"), (ValueError("hunter2"), "ValueError")):
        with pytest.raises(Unanswered) as caught:
            ask(Failing(error), Clock())
        assert str(caught.value) == said


def test_a_pause_ends_where_the_answer_is_not_wanted_any_more() -> None:
    stop, llm = threading.Event(), Failing(Status(429, **{"retry-after": "50"}))
    caller = Caller(llm, WordCounter(), Limits(patience=60))
    said: list[str] = []

    def work() -> None:
        try:
            caller.ask("s", "u", 10, stop=stop)
        except Unanswered as error:
            said.append(str(error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    while not llm.asked:
        time.sleep(0.001)
    stop.set()
    thread.join(30)
    assert (said, llm.asked) == (["interrupted"], 1)
    assert caller.usage.output_tokens == 0
