"""A distiller and a store that are small, quick and can be told to fail, and rows in a form to compare."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace

from ctxshrink.distill import Derived, Distillate, Source, content_hash
from ctxshrink.distill.types import Setting
from ctxshrink.errors import StoreError


def documents(number: int) -> list[Source]:
    """Short texts, each another."""
    return [Source(f"document {i} of many has a few words of its own", uri=str(i)) for i in range(number)]


class Halver:
    """Keeps the first half of a text's words; notes every text it is given."""

    name = "halver"
    counter_name = "words"

    def __init__(self, *, poison: str = "", recipe: str = "1", final: bool = True) -> None:
        self.given: list[str] = []
        self.poison, self.version, self.final = poison, recipe, final

    @property
    def recipe(self) -> Mapping[str, Setting]:
        return {"method": self.name, "version": self.version}

    def distill(self, sources: Sequence[Source], /) -> list[Distillate]:
        if self.poison and any(self.poison in source.text for source in sources):
            raise ValueError("there is poison in it")
        self.given += [source.text for source in sources]
        return [self._one(source.text) for source in sources]

    def _one(self, text: str) -> Distillate:
        words = text.split()
        kept = words[: max(1, len(words) // 2)]
        if len(kept) == len(words):
            return Distillate(text, "original", "too short", len(words), len(words), final=self.final)
        return Distillate(" ".join(kept), self.name, "halved", len(words), len(kept), final=self.final)


class DictStore:
    """The pipeline's side of a store, in a dict."""

    def __init__(self, *, puts: int | None = None) -> None:
        self.rows: dict[tuple[str, str], Derived] = {}
        self.originals: dict[str, str] = {}
        self.sizes: list[int] = []
        self._puts = puts
        self._lock = threading.Lock()

    def get(self, sources: Sequence[str], recipe: str, /) -> dict[str, Derived]:
        return {s: self.rows[s, recipe] for s in sources if (s, recipe) in self.rows}

    def put(self, derived: Sequence[Derived], /, *, originals: Sequence[str] = ()) -> list[Derived]:
        with self._lock:
            if self._puts is not None and len(self.sizes) >= self._puts:
                raise StoreError("could not write to the store: disk is full")
            ids = {content_hash(text): content_hash(text)[:10] for text in originals}
            self.originals |= {ids[content_hash(text)]: text for text in originals}
            written = [
                replace(row, original=row.original or ids.get(row.source, ""), created=time.time()) for row in derived
            ]
            self.sizes.append(len(written))
            self.rows |= {(row.source, row.recipe): row for row in written}
            return written


def plain(rows: Iterable[Derived]) -> list[str]:
    """Rows without their time stamps, in a fixed order, to compare."""
    return sorted(json.dumps(asdict(replace(row, created=0.0)), sort_keys=True) for row in rows)
