"""The pipeline on a cluster: Ray Data (extra ``ray``) moves batches of documents to workers that distil and store them.

One task reads the sources, on the machine of the caller, and leaves out texts that it has given before. Each worker is
an actor: it makes its distiller once, so a model is loaded once per worker, and has its own connection to the store. A
worker commits a batch in one write, by the same code as the local run, so the rows are the same. When a worker dies,
Ray starts another and gives it the batch: what was committed is found in the store and what was not is made, so that no
row is lost or doubled. That batch is then distilled and committed text by text, and a text that workers die of fails.

Which store: SQLite on a local disk where all workers run on one machine; PostgreSQL or MySQL where they run on several,
because SQLite's locks do not hold on network file systems.
"""

from __future__ import annotations

import contextlib
import pickle
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, Final, Literal

from ctxshrink._deadline import describe
from ctxshrink._lru import digest
from ctxshrink.distill.types import Distiller, Source, recipe_key
from ctxshrink.errors import ConfigError, StoreError

from ._cluster import libraries, local_cluster
from ._skips import Skipped
from .batch import DerivedStore, Outcome, distill_batch
from .local import BATCH, BATCH_BYTES, SourceError, StoppedError, batches, used
from .report import Figures, Report

__all__ = ["local_cluster", "run_on_ray"]

SEEN: Final = 1_000_000
"""Texts that the reader remembers, about 100 bytes each, to give equal ones once."""

DEATHS: Final = 2
"""Workers that may die over one text. Ray itself would go on without end."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A batch on its way to a worker: each text once, and what the reader counted of it."""

    sources: tuple[Source, ...]
    figures: Figures
    failure: str = ""


@dataclass(frozen=True, slots=True)
class _Done:
    """What a worker says of a batch: no texts. `broken` says what failed, where something did."""

    figures: Figures
    distiller: str = ""
    recipe: str = ""
    counter: str = ""
    failure: str = ""
    broken: Literal["", "sources", "store", "settings"] = ""


def run_on_ray(
    sources: Iterable[Source | Skipped],
    make: Callable[[], Distiller],
    store: DerivedStore,
    *,
    workers: int | tuple[int, int] = 2,
    batch: int = BATCH,
    batch_bytes: int = BATCH_BYTES,
    cpus: float = 1.0,
    gpus: float = 0.0,
    progress: Callable[[Figures], None] | None = None,
    save_originals: bool = True,
) -> Report:
    """`ctxshrink.pipeline.run` on Ray: the same rows in the store, and a report of the same form.

    It uses the cluster that this process is connected to (``ray.init``); where there is none, it starts a
    `local_cluster` for the length of the call. A run that was stopped goes on when it is run again, here or locally.

    Args:
        sources: Documents, as for `ctxshrink.pipeline.run`. They are read in another process of this machine, so they
            must pickle: `Files` and lists do, generators do not.
        make: Makes a worker's distiller, on the worker. Functions pickle, and most lambdas.
        store: Where rows are kept: a `ctxshrink.store.Store`, which every worker opens by its URL. Which database:
            see the module.
        workers: How many; or the least and the most, and Ray starts them as there is work.
        batch: See `ctxshrink.pipeline.run`. This much is made again when a worker dies.
        batch_bytes: See `ctxshrink.pipeline.run`. Batches on their way lie in Ray's object store, whose size bounds
            them.
        cpus: Processor cores that a worker claims of the cluster.
        gpus: GPUs that it claims; workers with a half share one.
        progress: See `ctxshrink.pipeline.run`.
        save_originals: See `ctxshrink.pipeline.run`.

    Returns:
        What was done. A text that comes twice counts as a duplicate the second time, whatever became of the first.

    Raises:
        MissingExtraError: Ray is not installed.
        ConfigError: An argument is wrong or does not pickle, or ``make`` failed on a worker.
        StoppedError: The store, the sources or the cluster failed; its ``report`` says what was done.
    """
    pool = _pool(workers)
    batches((), batch, batch_bytes)
    ray, data = libraries()
    reading, work = _pickled(ray, "sources", sources), _pickled(ray, "make and store", (make, store))
    since, began = time.time(), time.perf_counter()
    total, said, stopped = Figures(), _Done(Figures()), ""

    def report(why: str) -> Report:
        return Report(total, said.distiller, said.recipe, said.counter, time.perf_counter() - began, why)

    def told() -> Generator[_Done]:
        tries = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(_Tries).remote()
        parts = _dataset(data, reading, batch, batch_bytes).map_batches(
            _Worker,
            fn_constructor_args=(work, since, save_originals, tries),
            batch_size=1,
            batch_format="pyarrow",
            compute=data.ActorPoolStrategy(min_size=pool[0], max_size=pool[1]),
            num_cpus=cpus,
            num_gpus=gpus,
        )
        for row in parts.iter_rows():
            yield pickle.loads(row["done"])

    cluster = contextlib.nullcontext() if ray.is_initialized() else local_cluster(pool[1], cpus=cpus)
    try:
        with cluster, contextlib.closing(told()) as all_done:
            for done in all_done:
                total += done.figures
                said = done if done.distiller else said
                if done.broken == "settings":
                    raise ConfigError(done.failure)
                if done.broken == "store":
                    raise StoreError(done.failure)
                stopped = stopped or done.failure  # The sources failed: what they gave before is still on its way.
                if progress is not None:
                    progress(total)
            said = said if said.distiller else _introduced(make())
    except KeyboardInterrupt:
        return report("interrupted")
    except (StoreError, ray.exceptions.RayError) as error:
        why = str(error) if isinstance(error, StoreError) else f"the cluster failed: {describe(error)}"
        raise StoppedError(why, report(why)) from error
    if stopped:
        raise StoppedError(stopped, report(stopped))
    return report("")


class _Worker:
    """An actor: a distiller and a store of its own, for all the batches that it gets."""

    def __init__(self, work: bytes, since: float, save_originals: bool, tries: Any) -> None:
        self._work, self._since, self._save_originals, self._tries = work, since, save_originals, tries
        self._ready: tuple[Distiller, DerivedStore] | None = None

    def __call__(self, table: Any) -> Any:
        done = [pickle.dumps(self._done(pickle.loads(cell.as_py()))) for cell in table["part"]]
        return import_module("pyarrow").table({"done": done})

    def _done(self, part: _Part) -> _Done:
        if part.failure:
            return _Done(part.figures, failure=part.failure, broken="sources")
        try:
            if self._ready is None:
                make, store = pickle.loads(self._work)
                self._ready = make(), store
            return self._distilled(part, *self._ready)
        except StoreError as error:
            return _Done(Figures(), failure=str(error), broken="store")
        except Exception as error:  # noqa: BLE001  raised again where the run was started, with this reason
            return _Done(Figures(), failure=f"a worker could not distill: {describe(error)}", broken="settings")

    def _distilled(self, part: _Part, distiller: Distiller, store: DerivedStore) -> _Done:
        before = used(distiller)
        key = digest(*(source.text for source in part.sources))
        if self._begun(key) == 1:
            found = self._outcomes(part.sources, distiller, store)
        else:  # Whoever began it died: of which text is found out.
            found = [outcome for source in part.sources for outcome in self._alone(source, distiller, store)]
        self._tries.ended.remote(key)
        # The reader gives a text once: a row of this run is what a worker wrote of this batch before it died.
        outcomes = [replace(o, state="new", duplicate=False) if o.duplicate else o for o in found]
        figures = part.figures + Figures.of(outcomes, distiller.name) + used(distiller, before)
        return replace(_introduced(distiller), figures=figures)

    def _outcomes(self, sources: Sequence[Source], distiller: Distiller, store: DerivedStore) -> list[Outcome]:
        return distill_batch(sources, distiller, store, originals=self._save_originals, since=self._since)

    def _alone(self, source: Source, distiller: Distiller, store: DerivedStore) -> list[Outcome]:
        key = digest(source.text)
        if (number := self._begun(key)) > DEATHS:
            return [Outcome(source.uri, "failed", None, f"{number - 1} workers died while they distilled it")]
        found = self._outcomes([source], distiller, store)
        self._tries.ended.remote(key)
        return found

    def _begun(self, key: bytes) -> int:
        return import_module("ray").get(self._tries.begun.remote(key))


class _Tries:
    """An actor that outlives the workers: how often they began what none of them has ended."""

    def __init__(self) -> None:
        self._begun: Counter[bytes] = Counter()

    def begun(self, key: bytes) -> int:
        """Note that a worker begins something; returns how many did so far."""
        self._begun[key] += 1
        return self._begun[key]

    def ended(self, key: bytes) -> None:
        """Note that it is done."""
        del self._begun[key]


def _introduced(distiller: Distiller) -> _Done:
    return _Done(Figures(), distiller.name, recipe_key(distiller.recipe), distiller.counter_name)


def _dataset(data: Any, reading: bytes, batch: int, batch_bytes: int) -> Any:
    """A dataset whose blocks are the batches, read as they are asked for."""
    table = import_module("pyarrow").table
    source, block = import_module("ray.data.datasource"), import_module("ray.data.block")

    def read() -> Iterator[Any]:
        for part in _parts(pickle.loads(reading), batch, batch_bytes):
            yield table({"part": [pickle.dumps(part)]})

    class Documents(source.Datasource):
        supports_distributed_reads = False

        def estimate_inmemory_data_size(self) -> None:
            return None

        def get_read_tasks(self, *_: Any, **__: Any) -> list[Any]:
            unknown = block.BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
            return [source.ReadTask(read, unknown)]

    settings = data.DataContext.get_current().copy()
    settings.target_max_block_size = 1  # A block for each batch: blocks are what workers are given.
    settings.enable_progress_bars = False
    settings.print_on_execution_start = False
    with data.DataContext.current(settings):
        return data.read_datasource(Documents(), override_num_blocks=1, num_cpus=0)


def _parts(items: Iterable[Source | Skipped], batch: int, batch_bytes: int) -> Iterator[_Part]:
    seen: dict[bytes, None] = {}
    try:
        for some in batches(items, batch, batch_bytes):
            new: list[Source] = []
            texts = [item for item in some if isinstance(item, Source)]
            for text in texts:
                key = digest(text.text)
                if key not in seen:
                    new.append(text)
                    seen[key] = None
                if len(seen) > SEEN:
                    del seen[next(iter(seen))]
            yield _Part(tuple(new), Figures.read(some) + Figures(duplicates=len(texts) - len(new)))
    except SourceError as error:
        yield _Part((), Figures(), str(error))


def _pool(workers: int | tuple[int, int]) -> tuple[int, int]:
    least, most = (workers, workers) if isinstance(workers, int) else workers
    if not 1 <= least <= most:
        raise ConfigError(f"workers must be 1 or more, or (least, most); got {workers!r}")
    return least, most


def _pickled(ray: Any, name: str, value: object) -> bytes:
    try:
        return ray.cloudpickle.dumps(value)
    except Exception as error:  # pickling runs anybody's code
        raise ConfigError(
            f"{name} must pickle, for they go to other processes ({describe(error)}): give Files or a list, not a "
            "generator; a function that makes the distiller; a store in a file or on a server"
        ) from error
