"""The pipeline: documents in batches through a distiller into a store, each text once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from ctxshrink._deadline import describe
from ctxshrink.distill.types import Derived, Distiller, Source, content_hash, recipe_key
from ctxshrink.errors import ConfigError, CtxShrinkError, StoreError

from ._skips import Skipped
from .batch import DerivedStore, distill_batch
from .report import Figures, Report

__all__ = ["BATCH", "BATCH_BYTES", "StoppedError", "batches", "plan", "run", "used"]

BATCH: Final = 32
BATCH_BYTES: Final = 4_000_000
"""Most bytes of text in a batch of more than one document."""

_NONE: Final = Figures()


class StoppedError(CtxShrinkError, RuntimeError):
    """A run could not go on: the store or the sources failed.

    Attributes:
        report: What was done, and is in the store. Running again goes on from there.
    """

    def __init__(self, message: str, report: Report) -> None:
        super().__init__(message)
        self.report = report


class SourceError(CtxShrinkError, RuntimeError):
    """The iterable of sources raised; the message says what."""


def batches(
    items: Iterable[Source | Skipped], most: int = BATCH, most_bytes: int = BATCH_BYTES
) -> Iterator[list[Source | Skipped]]:
    """Parts of a stream of documents.

    Args:
        items: Documents, and what was skipped among them.
        most: Most items of a batch.
        most_bytes: Most bytes of text in a batch in UTF-8; a document that is larger has one to itself.

    Raises:
        ConfigError: A bound is below 1.
        SourceError: ``items`` raised, after all that came before was handed out.
    """
    if most < 1 or most_bytes < 1:
        raise ConfigError(f"a batch must hold 1 document and 1 byte or more; got {most} and {most_bytes}")
    return _batches(items, most, most_bytes)


def _batches(items: Iterable[Source | Skipped], most: int, most_bytes: int) -> Iterator[list[Source | Skipped]]:
    batch: list[Source | Skipped] = []
    size, failure = 0, None
    try:
        for item in items:
            grows = 0 if isinstance(item, Skipped) else len(item.text.encode("utf-8", "surrogatepass"))
            if batch and (len(batch) >= most or size + grows > most_bytes):
                yield batch
                batch, size = [], 0
            batch.append(item)
            size += grows
    except Exception as error:  # noqa: BLE001  a loader is anybody's code; raised below
        failure = error
    if batch:
        yield batch
    if failure is not None:
        raise SourceError(f"the source of documents failed: {describe(failure)}") from failure


def run(
    sources: Iterable[Source | Skipped],
    distiller: Distiller,
    store: DerivedStore,
    *,
    batch: int = BATCH,
    batch_bytes: int = BATCH_BYTES,
    progress: Callable[[Figures], None] | None = None,
    save_originals: bool = True,
) -> Report:
    """Distill what the store does not have yet, and keep it there.

    Each batch is committed as a whole: a run that was killed goes on where it was when it is run again, and does
    nothing twice that was committed. A text is known by its content: equal texts are distilled once, the first giving
    title and uri, and a text that did not change is not distilled again by the same recipe, wherever it comes from.
    The rows do not depend on the batches, nor, but for the uri of equal texts, on the order.

    Args:
        sources: Documents, as `sources.read` and the `adapters` give them; what they skipped goes into the report.
        distiller: Makes the versions. What it raises costs the one document that it is raised for.
        store: Where versions and originals are kept.
        batch: Most documents of a batch.
        batch_bytes: Most bytes of text in a batch of more than one document: memory is bounded by it, or by the
            largest document.
        progress: Called after each batch with the figures so far.
        save_originals: Keep the originals as well, so that a version can be expanded.

    Returns:
        What was done. Ctrl-C ends the run with its report, which then says so under `Report.stopped`.

    Raises:
        ConfigError: A bound of the batches is below 1.
        StoppedError: The store or the sources failed; its ``report`` says what was done.
    """
    since = time.time()
    before = used(distiller)

    def step(items: Sequence[Source | Skipped]) -> Figures:
        texts = [item for item in items if isinstance(item, Source)]
        outcomes = distill_batch(texts, distiller, store, originals=save_originals, since=since) if texts else []
        return Figures.read(items) + Figures.of(outcomes, distiller.name)

    return _through(batches(sources, batch, batch_bytes), step, distiller, progress, lambda: used(distiller, before))


def plan(
    sources: Iterable[Source | Skipped],
    distiller: Distiller,
    store: DerivedStore | None,
    *,
    batch: int = BATCH,
    batch_bytes: int = BATCH_BYTES,
    progress: Callable[[Figures], None] | None = None,
) -> Report:
    """What `run` would do with the same arguments: reads documents and asks the store, writes nothing.

    Args:
        sources: See `run`.
        distiller: See `run`; only its settings are read.
        store: See `run`; None is an empty one.
        batch: See `run`.
        batch_bytes: See `run`.
        progress: See `run`.

    Raises:
        ConfigError: See `run`.
        StoppedError: See `run`.
    """
    recipe = recipe_key(distiller.recipe)
    seen = set[int]()  # 64 bits of each hash: a hundred bytes a document

    def step(items: Sequence[Source | Skipped]) -> Figures:
        texts = {content_hash(item.text): item.text for item in items if isinstance(item, Source)}
        new = [key for key in texts if int(key[:16], 16) not in seen]
        seen.update(int(key[:16], 16) for key in new)
        found = dict[str, Derived]() if store is None else store.get(new, recipe)
        settled = {key: row.distillate for key, row in found.items() if row.distillate.final}
        figures = Figures.read(items)
        return figures + Figures(
            unchanged=len(settled),
            duplicates=figures.documents - len(new),
            pending=len(new) - len(settled),
            pending_bytes=sum(len(texts[k].encode("utf-8", "surrogatepass")) for k in new if k not in settled),
            tokens_before=sum(made.tokens_before for made in settled.values()),
            tokens_after=sum(made.tokens_after for made in settled.values()),
        )

    return _through(batches(sources, batch, batch_bytes), step, distiller, progress, planned=True)


def _through(
    parts: Iterable[list[Source | Skipped]],
    step: Callable[[Sequence[Source | Skipped]], Figures],
    distiller: Distiller,
    progress: Callable[[Figures], None] | None,
    model: Callable[[], Figures] = Figures,
    *,
    planned: bool = False,
) -> Report:
    """Take every batch through a step and add its figures up; ``model``: what the language model cost on top."""
    began = time.perf_counter()
    recipe = recipe_key(distiller.recipe)
    total = Figures()

    def report(stopped: str) -> Report:
        seconds = time.perf_counter() - began
        figures = total + model()
        return Report(figures, distiller.name, recipe, distiller.counter_name, seconds, stopped, planned=planned)

    try:
        for items in parts:
            total += step(items)
            if progress is not None:
                progress(total)
    except KeyboardInterrupt:
        return report("interrupted")
    except (StoreError, SourceError) as error:
        raise StoppedError(str(error), report(str(error))) from error
    return report("")


def used(distiller: Distiller, before: Figures = _NONE) -> Figures:
    """What a distiller's language model cost so far, or since; nothing where it has none.

    Args:
        distiller: With a ``usage`` that has ``calls``, ``input_tokens`` and ``output_tokens``, or without.
        before: What was used then.
    """
    usage: Any = getattr(distiller, "usage", None)
    if usage is None:
        return Figures()
    return Figures(
        calls=usage.calls - before.calls,
        input_tokens=usage.input_tokens - before.input_tokens,
        output_tokens=usage.output_tokens - before.output_tokens,
    )
