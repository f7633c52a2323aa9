"""A peer in a process of its own: JSON lines to it and from it, with a limit on the time and on what it may say."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, Final, TypeAlias, cast

Vectors: TypeAlias = Callable[[list[str]], list[list[float]]]
"""Gives unit vectors of texts to a peer that asks for them."""

WORKERS: Final = Path(__file__).parent / "workers"
_LONGEST: Final = 64 * 2**20
"""Most bytes of an answer."""
_PASSED_ON: Final = ("PATH", "LANG", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "LD_LIBRARY_PATH", "OMP_NUM_THREADS")
_OFFLINE: Final[Mapping[str, str]] = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "HEADROOM_OFFLINE": "1",
    "HEADROOM_TELEMETRY_DISABLED": "1",
    "LANGSMITH_TRACING": "false",
    "LANGCHAIN_TRACING_V2": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "TOKENIZERS_PARALLELISM": "false",
    # Not ``-I``, which would ignore the fixed seed of hashes: the same bytes twice.
    "PYTHONHASHSEED": "0",
    "PYTHONNOUSERSITE": "1",
    "PYTHONUTF8": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}


class PeerFailure(Exception):
    """A peer gave no usable answer. Never leaves the bench: it becomes a reason."""


class PeerProcess:
    """A worker and the process that it runs in.

    The process gets none of this one's environment but what it needs to start, a new empty folder as home and working
    directory (removed in the end), and the switches by which peers stay offline; see also ``workers/host.py``.

    Args:
        python: The interpreter.
        worker: A worker file.

    Raises:
        PeerFailure: The interpreter cannot be started.
    """

    def __init__(self, python: Path, worker: Path) -> None:
        self._home = TemporaryDirectory(prefix="ctxshrink-peer-", ignore_cleanup_errors=True)
        home = self._home.name
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        environment |= {**_OFFLINE, "HOME": home, "USERPROFILE": home, "HF_HOME": home}
        command = [str(python.absolute()), str(WORKERS / "host.py"), str(worker)]
        pipe = subprocess.PIPE
        try:
            self._process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=home, env=environment, start_new_session=True
            )
        except OSError as error:
            self._home.cleanup()
            raise PeerFailure(f"{python} cannot be run: {error.strerror or error}") from error
        self._number = 0
        self._lines: queue.Queue[bytes] = queue.Queue()
        self._said: deque[bytes] = deque(maxlen=20)
        self._readers = [
            threading.Thread(target=_read, args=(self._process.stdout, self._lines.put, _LONGEST), daemon=True),
            threading.Thread(target=_read, args=(self._process.stderr, self._said.append, 4096), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    @property
    def alive(self) -> bool:
        """False once it has ended or was ended."""
        return self._process.poll() is None

    def ask(self, message: Mapping[str, Any], timeout: float, vectors: Vectors | None = None) -> dict[str, Any]:
        """The answer to a request.

        Args:
            message: What JSON can say.
            timeout: Most seconds to wait, without the time that ``vectors`` takes.
            vectors: For peers that ask for them.

        Raises:
            PeerFailure: It raised, ended, hangs, or answered with something else; but for the first it is ended.
        """
        self._number += 1
        deadline = time.monotonic() + timeout
        self._send({**message, "id": self._number}, deadline)
        while True:
            answer = self._answer(deadline)
            wanted = answer.get("vectors")
            if wanted is None:
                break
            if vectors is None or not _are_texts(wanted):
                raise self._end("asked for vectors where there are none")
            start = time.monotonic()
            try:
                found = vectors(wanted)
            except BaseException:  # It would wait for them for ever.
                self.close()
                raise
            deadline += time.monotonic() - start
            self._send({"vectors": found}, deadline)
        if answer.get("id") != self._number:
            raise self._end("answered something that was not asked")
        if "error" in answer:
            raise PeerFailure(str(answer["error"]))
        return answer

    def close(self) -> None:
        """End the process and what it started, and remove its folder."""
        # The group also when the worker itself is gone: what it started may still hold the pipes.
        if hasattr(os, "killpg"):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        else:  # Windows
            self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join(5)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            with suppress(OSError):  # A request that was not read to its end.
                cast("IO[bytes]", stream).close()
        self._home.cleanup()

    def _send(self, message: Mapping[str, Any], deadline: float) -> None:
        """Write a line; in a thread, since a peer that does not read would block this one for ever."""
        data = json.dumps(message).encode("ascii") + b"\n"
        failed: list[OSError | ValueError] = []

        def write() -> None:
            stream = cast("IO[bytes]", self._process.stdin)
            try:
                stream.write(data)
                stream.flush()
            except (OSError, ValueError) as error:  # It is gone; the stream may be closed by then.
                failed.append(error)

        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            raise self._end("does not read what it is asked")
        if failed:
            raise self._end("ended")

    def _answer(self, deadline: float) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise self._end("gave no answer in time") from None
        if not line:
            raise self._end("ended")
        if not line.endswith(b"\n"):
            raise self._end(f"answered with a line that does not end (over {len(line)} bytes, or cut)")
        try:
            answer: object = json.loads(line)
        except (ValueError, RecursionError):
            raise self._end("answered with something that is not JSON") from None
        if not isinstance(answer, dict):
            raise self._end("answered with something that is not an object")
        return cast("dict[str, Any]", answer)

    def _end(self, what: str) -> PeerFailure:
        """End the process; the failure says what it did and what it said last."""
        try:
            code: int | None = self._process.wait(1 if what == "ended" else 0)
        except subprocess.TimeoutExpired:
            code = None
        self.close()
        said = [line.decode("utf-8", "replace").strip() for line in self._said]
        last = next((line for line in reversed(said) if line), "")
        status = "" if code is None else f" with status {code}"
        return PeerFailure(f"the peer {what}{status}{': ' if last else ''}{last}"[:300])


def _read(stream: IO[bytes], keep: Callable[[bytes], object], longest: int) -> None:
    """Hand over the lines of a stream; an empty one at its end, one without its end where it is too long."""
    while True:
        try:
            line = stream.readline(longest)
        except (OSError, ValueError):
            line = b""
        keep(line)
        if not line:
            return


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(v, str) for v in cast("Sequence[object]", value))
