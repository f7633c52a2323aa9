"""A quality run by its settings: what it reads, and which methods it can run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from ctxshrink.errors import ConfigError, CtxShrinkError

from .data import EXAMPLES, Record, RecordError, Split, files_of, load_sets
from .methods import METHODS, Runner, build
from .peer_methods.runner import PeerRunner
from .peer_methods.spec import PEERS
from .run import Judged, Observation, warm_up
from .tasks import TASKS, Task

Sets = Mapping[str, Sequence[Record]]
Step = Callable[[str, int], None]

EVERY: Final[tuple[str, ...]] = (*METHODS, *PEERS)
"""Every method that there is; which of them a task can run says `Plan.usable`."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that was not run, and why.

    Attributes:
        part: The task or part of the benchmark.
        name: The method, or "" for all of it.
        reason: Why, and what to do about it.
    """

    part: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Peer:
    """A method of another package, as it was run.

    Attributes:
        method: Its name.
        versions: Of its interpreter and packages.
        note: What exactly was run.
    """

    method: str
    versions: Mapping[str, str]
    note: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured.

    Attributes:
        task: A key of `TASKS`.
        files: The sets' files, or folders of them.
        keeps: Shares to keep.
        methods: Names, see `build`.
        limit: Most records per set.
        split: Half of the records.
        seed: Of the draw and of the bootstrap.
        guardrail: Run ctxshrink with its guardrail.
        encoder: Folder of a sentence encoder.
        peers: Interpreters of peers by method or package.
        models: Model folders of peers by method.
    """

    task: str
    files: tuple[Path, ...]
    keeps: tuple[float, ...]
    methods: tuple[str, ...]
    limit: int | None = None
    split: Split = "all"
    seed: int = 0
    guardrail: bool = True
    encoder: Path | None = None
    peers: Mapping[str, Path] = field(default_factory=dict[str, Path])
    models: Mapping[str, Path] = field(default_factory=dict[str, Path])

    @property
    def kind(self) -> Task[Any]:
        """The task itself."""
        return TASKS[self.task]

    def load(self) -> dict[str, list[Record]]:
        """The records by set.

        Raises:
            ConfigError: There are none, or a line is not a record of the task; says what one looks like.
        """
        try:
            return load_sets(self.files, self.kind.parse, split=self.split, limit=self.limit, seed=self.seed)
        except RecordError as error:
            raise ConfigError(f"{error}. The smallest {self.task} record: {EXAMPLES[self.task]}") from error

    def runners(self, cleanup: ExitStack) -> list[Runner | PeerRunner]:
        """The methods, ready to run.

        Args:
            cleanup: Ends the peers' processes when it is closed.

        Raises:
            ConfigError: One of them does not work here.
        """
        made = build(
            self.methods,
            guardrail=self.guardrail,
            encoder=self.encoder,
            asks=self.kind.asks,
            task=self.task,
            peers=self.peers,
            models=self.models,
        )
        for runner in made:
            if isinstance(runner, PeerRunner):
                cleanup.callback(runner.close)
            else:
                warm_up(runner)
        return made

    def usable(self) -> tuple[Plan, list[Peer], list[Skipped]]:
        """The plan without the methods that do not work for this task or on this machine.

        Returns:
            The plan, what is known of its peers, and what was left out.
        """
        names, peers, skipped = list[str](), list[Peer](), list[Skipped]()
        for name in self.methods:
            try:
                with ExitStack() as cleanup:
                    [runner] = replace(self, methods=(name,)).runners(cleanup)
                    if isinstance(runner, PeerRunner):
                        peers.append(Peer(name, runner.versions, runner.note))
                names.append(name)
            except CtxShrinkError as error:
                skipped.append(Skipped(self.task, name, " ".join(str(error).split())))
        return replace(self, methods=tuple(names)), peers, skipped

    def settings(self, sets: Sets) -> dict[str, Any]:
        """What the observations depend on, JSON-ready."""
        from ctxshrink import __version__

        return {
            "task": self.task,
            "data": [path.name for path in self.files],
            "records": {name: len(records) for name, records in sets.items()},
            "keep": list(self.keeps),
            "methods": list(self.methods),
            "limit": self.limit,
            "split": self.split,
            "seed": self.seed,
            "guardrail": self.guardrail,
            "encoder": None if self.encoder is None else self.encoder.name,
            "version": __version__,
        }


def observation_of(value: Mapping[str, Any]) -> Observation:
    """The observation that ``asdict`` wrote, through JSON or not."""
    fields = dict(value)
    if (judged := value["judged"]) is not None:
        segments = tuple((score, lost) for score, lost in judged["segments"])
        fields["judged"] = Judged(judged["risk"], judged["lost"], segments)
    return Observation(**fields)


def digest(files: Sequence[Path]) -> str:
    """A fingerprint of what files hold, in order; folders stand for the .jsonl files in them.

    Raises:
        ConfigError: There is no such file, or it cannot be read.
    """
    state = hashlib.sha256()
    try:
        for file in files_of(files):
            state.update(file.name.encode("utf-8", "surrogateescape"))
            state.update(hashlib.sha256(file.read_bytes()).digest())
    except OSError as error:
        raise ConfigError(f"{error.filename}: cannot be read: {error.strerror or error}") from error
    return state.hexdigest()[:16]
