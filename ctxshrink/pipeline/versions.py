"""Distilled versions for the documents of a framework, with figures for their metadata."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from ctxshrink.distill.types import Distiller, Source
from ctxshrink.seats import METADATA_KEY

from ._skips import Skipped
from .batch import DerivedStore, Outcome, distill_batch

__all__ = ["ORIGINAL_KEY", "Version", "versions"]

ORIGINAL_KEY: Final = "ctxshrink_original"
"""The metadata key of the original's id: seats that serve the document later replace what stands under
`METADATA_KEY`."""


@dataclass(frozen=True, slots=True)
class Version:
    """What takes a document's place in an index.

    Attributes:
        text: Its text; None leaves the document's own.
        note: Figures: ``action`` (``compressed`` or ``kept``) and ``reason``; where it was distilled also ``method``,
            ``tokens_before``, ``tokens_after``, ``source`` (the original's content hash) and ``recipe``.
        original: The id under which the store keeps the original; "" where it does not.
    """

    text: str | None
    note: dict[str, Any]
    original: str = ""

    @property
    def metadata(self) -> dict[str, str]:
        """The note as JSON under `METADATA_KEY`, and the id under `ORIGINAL_KEY` where there is one.

        Texts, because many indexes take no nested metadata; and the same in every run, so that no index sees a change
        where there is none.
        """
        return {METADATA_KEY: json.dumps(self.note)} | ({ORIGINAL_KEY: self.original} if self.original else {})


def versions(
    items: Iterable[Source | Skipped], distiller: Distiller, store: DerivedStore | None, *, batch: int
) -> Iterator[Version]:
    """A version for each item, in order: from the store, or made and stored.

    Args:
        items: What `adapters` make of a framework's documents.
        distiller: Makes what is missing.
        store: Where versions and originals are kept; None makes all of them each time.
        batch: Items that are read, distilled and stored at a time.

    Raises:
        StoreError: The store failed.
    """
    rest = iter(items)
    while some := list(itertools.islice(rest, batch)):
        sources = [item for item in some if isinstance(item, Source)]
        outcomes = iter(distill_batch(sources, distiller, store) if sources else ())
        for item in some:
            if isinstance(item, Skipped):
                yield Version(None, {"action": "kept", "reason": item.reason})
            else:
                yield _version(next(outcomes), item.text)


def _version(outcome: Outcome, original: str) -> Version:
    if outcome.derived is None:
        return Version(None, {"action": "kept", "reason": outcome.reason})
    made = outcome.derived.distillate
    changed = made.text != original
    note: dict[str, Any] = {
        "action": "compressed" if changed else "kept",
        "reason": made.reason,
        "method": made.method,
        "tokens_before": made.tokens_before,
        "tokens_after": made.tokens_after,
        "source": outcome.derived.source,
        "recipe": outcome.derived.recipe,
    }
    return Version(made.text if changed else None, note, outcome.derived.original)
