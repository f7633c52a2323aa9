"""What distillation may ask of a language model, and what it asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ctxshrink.errors import ConfigError

__all__ = ["Limits", "Usage"]

_BURST = 0.1
"""Share of a minute's allowance that may be spent at once; the rest flows at the rate that is left, so that no minute
holds more than the allowance, wherever it begins."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on requests to a language model.

    Attributes:
        requests_per_minute: None for no bound.
        tokens_per_minute: Of requests and answers together; a request counts with the most its answer may have until
            that is known. None for no bound.
        max_calls: Requests in all, further tries included, over the life of the distiller. None for no bound.
        max_tokens: Tokens in all, of requests and answers. A try that ended without an answer counts with all that it
            may have cost: nothing where there was no connection, the request alone where it was refused. None for no
            bound.
        concurrency: Requests at a time.
        tries: Tries of one request.
        patience: Longest pause between two tries in seconds; a server that asks for a longer one is not tried again.
        give_up: Requests that fail one after another, each after its tries, until no more are sent for
            ``cooling`` seconds: a server that is down does not hold up a whole corpus.
        cooling: See ``give_up``.
    """

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    max_calls: int | None = None
    max_tokens: int | None = None
    concurrency: int = 4
    tries: int = 4
    patience: float = 60.0
    give_up: int = 5
    cooling: float = 60.0

    def __post_init__(self) -> None:
        for name in ("requests_per_minute", "tokens_per_minute"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ConfigError(f"{name} must be a positive number or None; got {value!r}")
        for name in ("max_calls", "max_tokens"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 0):
                raise ConfigError(f"{name} must be a whole number, 0 or more, or None; got {value!r}")
        for name in ("concurrency", "tries", "give_up"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ConfigError(f"{name} must be a whole number, 1 or more; got {value!r}")
        for name in ("patience", "cooling"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise ConfigError(f"{name} must be a number of seconds, 0 or more; got {value!r}")


@dataclass(frozen=True, slots=True)
class Usage:
    """What was asked of a language model.

    Attributes:
        calls: Requests that were sent, further tries included.
        input_tokens: Tokens of requests.
        output_tokens: Tokens of answers; of tries without an answer the most that it may have had.
        failed: Tries that ended without an answer.
    """

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    failed: int = 0


class Spent(Exception):
    """The bound on calls or tokens leaves no room for another request. Never leaves this package."""


class Bucket:
    """A token bucket. A request may be larger than the bucket: those after it wait until that is paid.

    Args:
        per_minute: Allowance of a minute.
        clock: Seconds, monotonic.
    """

    def __init__(self, per_minute: float, clock: Callable[[], float]) -> None:
        self._size = max(1.0, _BURST * per_minute)
        self._rate = (1 - _BURST) * per_minute / 60
        self._level, self._at = self._size, clock()
        self._clock = clock

    def take(self, amount: float) -> float:
        """Take an amount; returns the seconds to wait before it may be used."""
        now = self._clock()
        self._level = min(self._size, self._level + (now - self._at) * self._rate) - amount
        self._at = now
        return max(0.0, -self._level / self._rate)

    def give_back(self, amount: float) -> None:
        """Undo a part of what was taken."""
        self._level = min(self._size, self._level + amount)


@dataclass
class Meter:
    """Holds requests to `Limits`. Safe to use from several threads.

    Args:
        limits: The bounds.
        sleep: Waits some seconds.
        clock: Seconds, monotonic.
    """

    limits: Limits
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _calls: int = field(default=0, init=False)
    _input: int = field(default=0, init=False)
    _output: int = field(default=0, init=False)
    _failed: int = field(default=0, init=False)
    _in_a_row: int = field(default=0, init=False)
    _closed_until: float = field(default=float("-inf"), init=False)

    def __post_init__(self) -> None:
        self._build()

    def _build(self) -> None:
        self._lock = threading.Lock()
        rates = (self.limits.requests_per_minute, self.limits.tokens_per_minute)
        self._buckets = tuple(None if rate is None else Bucket(rate, self.clock) for rate in rates)

    def __getstate__(self) -> dict[str, Any]:
        # A copy in another process has buckets of its own, and a lock cannot travel.
        return {k: v for k, v in vars(self).items() if k not in ("_lock", "_buckets")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._build()

    @property
    def usage(self) -> Usage:
        """What was used so far."""
        with self._lock:
            return Usage(self._calls, self._input, self._output, self._failed)

    def begin(self, asked: int, most: int, sleep: Callable[[float], None] | None = None) -> None:
        """Wait for the turn of one request and book it.

        Args:
            asked: Tokens of the request, about.
            most: Most tokens of its answer.
            sleep: Waits some seconds; default the meter's own.

        Raises:
            Spent: It does not fit the bounds on calls or tokens, or too many have failed.
        """
        with self._lock:
            limits, tokens, used = self.limits, asked + most, self._input + self._output
            if limits.max_calls is not None and self._calls >= limits.max_calls:
                raise Spent(f"all of max_calls={limits.max_calls} are used")
            if limits.max_tokens is not None and used + tokens > limits.max_tokens:
                raise Spent(f"{limits.max_tokens - used} of max_tokens={limits.max_tokens} are left")
            if self._in_a_row >= limits.give_up and self.clock() < self._closed_until:
                raise Spent(f"{self._in_a_row} requests failed in a row")
            self._calls += 1
            self._input += asked
            self._output += most
            waits = [b.take(n) for b, n in zip(self._buckets, (1, tokens), strict=True) if b is not None]
        if (wait := max(waits, default=0.0)) > 0:
            (sleep or self.sleep)(wait)

    def end(self, booked: tuple[int, int], used: tuple[int, int]) -> None:
        """Book the tokens of a request and its answer in the place of those that were booked when it began."""
        with self._lock:
            self._input += used[0] - booked[0]
            self._output += used[1] - booked[1]
            if (bucket := self._buckets[1]) is not None:
                bucket.give_back(sum(booked) - sum(used))

    def failed(self) -> None:
        """One try ended without an answer."""
        with self._lock:
            self._failed += 1

    def outcome(self, *, ok: bool) -> None:
        """One request, after its tries, came to an end."""
        with self._lock:
            self._in_a_row = 0 if ok else self._in_a_row + 1
            if self._in_a_row >= self.limits.give_up:
                self._closed_until = self.clock() + self.limits.cooling
