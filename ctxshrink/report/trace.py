"""A recorder of real traffic, for ``ctxshrink report``: what went in, what came out, and why, in a file.

Unlike `ctxshrink.telemetry` and `ctxshrink.observe`, **a trace holds all texts**: prompts, tool results, answers and
questions, in clear. Nothing is recorded unless a shrinker is given a `Trace`. The file is made readable for its owner
alone; keep, send and delete it as you would the prompts themselves. A report that is made from it holds them too.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import threading
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeVar

from ctxshrink._outfile import check_outfile
from ctxshrink.errors import ConfigError
from ctxshrink.policies import recent_turns
from ctxshrink.report._encoder import Encoder, Line
from ctxshrink.telemetry import CallHook, outermost

if TYPE_CHECKING:
    from ctxshrink.engine import Engine
    from ctxshrink.result import ShrinkResult

__all__ = ["Trace"]

_log = logging.getLogger("ctxshrink")

R = TypeVar("R", bound="ShrinkResult[Any]")
_HEAD: Final = b'{"trace":"ctxshrink",'
_TEXT: Final = b'{"text":"'
_DECISION: Final = b'{"decision":"'
_KEY_SIZE: Final = 32


class Trace:
    """Appends every call of a shrinker to a file of JSON lines. Safe to share between threads.

    Give it to the shrinker (``Shrinker(telemetry=Trace("trace.jsonl"))``) and every call of every seat is recorded,
    those of a `ctxshrink.Conversation` too; or give it each result with `record`. Each text is written once to a file,
    and of a call only what differs from the one before in its conversation, so that the file grows with what is new.
    Several processes may write to one file; where the system has no file locks (Windows), some texts may then be there
    twice. Whatever the disk does, the call goes on: a failure is logged once, by the name of its class.

    **The file holds all texts in clear.** It is made readable for its owner alone (mode 0600). The messages that the
    newest 256 conversations last sent are held in memory, to tell apart what goes on with them.

    Args:
        path: The file; made with the first call. An earlier trace is continued.
        telemetry: Runs the calls besides, such as `ctxshrink.telemetry.Telemetry` or `ctxshrink.observe.Observer`.

    Raises:
        ConfigError: The file cannot be written, or is there already and is no trace.
    """

    def __init__(self, path: str | Path, *, telemetry: CallHook | None = None) -> None:
        self._path = Path(path)
        check_outfile(self._path, "Trace")
        self._check()
        self._telemetry = telemetry
        self._lock = threading.Lock()
        self._told = False
        self._encoder = Encoder("")
        self._forget((0, 0))
        self._begin()

    def __repr__(self) -> str:
        return f"Trace({str(self._path)!r})"

    def call(self, work: Callable[[], R], engine: Engine | None = None, /) -> R:
        """Run a call and record it; see `ctxshrink.telemetry.CallHook`. A failure in here never reaches the caller."""
        with outermost(self) as outer:
            result = work() if self._telemetry is None else self._telemetry.call(work, engine)
        if outer:
            self.record(result, engine)
        return result

    def record(self, result: ShrinkResult[Any], engine: Engine | None = None) -> None:
        """Append a result; see `call`.

        Args:
            result: Of any seat.
            engine: The settings it was made with, if known: their prices stand in the report.
        """
        with self._lock:
            try:
                self._append(result, engine)
            except Exception as error:  # noqa: BLE001  fail open: the caller's prompt matters more than its record
                self._begin()  # Later calls must not go on from one that may not be in the file.
                if not self._told:
                    self._told = True
                    _log.warning("the trace failed: %s; calls go on, some are not recorded", type(error).__name__)

    def _begin(self) -> None:
        """Start a run of calls that go on from each other."""
        self._encoder.restart(secrets.token_hex(8))
        self._owner = os.getpid()
        self._headed = False

    def _forget(self, file: tuple[int, int]) -> None:
        """Start with a file of which nothing is known."""
        self._file = file
        self._known: set[bytes] = set()
        self._read = 0

    def _append(self, result: ShrinkResult[Any], engine: Engine | None) -> None:
        with _opened(self._path) as file:
            found = os.fstat(file.fileno())
            place = found.st_dev, found.st_ino
            if place != self._file or found.st_size < self._read:  # It was moved away, or emptied.
                self._forget(place)
                self._begin()
            if self._owner != os.getpid():  # A forked process has calls of its own.
                self._begin()
            whole = self._catch_up(file)
            economics = None if engine is None else engine.economics
            window = None if engine is None else recent_turns(engine.policy)
            lines = self._encoder.encode(result, economics, window)
            data = (b"" if whole else b"\n") + self._bytes(lines)
            file.write(data)
            file.flush()
            self._known.update(line.key.encode() for line in lines if line.key)
            self._headed = True
            self._read = file.seek(0, os.SEEK_END)

    def _catch_up(self, file: BinaryIO) -> bool:
        """Takes up what others have written since; False where the last line was torn."""
        file.seek(self._read)
        line = b"\n"
        for line in file:
            for start in (_TEXT, _DECISION):
                if line.startswith(start) and line.endswith(b"}\n"):
                    self._known.add(line[len(start) : len(start) + _KEY_SIZE])
        return line.endswith(b"\n")

    def _bytes(self, lines: Sequence[Line]) -> bytes:
        new = {line.key: line.text for line in lines if line.key and line.key.encode() not in self._known}
        head = [] if self._headed else [self._encoder.header()]
        return "".join(f"{text}\n" for text in (*head, *new.values(), *(x.text for x in lines if not x.key))).encode()

    def _check(self) -> None:
        try:
            with self._path.open("rb") as file:
                start = file.read(len(_HEAD))
        except FileNotFoundError:
            return
        except OSError as error:
            raise ConfigError(f"Trace {self._path}: cannot be read: {error.strerror or error}") from error
        if start and start != _HEAD:
            raise ConfigError(f"Trace {self._path}: is there already and is no trace; name another file")


@contextlib.contextmanager
def _opened(path: Path) -> Generator[BinaryIO]:
    """The file, made where it is not there, for one writer at a time where the system has locks."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)  # Windows would add carriage returns.
    with os.fdopen(os.open(path, flags, 0o600), "r+b") as file:
        try:
            import fcntl
        except ImportError:  # Windows
            yield file
            return
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)  # Closing the file gives it back.
        yield file
