"""Requests to a language model: held to their limits, and tried again where that can help.

Needs tenacity: imported where a distiller with a language model is made.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from ctxshrink._deadline import describe
from ctxshrink._http import HttpError, passing, retry_after
from ctxshrink.errors import EndpointError
from ctxshrink.types import TokenCounter

from ._section_facts import Unanswered
from .limits import Limits, Meter, Spent, Usage
from .llms import LLM, Completion

_log = logging.getLogger("ctxshrink")

_FIRST_WAIT = 0.5
"""Seconds before the first further try at most, doubled from one to the next."""
_MESSAGE_TOKENS = 16
"""What a chat template adds to a request, about."""


class Caller:
    """A language model that is asked within `Limits`.

    Args:
        llm: The model.
        counter: Estimates what a request costs until the model says.
        limits: The bounds.
        sleep: Waits some seconds, in the place of pauses that can be ended; for tests.
        clock: Seconds, monotonic; for tests.
    """

    def __init__(
        self,
        llm: LLM,
        counter: TokenCounter,
        limits: Limits,
        *,
        sleep: Callable[[float], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.llm, self.limits = llm, limits
        self._counter, self._sleep = counter, sleep
        self._meter = Meter(limits, time.sleep if sleep is None else sleep, clock)

    @property
    def usage(self) -> Usage:
        """What was used so far."""
        return self._meter.usage

    def ask(self, system: str, user: str, max_tokens: int, *, stop: threading.Event | None = None) -> str:
        """The model's answer.

        Args:
            system: The instruction.
            user: What it is applied to.
            max_tokens: Most tokens of the answer.
            stop: Once it is set, pauses end and nothing more is sent.

        Raises:
            Unanswered: There is none.
        """

        def sleep(seconds: float) -> None:
            if stop is None or self._sleep is not None:
                self._meter.sleep(seconds)
            else:
                stop.wait(seconds)

        asked = sum(self._counter.count([system, user])) + _MESSAGE_TOKENS
        retrying = Retrying(
            sleep=sleep,
            stop=stop_after_attempt(self.limits.tries),
            wait=self._pause,
            retry=retry_if_exception(self._again),
            reraise=True,
        )
        try:
            answer = retrying(self._try, system, user, (asked, max_tokens), sleep, stop)
        except Spent as error:
            raise Unanswered(str(error)) from None
        except Exception as error:  # noqa: BLE001  fail open: the text is distilled without the model, with this reason
            self._meter.outcome(ok=False)
            _log.warning("language model %s failed: %s", self.llm.name, type(error).__name__)
            raise Unanswered(_told(error)) from None
        self._meter.outcome(ok=True)
        return answer.text

    def _try(
        self,
        system: str,
        user: str,
        booked: tuple[int, int],
        sleep: Callable[[float], None],
        stop: threading.Event | None,
    ) -> Completion:
        asked, max_tokens = booked
        self._meter.begin(*booked, sleep)
        if stop is not None and stop.is_set():
            self._meter.end(booked, (0, 0))
            raise Spent("interrupted")
        try:
            answer = self.llm.complete(system, user, max_tokens=max_tokens)
        except Exception as error:
            self._meter.failed()
            if not _sent(error):
                self._meter.end(booked, (0, 0))
            elif _status(error) is not None:  # refused: nothing was generated
                self._meter.end(booked, (asked, 0))
            raise
        said = answer.output_tokens
        used = self._counter.count([answer.text])[0] if said is None else said
        self._meter.end(booked, (asked if answer.input_tokens is None else answer.input_tokens, used))
        return answer

    def _again(self, error: BaseException) -> bool:
        wait = _retry_after(error)
        return _transient(error) and (wait is None or wait <= self.limits.patience)

    def _pause(self, state: RetryCallState) -> float:
        """Seconds before the next try: what the server asks for, or a drawn and growing time, whichever is longer."""
        drawn = wait_random_exponential(multiplier=_FIRST_WAIT, max=self.limits.patience)(state)
        error = None if state.outcome is None else state.outcome.exception()
        return max(drawn, (None if error is None else _retry_after(error)) or 0.0)


def _transient(error: BaseException) -> bool:
    """Whether another try may help."""
    if isinstance(error, EndpointError):
        return error.transient
    status = _status(error)
    if status is not None:
        return passing(status)
    if isinstance(error, TimeoutError | ConnectionError):
        return True
    # Client libraries have trees of their own: APITimeoutError, APIConnectionError, ReadTimeout, ConnectError.
    names = [kind.__name__ for kind in type(error).__mro__]
    return any(part in name for name in names for part in ("Timeout", "Connection", "ConnectError", "TransportError"))


def _sent(error: BaseException) -> bool:
    """False where there was no connection: what was asked has reached nobody."""
    if isinstance(error, HttpError):
        return error.sent
    for found in (error, error.__cause__):
        names = [kind.__name__ for kind in type(found).__mro__]
        if any(part in name for name in names for part in ("ConnectionRefused", "ConnectError", "ConnectTimeout")):
            return False
    return True


def _told(error: BaseException) -> str:
    """What failed, without what may hold a key or a text: client libraries put addresses and bodies into errors."""
    if isinstance(error, EndpointError | TypeError | AttributeError | ImportError):
        return describe(error)
    status = _status(error)
    return type(error).__name__ + ("" if status is None else f" (status {status})")


def _status(error: BaseException) -> int | None:
    """The HTTP status that an error carries."""
    for holder in (error, getattr(error, "response", None)):
        for name in ("status", "status_code"):
            value: Any = getattr(holder, name, None)
            if isinstance(value, int) and not isinstance(value, bool):
                return value
    return None


def _retry_after(error: BaseException) -> float | None:
    """Seconds that a server asks to wait, from the error or its response's header (RFC 9110, 10.2.3)."""
    if isinstance(error, EndpointError):
        return error.wait
    headers: Any = getattr(getattr(error, "response", None), "headers", None)
    value: Any = headers.get("retry-after") if hasattr(headers, "get") else None
    return retry_after(value) if isinstance(value, str) else None
