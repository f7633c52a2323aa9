"""Distillers and stores for the tests of what uses them."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ctxshrink.distill.types import Derived, Distillate, Setting, Source
from ctxshrink.errors import StoreError
from ctxshrink.store import Store
from ctxshrink.testing import WordCounter


@dataclass
class FirstHalf:
    """Keeps the first half of the sentences, word for word, and notes what it was asked.

    Args:
        poison: A text that holds it makes the distiller fail.
        final: See `Distillate`.
        words: Say it in other words: in capitals.
    """

    poison: str = "\0poison"
    final: bool = True
    words: bool = False
    asked: list[list[str]] = field(default_factory=list[list[str]])
    name: str = "first-half"
    counter_name: str = "words"

    @property
    def recipe(self) -> Mapping[str, Setting]:
        return {"method": self.name, "words": self.words}

    def distill(self, sources: Sequence[Source], /) -> list[Distillate]:
        self.asked.append([source.text for source in sources])
        if any(self.poison in source.text for source in sources):
            raise RuntimeError("this text cannot be distilled")
        return [self._one(source) for source in sources]

    def _one(self, source: Source) -> Distillate:
        sentences = source.text.split(". ")
        text = ". ".join(sentences[: len(sentences) // 2 or 1])
        spans = None if self.words else ((0, len(text)),)
        text = text.upper() if self.words else text
        before, after = WordCounter().count([source.text, text])
        return Distillate(text, self.name, "the first half says it", before, after, spans=spans, final=self.final)


@dataclass
class DiesOnce(FirstHalf):
    """Kills its process, once, when it gets a text with this word; the file says that it did.

    Args:
        word: What it dies of.
        done: The file.
        again: Each time, whatever the file says.
    """

    word: str = "\0death"
    done: Path = Path("died")
    again: bool = False

    def distill(self, sources: Sequence[Source], /) -> list[Distillate]:
        if any(self.word in source.text for source in sources):
            if self.again:
                os.kill(os.getpid(), signal.SIGKILL)
            die_once(self.done)
        return super().distill(sources)


def die_once(done: Path) -> None:
    """Kill this process, unless the file is there."""
    if not done.exists():
        done.touch()
        os.kill(os.getpid(), signal.SIGKILL)


class BrokenStore:
    """Cannot read and cannot write."""

    def get(self, sources: Sequence[str], recipe: str, /) -> Mapping[str, Derived]:
        raise ConnectionError("the database is down")

    def put(self, derived: Sequence[Derived], /, *, originals: Sequence[str] = ()) -> Sequence[Derived]:
        raise ConnectionError("the database is down")


@dataclass
class FullStore:
    """Reads, and says that it cannot write."""

    inner: Store

    def get(self, sources: Sequence[str], recipe: str, /) -> Mapping[str, Derived]:
        return self.inner.get(sources, recipe)

    def put(self, derived: Sequence[Derived], /, *, originals: Sequence[str] = ()) -> Sequence[Derived]:
        raise StoreError("the disk is full")


@dataclass
class DiesAfterWriting:
    """Kills its process, once, right after a row of a text was committed; the file says that it did.

    Args:
        inner: The store that it is.
        source: Content hash of the text.
        done: The file.
    """

    inner: Store
    source: str
    done: Path

    def get(self, sources: Sequence[str], recipe: str, /) -> Mapping[str, Derived]:
        return self.inner.get(sources, recipe)

    def put(self, derived: Sequence[Derived], /, *, originals: Sequence[str] = ()) -> Sequence[Derived]:
        written = self.inner.put(derived, originals=originals)
        if any(row.source == self.source for row in derived):
            die_once(self.done)
        return written
