"""A peer that is ready to run: started, tried once, and asked again at other settings until it meets the budget."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from ctxshrink import Shrinker
from ctxshrink.errors import ConfigError

from ..encoder import SentenceEncoder
from .peer_process import WORKERS, PeerFailure, PeerProcess
from .search import fit
from .spec import PeerSpec

START: Final = 300.0
"""Seconds that a worker may take to import its package and load its model."""
_GIVE_UP: Final = 3
"""Processes that ended one after the other, after which no new one is started."""
_WARM_UP: Final = "The pump was replaced in May. The valve was replaced in June. Nothing else was changed that year."


@dataclass(frozen=True, slots=True)
class Answer:
    """What a peer returned for a record.

    Attributes:
        fields: The output, in the form of the request.
        seconds: The time of the peer's own call at this setting. The search for the setting is not in it: a user
            would know it.
        setting: What it was asked for, in its own words.
        calls: How often it was asked.
        failure: Why there is no output; the record is whole then.
    """

    fields: Mapping[str, Any]
    seconds: float
    setting: str = ""
    calls: int = 1
    failure: str = ""


class PeerRunner:
    """A peer, started and tried once on a simple text.

    A process that ended or hangs is ended and a new one is started for the next record; after three in a row that
    did not answer at all none is started any more and every further record fails at once.

    Args:
        spec: What it is.
        python: The interpreter that has its package.
        shrinker: Counts, says what is locked, and gives the budget.
        task: What it will be run on; None where that is not known: it is tried on the first that it can do.
        model: Its model folder, where it needs one of its own.
        encoder: Gives vectors, where it needs them.
        timeout: Seconds after which a call counts as hanging; None is the peer's own.
        note: More about what is run.
        cleanup: What to close with it.

    Attributes:
        method: Its name.
        versions: Of its interpreter and packages.
        note: What exactly is run.
        shrinker: As given.
        encoder: As given.
        spec: As given.

    Raises:
        ConfigError: It cannot be started, or fails on the simplest text.
    """

    def __init__(
        self,
        spec: PeerSpec,
        python: Path,
        shrinker: Shrinker,
        *,
        task: str | None = None,
        model: Path | None = None,
        encoder: SentenceEncoder | None = None,
        timeout: float | None = None,
        note: str = "",
        cleanup: ExitStack | None = None,
    ) -> None:
        self.method, self.spec, self.shrinker, self.encoder = spec.method, spec, shrinker, encoder
        self.note = f"{spec.note} {note}".strip()
        self.versions: Mapping[str, str] = {}
        self._python, self._model = python, model
        self._timeout = spec.timeout if timeout is None else timeout
        self._task = task if task is not None else min(spec.tasks)
        self._cleanup = ExitStack() if cleanup is None else cleanup
        self._process: PeerProcess | None = None
        self._dead = 0
        try:
            self._start()
        except PeerFailure as error:
            self.close()
            raise ConfigError(f"--methods {spec.method}: {error}") from error

    def __enter__(self) -> PeerRunner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End its process and remove its files; closing twice is allowed."""
        if self._process is not None:
            self._process.close()
            self._process = None
        self._cleanup.close()

    def run(
        self, task: str, request: Mapping[str, Any], keep: float, budget: int, size: Callable[[Mapping[str, Any]], int]
    ) -> Answer:
        """The peer's output for a record, at the setting that meets the budget best, see `fit`.

        Args:
            task: What the record is.
            request: See `Task.request`.
            keep: The share to start with.
            budget: Most tokens of the output.
            size: Tokens of an output; a `ConfigError` from it is a failure of the peer.

        Returns:
            Its answer; where it failed, the request itself with the reason.
        """
        start = time.perf_counter()

        def ask(level: float) -> Answer:
            return self._ask({**request, "task": task, "level": level, "keep": keep})

        def tokens(answer: Answer) -> int:
            try:
                return size(answer.fields)
            except ConfigError as error:
                raise PeerFailure(str(error)) from error

        try:
            found = fit(ask, tokens, budget, start=keep, steps=self.spec.steps, least=self.spec.least)
        except PeerFailure as error:
            return Answer(request, time.perf_counter() - start, failure=str(error))
        return Answer(found.answer.fields, found.answer.seconds, found.answer.setting, found.calls)

    def _ask(self, message: Mapping[str, Any]) -> Answer:
        if self._process is None or not self._process.alive:
            self._start()
        if self._process is None:
            raise PeerFailure(f"not asked: {_GIVE_UP} of its processes ended one after the other")
        charged = None if self.encoder is None else _Charged(self.encoder)
        answer = self._process.ask(message, self._timeout, charged)
        self._dead = 0
        seconds, setting = answer.pop("seconds", None), answer.pop("setting", "")
        if not isinstance(seconds, int | float) or not math.isfinite(seconds) or not isinstance(setting, str):
            raise PeerFailure("it answered without its time")
        spent = 0.0 if charged is None else charged.seconds
        return Answer(answer, max(0.0, float(seconds)) + spent, setting)

    def _start(self) -> None:
        """A new process, loaded and warmed up; none where too many have ended."""
        if self._process is not None:
            self._process.close()
            self._process = None
        if self._dead >= _GIVE_UP:
            return
        self._dead += 1
        self._process = PeerProcess(self._python, WORKERS / self.spec.worker)
        options = {"model": None if self._model is None else str(self._model.absolute())}
        loaded = self._process.ask(
            {"method": self.method, "options": options, "packages": list(self.spec.packages)}, START
        )
        versions = loaded.get("versions")
        if not isinstance(versions, dict):
            raise PeerFailure("it started without its versions")
        self.versions = {str(k): str(v) for k, v in versions.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        dead = self._dead
        self._ask({**_warm_up(self._task), "task": self._task, "level": 0.5, "keep": 0.5})
        self._dead = dead  # That it can do the simplest text says nothing about the next record.


class _Charged:
    """Vectors of an encoder, and the seconds that they take.

    What the encoder has seen before took its time then: every call of a peer is charged for all that it asks for.
    """

    def __init__(self, encoder: SentenceEncoder) -> None:
        self.seconds = 0.0
        self._encoder = encoder

    def __call__(self, texts: list[str]) -> list[list[float]]:
        start, spared = time.perf_counter(), self._encoder.spared
        found: list[list[float]] = self._encoder.encode(texts).tolist()
        self.seconds += time.perf_counter() - start + self._encoder.spared - spared
        return found


def _warm_up(task: str) -> dict[str, Any]:
    if task == "chat":
        turns = [{"role": ("user", "assistant")[i % 2], "content": f"{_WARM_UP} ({i})"} for i in range(7)]
        return {"messages": turns}
    return {"query": "What was replaced in June?", "texts": [_WARM_UP]}


def interpreter(spec: PeerSpec, peers: Mapping[str, Path], own: Path) -> Path:
    """The Python that runs a peer: the one that was named, by method or package, else this one.

    Raises:
        ConfigError: None was named and this one does not have the package, or there is no such file.
    """
    named = peers.get(spec.method, peers.get(spec.package))
    if named is not None:
        if not named.is_file():
            raise ConfigError(f"--peer-python {spec.package}={named}: no such file; name the environment's bin/python")
        return named
    try:
        there = find_spec(spec.module) is not None
    except (ImportError, ValueError):  # A parent package is missing, or something stands in its place.
        there = False
    if not there:
        raise ConfigError(
            f"--methods {spec.method}: {spec.package} is not installed here; make an environment for it and name its "
            f"Python: python -m venv DIR && DIR/bin/pip install {spec.install}, then --peer-python "
            f"{spec.package}=DIR/bin/python"
        )
    return own
