"""Runs one peer in its own Python: JSON lines in on the first channel, JSON lines out on the second.

``python host.py WORKER`` with the path of a worker file. This file and the workers import the standard library and the
peer's package, nothing else: the interpreter may belong to an environment that knows nothing of ctxshrink, and may be
older than the one that ctxshrink needs. What the peer prints goes to stderr, so that it cannot be taken for an answer;
what it would fetch is refused (connections to this machine alone are allowed).

A worker file has ``load(method, options, host)``, which returns a function from a request to an answer, both of them
dictionaries. It does the peer's own work inside ``with host.clock``.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":  # The folder of this file is no place to import from.
    _HERE = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [p for p in sys.path if p and os.path.abspath(p) != _HERE]

import importlib.metadata
import importlib.util
import json
import random
import time
from typing import IO, Any, Callable, Optional  # noqa: UP035  a peer's interpreter may be older

REASON = 300
"""Most characters of an error."""
_AT_HOME = ("localhost", "127.0.0.1", "::1")


class Clock:
    """Adds up the seconds inside its ``with`` blocks."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._since = 0.0

    def __enter__(self) -> Clock:
        self._since = time.perf_counter()
        return self

    def __exit__(self, *error: object) -> None:
        self.seconds += time.perf_counter() - self._since

    def skip(self, seconds: float) -> None:
        """Take off what the peer did not do itself."""
        self.seconds -= seconds


class Host:
    """What a worker has to work with.

    Attributes:
        clock: Measures the peer's own work.
    """

    def __init__(self, source: IO[str], sink: IO[str]) -> None:
        self.clock = Clock()
        self._source, self._sink = source, sink

    def send(self, answer: dict[str, Any]) -> None:
        """One line out."""
        self._sink.write(json.dumps(answer) + "\n")
        self._sink.flush()

    def receive(self) -> Optional[dict[str, Any]]:  # noqa: UP045
        """One line in; None at the end."""
        line = self._source.readline()
        return json.loads(line) if line else None

    def vectors(self, texts: list[str]) -> list[list[float]]:
        """Unit vectors of texts from the encoder of the benchmark. The caller counts that time itself."""
        start = time.perf_counter()
        self.send({"vectors": list(texts)})
        answer = self.receive()
        if answer is None:
            raise SystemExit(0)
        self.clock.skip(time.perf_counter() - start)
        return answer["vectors"]


def _refuse(event: str, args: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        address: Any = args[1]
        # A local socket's address is a path.
        if not isinstance(address, (str, bytes)) and address[0] not in _AT_HOME:
            raise OSError("a benchmark refuses connections")
    elif event in ("socket.getaddrinfo", "socket.gethostbyname") and args[0] is not None:
        name = args[0].decode("ascii", "replace") if isinstance(args[0], bytes) else args[0]
        if name not in _AT_HOME:
            raise OSError("a benchmark refuses connections")


def _channels() -> tuple[IO[str], IO[str]]:
    """The two ends of the protocol; whoever reads stdin or writes to stdout from now on gets nothing or stderr."""
    source = os.fdopen(os.dup(0), encoding="utf-8", newline="\n")
    sink = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    return source, sink


def _load(path: str, message: dict[str, Any], host: Host) -> tuple[Callable[[Any], Any], dict[str, str]]:
    spec = importlib.util.spec_from_file_location("peer_worker", path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    work = module.load(message["method"], message["options"], host)
    versions = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in message["packages"]:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "?"
    return work, versions


def main(path: str) -> None:
    """Answer requests until there are no more."""
    source, sink = _channels()
    host = Host(source, sink)
    sys.addaudithook(_refuse)
    work: Any = None
    while True:
        message = host.receive()
        if message is None:
            return
        random.seed(0)
        host.clock.seconds = 0.0
        try:
            answer: dict[str, Any] = {}
            if work is None:
                work, answer["versions"] = _load(path, message, host)
            else:
                answer = dict(work(message))
                answer["seconds"] = host.clock.seconds
        except Exception as error:  # noqa: BLE001  whatever a peer raises is its answer, and is recorded
            answer = {"error": f"{type(error).__name__}: {error}"[:REASON]}
        answer["id"] = message["id"]
        host.send(answer)


if __name__ == "__main__":
    main(sys.argv[1])
