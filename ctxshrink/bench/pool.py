"""A quality run at work: on one process or several beside each other, and from where an earlier run was stopped."""

from __future__ import annotations

import os
from atexit import register
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any

from ctxshrink.errors import ConfigError

from .data import Record
from .journal import Journal
from .methods import Runner
from .peer_methods.runner import PeerRunner
from .quality import Plan, Sets, Step, observation_of
from .run import Observation, measure_record


@dataclass(slots=True)
class Measured:
    """What a run saw.

    Attributes:
        observations: By set and record, in the order of the data, whatever the order they were made in.
        jobs: How many processes worked beside each other; more than one value after a run that was taken up with
            another number.
    """

    observations: list[Observation] = field(default_factory=list[Observation])
    jobs: tuple[int, ...] = ()


def measure(plan: Plan, sets: Sets, *, jobs: int = 1, journal: Journal | None = None, step: Step) -> Measured:
    """Measure every record with every method at every keep.

    Args:
        plan: What to measure.
        sets: From `Plan.load`.
        jobs: Processes that work on records beside each other; 1 works in this one. What is found is the same.
        journal: Records in it are not measured again, new ones are written to it.
        step: Called with what was done, and how many observations that were.

    Raises:
        ConfigError: A method does not work here, or a process of ``jobs`` was killed.
    """
    units = {f"{name}/{i}": (name, record) for name, records in sets.items() for i, record in enumerate(records)}
    found = dict[str, Any](journal.found) if journal is not None else {}
    each = len(plan.methods) * len(plan.keeps)
    for unit in units.keys() & found.keys():
        step(f"{unit}: done before", each)
    todo = {unit: pair for unit, pair in units.items() if unit not in found}
    measured = (
        _here(plan, todo, step) if jobs == 1 or len(todo) < 2 else _beside(plan, todo, min(jobs, len(todo)), step)
    )
    for unit, observations in measured:
        found[unit] = {"jobs": jobs, "observations": [asdict(o) for o in observations]}
        if journal is not None:
            journal.add(unit, found[unit])
    return Measured(
        [observation_of(o) for unit in units for o in found[unit]["observations"]],
        tuple(sorted({found[unit]["jobs"] for unit in units})),
    )


def _here(plan: Plan, todo: Mapping[str, tuple[str, Record]], step: Step) -> Iterator[tuple[str, list[Observation]]]:
    with ExitStack() as cleanup:
        runners = plan.runners(cleanup) if todo else []
        for unit, (name, record) in todo.items():
            yield unit, measure_record(plan.kind, name, record, runners, plan.keeps, lambda what: step(what, 1))


def _beside(
    plan: Plan, todo: Mapping[str, tuple[str, Record]], jobs: int, step: Step
) -> Iterator[tuple[str, list[Observation]]]:
    each = len(plan.methods) * len(plan.keeps)
    starting = ProcessPoolExecutor(jobs, get_context("spawn"), initializer=_start, initargs=(plan,))
    with _threads(max(1, (os.cpu_count() or 1) // jobs)), starting as pool:
        waiting = dict[Future[list[Observation]], str]()
        left = iter(todo.items())
        try:
            while True:
                # Few at a time: records are large, and one that fails stops the run at once.
                while len(waiting) < 2 * jobs and (unit := next(left, None)) is not None:
                    waiting[pool.submit(_work, *unit[1])] = unit[0]
                if not waiting:
                    return
                for done in wait(waiting, return_when=FIRST_COMPLETED).done:
                    unit_name = waiting.pop(done)
                    yield unit_name, done.result()
                    step(unit_name, each)
        except BrokenProcessPool as error:
            raise ConfigError(
                f"a process of --jobs {jobs} ended before its work: too little memory, or it was killed. What is "
                "finished is kept where --out was given: run the same command again, with fewer --jobs"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _threads(each: int) -> Generator[None]:
    """Processes that are started meanwhile, and the peers that these start, use so many threads each.

    More would wait for each other on the same cores, which takes most of their time. A number that the user has set
    stays.
    """
    name = "OMP_NUM_THREADS"
    if name in os.environ:
        yield
        return
    os.environ[name] = str(each)
    try:
        yield
    finally:
        os.environ.pop(name, None)


_plan: Plan | None = None
_runners: list[Runner | PeerRunner] | None = None
_cleanup = ExitStack()


def _start(plan: Plan) -> None:
    """A process of the pool begins; it ends with its parent, also when that is killed."""
    global _plan
    _plan = plan
    register(_cleanup.close)
    parent = parent_process()
    if parent is not None:

        def follow() -> None:
            parent.join()
            os._exit(1)

        Thread(target=follow, daemon=True).start()


def _work(set_name: str, record: Record) -> list[Observation]:
    global _runners
    if _plan is None:
        raise RuntimeError("the process was started without a plan")
    if _runners is None:
        _runners = _plan.runners(_cleanup)
    return measure_record(_plan.kind, set_name, record, _runners, _plan.keeps, lambda _: None)
