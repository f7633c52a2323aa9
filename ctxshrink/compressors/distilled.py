"""Distilled versions at query time: what was made offline is served, what is missing is made and stored."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ctxshrink._deadline import describe
from ctxshrink.distill.types import Derived, Distiller, Source, content_hash, recipe_key
from ctxshrink.errors import ConfigError
from ctxshrink.pipeline.batch import DerivedStore, Outcome, distill_batch
from ctxshrink.types import Call, Candidate, Job, Segment

_log = logging.getLogger("ctxshrink")

_NOT_STORED: Final = "no distilled version is stored, and only_stored=True makes none"


class DistillCompressor:
    """Puts a document's distilled version in its place: ``Shrinker(compressors=[DistillCompressor(…), "pruner"])``.

    The version was made once, without a question; the shrinker's guardrail judges it for the question at hand, and the
    next compressor takes over where it is rejected. It has one size: what a call asks for (``keep``, ``max_tokens``)
    decides whether it fits, not how long it is, and at a softer keep there is no other. Documents are found by their
    whole text, so what a retriever returns must be what was distilled: the same chunks, not parts of them.

    Only segments of kind ``document`` are distilled. Tool results stay verbatim: agents act on their exact form.
    Messages do too: each stands in one conversation, so a version that is made once and read often has no second
    reader there, a distiller would be waited for in every turn, and what a user wrote would enter a store that is meant
    for a corpus.

    Args:
        distiller: Makes what is missing. Its recipe says which stored versions are its own.
        store: Where versions are, a `ctxshrink.store.Store` for one. One that fails is no error: it is logged, and the
            version is made and not kept. None keeps versions for the length of a call.
        only_stored: Serve what is stored and make nothing, so that no call waits for a distiller.

    Raises:
        ConfigError: ``only_stored`` without a store.
    """

    name = "distill"

    def __init__(self, distiller: Distiller, store: DerivedStore | None = None, *, only_stored: bool = False) -> None:
        if only_stored and store is None:
            raise ConfigError("only_stored=True serves what a store has: give store=Store(url)")
        self.distiller = distiller
        self.store = store
        self.only_stored = only_stored

    def __repr__(self) -> str:
        return f"DistillCompressor({self.distiller!r}, {self.store!r}, only_stored={self.only_stored})"

    def compress(self, jobs: Sequence[Job], call: Call, /) -> list[Candidate]:
        """The distilled version of each document; an error, and the next compressor's turn, for what has none.

        Args:
            jobs: Segments of any kind.
            call: The call.
        """
        memory: _Memory = call.cache.setdefault(self, _Memory())
        documents = {j.segment.text: j.segment for j in jobs if j.segment.kind == "document"}
        missing = [
            Source(text, segment.title, content_type=segment.content_type)
            for text, segment in documents.items()
            if text not in memory.versions
        ]
        made = self._versions(missing) if missing else []
        memory.versions |= zip((source.text for source in missing), made, strict=True)
        candidates = _within_budget(jobs, [_candidate(job.segment, memory) for job in jobs], call)
        memory.offered |= {j.segment.id for j, c in zip(jobs, candidates, strict=True) if c.error is None}
        return candidates

    def _versions(self, sources: list[Source]) -> list[Outcome]:
        store = None if self.store is None else _Lenient(self.store)
        if store is not None and self.only_stored:
            keys = [content_hash(source.text) for source in sources]
            found = store.get(keys, recipe_key(self.distiller.recipe))
            return [
                Outcome("", "stored", found[key]) if key in found else Outcome("", "failed", None, _NOT_STORED)
                for key in keys
            ]
        out = distill_batch(sources, self.distiller, store, retry=False)
        _log.debug("distill: %d versions, %d of them stored", len(out), sum(o.state == "stored" for o in out))
        return out


@dataclass
class _Memory:
    """What a call knows: the versions by text, and the segments whose version was offered."""

    versions: dict[str, Outcome] = field(default_factory=dict[str, Outcome])
    offered: set[str] = field(default_factory=set[str])


class _Lenient:
    """A store whose failures are logged and go no further: reading finds nothing then, and writing keeps nothing."""

    def __init__(self, inner: DerivedStore) -> None:
        self._inner = inner

    def get(self, sources: Sequence[str], recipe: str, /) -> Mapping[str, Derived]:
        try:
            return self._inner.get(sources, recipe)
        except Exception as error:  # noqa: BLE001  fail open: logged; versions are made instead
            _log.warning("stored versions could not be read: %s", describe(error))
            return {}

    def put(self, derived: Sequence[Derived], /, *, originals: Sequence[str] = ()) -> Sequence[Derived]:
        try:
            return self._inner.put(derived, originals=originals)
        except Exception as error:  # noqa: BLE001  fail open: logged; the versions are served all the same
            _log.warning("%d distilled versions were not kept: %s", len(derived), describe(error))
            return derived


def _candidate(segment: Segment, memory: _Memory) -> Candidate:
    if segment.kind != "document":
        return Candidate("", error=f"only documents are distilled; this is of kind {segment.kind}")
    if segment.id in memory.offered:
        return Candidate("", error="the distilled version, which has one size, was judged before")
    outcome = memory.versions[segment.text]
    if outcome.derived is None:
        return Candidate("", error=outcome.reason)
    distillate = outcome.derived.distillate
    if distillate.text == segment.text:
        return Candidate("", error=f"the distilled version is the original: {distillate.reason}")
    form = f"the distilled version ({distillate.method})"
    return Candidate(distillate.text, distillate.spans, form=form, rewritten=distillate.spans is None)


def _within_budget(jobs: Sequence[Job], candidates: list[Candidate], call: Call) -> list[Candidate]:
    """The versions that fit into the sum of their shares: those furthest over their own are left out first."""
    sizes = call.counter.count([c.text for c in candidates])
    over = {i: sizes[i] - job.max_tokens for i, job in enumerate(jobs) if candidates[i].error is None}
    excess = sum(over.values())
    out = list(candidates)
    for i in sorted(over, key=lambda i: (-over[i], i)):
        if excess <= 0:
            break
        excess -= over[i]
        out[i] = Candidate("", error=f"the version's {sizes[i]} tokens are more than the share of {jobs[i].max_tokens}")
    return out
