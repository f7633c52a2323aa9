"""Requests: bounded in time, tried again where that can help, and an error that shows neither key nor text."""

from __future__ import annotations

import socket
import threading
import time
from email.utils import formatdate
from typing import Any

import pytest

from ctxshrink.errors import ConfigError, ModelError
from ctxshrink.scorers import ServerScorer
from tests.scorers.loopback import Answer, Request, ask, good, refused, serve

KEY = "sk-secret-of-the-test"


def test_a_server_that_is_down() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    scorer = ServerScorer(f"http://127.0.0.1:{port}", "m", retries=0, api_key=KEY)
    with pytest.raises(ModelError, match="the connection failed") as caught:
        scorer.nll([("", "x")])
    assert KEY not in str(caught.value)


def test_a_server_that_accepts_and_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        scorer = ServerScorer(f"http://127.0.0.1:{silent.getsockname()[1]}", "m", retries=0, timeout=0.1)
        with pytest.raises(ModelError, match=r"no whole answer within 0\.1 s"):
            scorer.nll([("", "x")])


def test_a_server_that_drips() -> None:
    with pytest.raises(ModelError, match=r"no whole answer within 0\.2 s"):
        ask(lambda _: Answer(b" " * 10_000, pace=0.02), timeout=0.2)


def test_an_error_does_not_wait_for_other_requests() -> None:
    over, answered = threading.Event(), threading.Event()

    def answer(request: Request) -> Answer:
        if request.body["prompt"] == "other":
            return refused(400, "no")
        over.wait(30)
        answered.set()
        return good(request)

    with serve(answer) as url:
        with pytest.raises(ModelError, match="status 400"):
            ServerScorer(url, "m", retries=0, timeout=60.0).nll([("context", "target"), ("context", "other")])
        waited = answered.is_set()
        over.set()
    assert not waited


@pytest.mark.parametrize(
    "url",
    ["http://h?key={}", "http://h#{}", "http://u:{}@[bad", "u:{}@host:80", "http://h:99999/?k={}", "http://u:{}@h"],
)
def test_a_url_that_is_refused_shows_no_secret(url: str) -> None:
    with pytest.raises(ConfigError, match="url must") as caught:
        ServerScorer(url.format(KEY), "m")
    assert KEY not in str(caught.value)


def test_a_key_at_the_end_of_a_long_message_is_not_cut_in_half() -> None:
    with pytest.raises(ModelError) as caught:
        ask(lambda _: refused(401, "x" * 190 + KEY), api_key=KEY)
    assert KEY[:8] not in str(caught.value)


def test_a_message_that_repeats_the_key_or_the_input_is_cut() -> None:
    said = f"key {KEY} is wrong, 'input': 'the secret text'"
    with pytest.raises(ModelError, match=r"status 400: key … is wrong,$") as caught:
        ask(lambda r: refused(400, said) if r.path != "/tokenize" else good(r), api_key=KEY)
    assert KEY not in str(caught.value)
    with pytest.raises(ModelError, match=r"/tokenize: status 400$"):
        ask(lambda _: refused(400, "what is 'context'?"))


class Failing:
    """Fails a few times with a status, then is good."""

    def __init__(self, times: int, status: int = 503, headers: dict[str, str] | None = None) -> None:
        self.left, self.status, self.headers = times, status, headers or {}
        self.asked = 0
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Answer:
        with self._lock:
            self.asked += 1
            self.left -= 1
            return Answer(b"", self.status, self.headers) if self.left >= 0 else good(request)


def retried(failing: Failing, retries: int) -> list[float]:
    """The pauses that are made until a target of a known start token is scored."""
    pauses: list[float] = []
    with serve(failing) as url:
        scorer: Any = ServerScorer(url, "m", retries=retries, start=1)
        for client in (scorer, scorer._encoder):
            client._client = type(client._client)(url, None, 30.0, retries, pauses.append)
        [nats] = scorer.nll([("", "x")])
    assert nats.tolist() == [1.0]
    return pauses


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 520, 529])
def test_it_tries_again_after_longer_and_longer_pauses(status: int) -> None:
    pauses = retried(Failing(3, status), 3)
    assert [0.125 * 2**i <= p <= 0.25 * 2**i for i, p in enumerate(pauses)] == [True] * 3


def test_a_pause_that_the_server_asks_for_is_made() -> None:
    assert retried(Failing(1, 429, {"Retry-After": "7"}), 1) == [7.0]
    [pause] = retried(Failing(1, 503, {"Retry-After": formatdate(time.time() + 20, usegmt=True)}), 1)
    assert 10 < pause <= 20
    for value in ("soon", "-1", "", "²", "99 bottles"):
        [pause] = retried(Failing(1, 503, {"Retry-After": value}), 1)
        assert pause <= 0.25


def test_a_pause_longer_than_a_try_is_not_made() -> None:
    failing = Failing(9, 429, {"Retry-After": "3600"})
    with pytest.raises(ModelError, match="asks to wait for 3600 s"):
        ask(failing, retries=5)


def test_it_gives_up_after_the_last_try() -> None:
    failing = Failing(9)
    with pytest.raises(ModelError, match="status 503 after 1 try"), serve(failing) as url:
        ServerScorer(url, "m", retries=0, start=1).nll([("", "x")])
    assert failing.asked == 1


@pytest.mark.parametrize("status", [302, 400, 501, 505])
def test_other_statuses_are_not_tried_again(status: int) -> None:
    failing = Failing(9, status, {"Location": "http://127.0.0.1:9/elsewhere"})
    with pytest.raises(ModelError, match=f"status {status}"), serve(failing) as url:
        ServerScorer(url, "m", retries=5, start=1).nll([("", "x")])
    assert failing.asked == 1
