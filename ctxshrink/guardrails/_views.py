"""What a trial's text still has of the units that it was made from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ctxshrink.compressors._index import Index, index
from ctxshrink.text._substrings import contained
from ctxshrink.types import Call, Trial

from ._needs import needs
from ._retold import Retold, retell
from .detector import Detector

Floats = NDArray[np.float64]

_RETOLD = "ctxshrink.guardrails.retold"


class View:
    """The index that a trial's text was selected from."""

    def __init__(self, call: Call, structured: bool) -> None:
        self.idx = index(call, structured)
        self.structured = structured
        self._call = call

    @classmethod
    def of(cls, call: Call, trial: Trial) -> View:
        laid = cls(call, True)
        if laid.idx.layouts[laid.idx.position[trial.segment.id]].text == trial.basis:
            return laid
        return cls(call, False) if trial.source is None else laid

    def part_of(self, segment: str) -> slice:
        place = self.idx.position[segment]
        return slice(int(self.idx.offset[place]), int(self.idx.offset[place + 1]))

    def part(self, trial: Trial) -> slice:
        return self.part_of(trial.segment.id)

    def loose(self, trial: Trial) -> bool:
        """True where spans do not say which units were kept."""
        layout = self.idx.layouts[self.idx.position[trial.segment.id]]
        return trial.spans is None or trial.basis != layout.text

    def total(self, call: Call, detector: Detector) -> float:
        return float(needs(call, self.structured, detector).sum())

    def left_out(self, trial: Trial) -> Floats:
        """For each unit of the trial's segment how far it is not in its text: 0, 1, or a share of its characters."""
        part = self.part(trial)
        if trial.rewritten:
            return self._retold(trial).missing
        out = np.ones(part.stop - part.start)
        if self.loose(trial):
            whole = frozenset(trial.text.split())
            texts = [self.idx.text(unit) for unit in range(part.start, part.stop)]
            # Where its inner words are missing it cannot stand there: spares most searches through a long text.
            likely = [i for i, text in enumerate(texts) if whole.issuperset(text.split()[1:-1])]
            for i, stands in zip(likely, contained([texts[i] for i in likely], trial.text), strict=True):
                out[i] = float(not stands)
            return out
        spans, at = trial.spans or (), 0
        for unit in range(part.start, part.stop):
            start, end = self.idx.spans[unit]
            while at < len(spans) and spans[at][1] <= start:
                at += 1
            here, covered = at, 0
            while here < len(spans) and spans[here][0] < end:
                covered += max(0, min(end, spans[here][1]) - max(start, spans[here][0]))
                here += 1
            out[unit - part.start] -= covered / max(1, end - start)
        return np.maximum(out, 0.0)

    def kept(self, trial: Trial, left: Floats) -> NDArray[np.bool_]:
        """The terms of the trial's text, shape (terms,)."""
        terms = _terms(self.idx, self.part(trial), left == 0)
        if self.loose(trial) or partly(left):
            terms[self.idx.vocabulary.lookup(self.said(trial))] = True
        return terms

    def said(self, trial: Trial) -> str:
        """The words of a trial's text, and those of the original that it has in another form."""
        return f"{trial.text} {self._retold(trial).words}" if trial.rewritten else trial.text

    def only(self, trial: Trial, left: Floats, new: Floats) -> Floats:
        """Of what a text in other words does not say of each unit, the share that stands nowhere, shape (units,).

        Args:
            trial: A rewritten one.
            left: How far each unit is not said.
            new: Share of the words of each that stand nowhere.
        """
        # A value that is nowhere is what a question may be about, however many of the other words are there.
        return np.where(self._retold(trial).lost, 1.0, np.minimum(1.0, new / np.maximum(left, 1e-9)))

    def _retold(self, trial: Trial) -> Retold:
        cache: dict[tuple[str, str, bool], Retold] = self._call.cache.setdefault(_RETOLD, {})
        key = trial.segment.id, trial.text, self.idx.structured
        if key not in cache:
            part = self.part(trial)
            cache[key] = retell([self.idx.words(unit) for unit in range(part.start, part.stop)], trial.text)
        return cache[key]


def _terms(idx: Index, part: slice, kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The terms of a segment's kept units, shape (terms,)."""
    first, last = np.searchsorted(idx.row, (part.start, part.stop))
    terms = np.zeros(max(1, len(idx.vocabulary)), dtype=bool)
    terms[idx.term[first:last][kept[idx.row[first:last] - part.start]]] = True
    return terms


def partly(left: Floats) -> bool:
    """Whether a unit was cut, so that some of its words are kept."""
    return bool(((left > 0) & (left < 1)).any())
