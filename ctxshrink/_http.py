"""JSON over HTTP: one request at a time, bounded in time and size, retried where another try can help.

The standard library's `http.client` is enough for it, and is taken rather than `urllib.request`: that one follows
redirects with the ``Authorization`` header to wherever they point, and reads proxies from the environment. A client
library such as httpx would add a dependency of the base package for two kinds of POST.
"""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import json
import random
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

from ctxshrink.errors import ConfigError, EndpointError

_FIRST_WAIT, _MOST_WAIT = 0.25, 8.0
"""Seconds before the first further try, doubled from one to the next, and at most."""
_MESSAGE = 200
_PIECE = 1 << 16
_KEY = re.compile(r"[!-~]+")


def passing(status: int) -> bool:
    """Whether what a server says with a status may pass: another try may help."""
    # Proxies and providers have numbers of their own above 511 for a server that is down, slow or overloaded.
    return status in (408, 425, 429) or (500 <= status < 600 and status not in (501, 505))


class HttpError(EndpointError):
    """An `EndpointError` that knows the HTTP status; None where there was none.

    Attributes:
        status: The status.
        sent: False where there was no connection: the server has not seen the request.
    """

    def __init__(
        self,
        reason: str,
        *,
        transient: bool = False,
        wait: float | None = None,
        status: int | None = None,
        sent: bool = True,
    ) -> None:
        super().__init__(reason, transient=transient, wait=wait)
        self.status, self.sent = status, sent


class _Again(Exception):
    """A failure that another try may mend; ``wait`` is what the server asked for, in seconds."""

    def __init__(self, reason: str, wait: float | None = None, status: int | None = None, *, sent: bool = True) -> None:
        super().__init__(reason)
        self.wait, self.status, self.sent = wait, status, sent


@dataclass(frozen=True, slots=True)
class JsonClient:
    """POSTs JSON to one server. Safe to use from several threads: every request has a connection of its own.

    Args:
        base: ``http`` or ``https`` address of the server, with a path or without.
        key: Sent as a bearer token; it stands in no representation and no error.
        timeout: Seconds for one try, from the connection to the last byte.
        retries: Further tries after a connection that failed, a time-out, or one of the statuses 408, 425, 429 and
            5xx but 501 and 505.
        sleep: Waits some seconds; for tests.

    Raises:
        ConfigError: One of them is wrong.
    """

    base: str
    key: str | None = field(default=None, repr=False)
    timeout: float = 30.0
    retries: int = 2
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)

    def __post_init__(self) -> None:
        if not 0 < self.timeout < float("inf"):
            raise ConfigError(f"timeout must be a positive number of seconds, not {self.timeout}")
        if self.retries < 0:
            raise ConfigError(f"retries must be >= 0, not {self.retries}")
        if self.key is not None and not _KEY.fullmatch(self.key):
            raise ConfigError("api_key must be of visible ASCII characters without spaces")
        self._parts()

    def _parts(self) -> SplitResult:
        try:
            parts = urlsplit(self.base)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            parts, usable = SplitResult("", "", "", "", ""), False
        if parts.username is not None or parts.password is not None:
            raise ConfigError("url must hold no user name or password; give api_key")
        if not usable or parts.query or parts.fragment or re.search(r"[^!-~]", self.base):
            # User, password, query and fragment may hold a secret, wherever they begin and end in a damaged URL.
            given = "one with '@', '?' or '#'" if re.search("[@?#]", self.base) else repr(self.base)
            raise ConfigError(f"url must be like http://host:8000, not {given}")
        return parts

    def post(self, path: str, body: object, *, most: int, quiet: bool = False) -> Any:
        """The answer to a POST, read as JSON.

        Args:
            path: Appended to the base.
            body: What is sent.
            most: Bytes of the longest answer that is read.
            quiet: Leave what the server says out of errors: it may repeat the text that was sent.

        Raises:
            EndpointError: There is no usable answer; the message names the server and the reason.
        """
        data = json.dumps(body).encode("ascii")
        for attempt in range(self.retries + 1):
            try:
                status, found = self._try(path, data, most)
            except _Again as error:
                self._pause(attempt, path, error)
                continue
            if status != 200:
                said = "" if quiet else _message(found)
                hidden = (said.replace(self.key, "…") if self.key else said)[:_MESSAGE]
                raise HttpError(f"{self.base}{path}: status {status}{hidden and ': ' + hidden}", status=status)
            return self._read(path, found)
        raise HttpError(f"{self.base}{path}: no try was made")  # retries >= 0, so this cannot happen

    def _pause(self, attempt: int, path: str, error: _Again) -> None:
        """Waits before the next try.

        The time is doubled from try to try and drawn from its upper half, so that many clients do not come back all at
        once ("equal jitter"; Brooker, Exponential Backoff and Jitter, AWS 2015). Retry-After goes before it, as long as
        it asks for no more than a try may take.
        """
        tries = f"after {attempt + 1} {'try' if attempt == 0 else 'tries'}"
        if attempt == self.retries:
            raise self._failed(path, f"{error} {tries}", error) from error.__cause__
        if error.wait is not None and error.wait > self.timeout:
            raise self._failed(path, f"{error}, and it asks to wait for {error.wait:.0f} s", error) from None
        most = min(_MOST_WAIT, _FIRST_WAIT * 2**attempt)
        self.sleep(max(error.wait or 0.0, random.uniform(most / 2, most)))

    def _failed(self, path: str, reason: str, error: _Again) -> HttpError:
        return HttpError(
            f"{self.base}{path}: {reason}", transient=True, wait=error.wait, status=error.status, sent=error.sent
        )

    def _try(self, path: str, data: bytes, most: int) -> tuple[int, bytes]:
        parts = self._parts()
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=self.timeout)
        headers = {"Content-Type": "application/json", "Accept": "application/json", "Connection": "close"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        late = threading.Event()
        end = time.monotonic() + self.timeout
        timer: threading.Timer | None = None
        sent = False
        try:
            connection.connect()
            sent = True
            # A socket's own time-out starts anew with every byte; this one ends a server that drips.
            timer = threading.Timer(max(0.0, end - time.monotonic()), _hang_up, (connection.sock, late))
            timer.daemon = True
            timer.start()
            connection.request("POST", parts.path.rstrip("/") + path, data, headers)
            response = connection.getresponse()
            found = _body(response, most)
        except (OSError, http.client.HTTPException, ValueError) as error:
            if late.is_set() or isinstance(error, TimeoutError):
                raise _Again(f"no whole answer within {self.timeout:g} s", sent=sent) from None
            raise _Again(f"the connection failed ({type(error).__name__}: {error})"[:_MESSAGE], sent=sent) from None
        finally:
            if timer is not None:
                timer.cancel()
            connection.close()
        if late.is_set():
            raise _Again(f"no whole answer within {self.timeout:g} s")
        if found is None:
            raise HttpError(f"{self.base}{path}: the answer is longer than {most} bytes")
        if passing(response.status):
            wait = retry_after(response.getheader("Retry-After"))
            raise _Again(f"status {response.status}", wait, response.status)
        return response.status, found

    def _read(self, path: str, data: bytes) -> Any:
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            reason = f"{self.base}{path}: the answer is not JSON ({len(data)} bytes)"
            raise HttpError(reason, transient=True) from None


def _hang_up(sock: socket.socket, late: threading.Event) -> None:
    late.set()
    with contextlib.suppress(OSError):  # closed in the meantime
        socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not that of SSLSocket, which says good-bye first


def _body(response: http.client.HTTPResponse, most: int) -> bytes | None:
    """The body; None where it is longer than ``most`` bytes."""
    pieces: list[bytes] = []
    size = 0
    while piece := response.read(_PIECE):
        pieces.append(piece)
        size += len(piece)
        if size > most:
            return None
    if response.length:  # read in pieces, http.client does not tell a body that ends too soon
        raise http.client.IncompleteRead(b"", response.length)
    return b"".join(pieces)


def _message(data: bytes) -> str:
    """What the server says of an error, in its own words or OpenAI's form, without what it repeats of the input."""
    try:
        found: Any = json.loads(data)
    except (ValueError, RecursionError):
        return ""
    for name in ("error", "message", "detail"):
        if isinstance(found, dict) and name in found:
            found = found[name]  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(found, str):
        return ""
    return " ".join(re.split(r"['\"]?input['\"]?\s*[:=]", found, maxsplit=1)[0].split())


def retry_after(value: str | None) -> float | None:
    """Seconds that a Retry-After header asks for (RFC 9110, 10.2.3): a number, or a date."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value.strip()[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
