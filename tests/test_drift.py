from __future__ import annotations

import logging
import pickle
import random
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink.drift import DriftMonitor, Expected, rejected_nothing
from ctxshrink.errors import ConfigError
from ctxshrink.types import Attempt, Decision, Segment, Verdict

EIGHTY = {"query": Expected((0.25, 0.5), (0.8, 0.8), 200)}


def feed(monitor: DriftMonitor, share: float, count: int, *, seed: int = 1, keep: float = 0.5) -> list[str]:
    rng = random.Random(seed)
    said = [monitor.observe(rng.random() < share, mode="query", keep=keep) for _ in range(count)]
    return [s for s in said if s is not None]


def test_traffic_as_calibrated_says_nothing() -> None:
    for seed in range(20):
        assert feed(DriftMonitor(EIGHTY), 0.8, 3000, seed=seed) == []


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_a_change_is_said_once(share: float, caplog: pytest.LogCaptureFixture) -> None:
    monitor = DriftMonitor(EIGHTY)
    with caplog.at_level(logging.WARNING, "ctxshrink"):
        said = feed(monitor, share, 5000)
    assert len(said) == 1
    assert "80% were expected" in said[0]
    assert "ctxshrink calibrate" in said[0]
    assert [r.getMessage() for r in caplog.records] == said
    assert monitor.drifted


def test_it_recovers_and_may_warn_again() -> None:
    monitor = DriftMonitor(EIGHTY)
    assert len(feed(monitor, 0.4, 1000)) == 1
    assert feed(monitor, 0.8, 2000) == []
    assert not monitor.drifted
    assert len(feed(monitor, 0.4, 1000)) == 1


def test_few_observations_and_small_differences_say_nothing() -> None:
    assert feed(DriftMonitor(EIGHTY), 0.0, 499) == []
    exact = {"query": Expected((0.5,), (0.8,), 10**9)}
    assert feed(DriftMonitor(exact, window=100_000, least=0.2), 0.7, 100_000) == []


def test_the_rate_is_that_of_the_keep_in_use() -> None:
    expected = Expected((0.1, 0.5), (0.2, 0.9), 500)
    assert [expected.at(k) for k in (0.05, 0.1, 0.3, 0.5, 0.75, 1.0)] == pytest.approx([0.2, 0.2, 0.55, 0.9, 0.95, 1.0])
    assert feed(DriftMonitor({"query": expected}), 0.9, 2000, keep=0.5) == []
    assert len(feed(DriftMonitor({"query": expected}), 0.9, 2000, keep=0.1)) == 1


def test_few_records_make_it_slow_to_warn() -> None:
    few, many = ({"query": Expected((0.5,), (0.8,), n)} for n in (15, 2000))
    assert feed(DriftMonitor(few), 0.68, 2000) == []
    assert len(feed(DriftMonitor(many), 0.68, 2000)) == 1


def test_a_calibrated_rate_of_all_allows_some_rejections() -> None:
    assert feed(DriftMonitor({"query": Expected((0.5,), (1.0,), 50)}), 0.98, 2000) == []


def test_modes_that_were_not_calibrated_are_not_counted() -> None:
    monitor = DriftMonitor(EIGHTY)
    assert all(monitor.observe(False, mode="blind", keep=0.5) is None for _ in range(2000))
    assert not monitor.drifted


def test_threads_warn_once_together() -> None:
    monitor, said = DriftMonitor(EIGHTY), list[str]()
    threads = [threading.Thread(target=lambda: said.extend(feed(monitor, 0.1, 1000))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(said) == 1


def test_it_can_be_pickled() -> None:
    monitor = DriftMonitor(EIGHTY)
    feed(monitor, 0.1, 499)
    copy = pickle.loads(pickle.dumps(monitor))
    assert len(feed(copy, 0.1, 60)) == 1
    assert not monitor.drifted


def decision(*verdicts: bool | None, error: str | None = None) -> Decision:
    attempts = [Attempt("lead", 0.5, 1, None if ok is None else Verdict(ok, 0.1, "said"), error) for ok in verdicts]
    return Decision(Segment("0", "text"), "kept", "said", "text", 1, 1, attempts=tuple(attempts))


def test_what_counts_as_accepted() -> None:
    assert rejected_nothing([decision(True), decision(), decision(True)]) is True
    assert rejected_nothing([decision(True), decision(False, True)]) is False
    assert rejected_nothing([decision(), decision(None)]) is None
    assert rejected_nothing([decision(False, error="no text")]) is None


@given(st.floats(0.01, 1.0), st.lists(st.floats(0, 1), min_size=1, max_size=3))
def test_the_expected_share_is_a_share(keep: float, acceptance: list[float]) -> None:
    keeps = tuple((i + 1) / 4 for i in range(len(acceptance)))
    assert 0 <= Expected(keeps, tuple(acceptance), 10).at(keep) <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"window": 5}, "window"),
        ({"window": True}, "window"),
        ({"least": 0.0}, "least"),
        ({"confidence": 1.0}, "confidence"),
    ],
)
def test_wrong_settings(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DriftMonitor(EIGHTY, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("keeps", "acceptance", "records"),
    [((), (), 1), ((0.5,), (0.5, 0.6), 1), ((0.5, 0.1), (0.5, 0.6), 1), ((0.5,), (1.5,), 1), ((0.5,), (0.5,), 0)],
)
def test_wrong_expectations(keeps: tuple[float, ...], acceptance: tuple[float, ...], records: int) -> None:
    with pytest.raises(ConfigError):
        Expected(keeps, acceptance, records)
