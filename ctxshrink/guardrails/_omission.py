"""What a compression left out, weighed by how likely each piece of it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ctxshrink.compressors._index import Index
from ctxshrink.compressors.pruner import ranking
from ctxshrink.types import Call, Trial

from ._needs import locked, needs
from ._views import View, partly
from .detector import Detector

Floats = NDArray[np.float64]

FEATURES: Final = (
    "lost",
    "left_out",
    "worst",
    "margin",
    "any",
    "first_left_out",
    "dropped",
    "kept",
    "worst_share",
    "kept_share",
)
"""Names of the features of an omission. With p the need of a unit, d how far it was left out and n the share of its
words that stand nowhere in what was kept: ``lost`` logit of Σ p·d·n / Σ p; ``left_out`` the same without n; ``worst``
log of the highest p·d·n; ``margin`` log of the highest p that was kept over the highest that was left out; ``any`` log
of 1 - Π (1 - p·d·n); ``first_left_out`` log of the best place of a unit that was left out; ``dropped`` share of the
tokens left out, ``kept`` log of the rest; ``worst_share`` and ``kept_share`` log of the highest p that was left out and
kept over the highest of all."""


@dataclass(frozen=True, slots=True)
class Omission:
    """Units of one or more segments, and what became of them; all arrays have shape (units,).

    Attributes:
        total: Σ need over all units of the call.
        top: Highest need of any unit of the call.
        need: Probability that the unit is needed.
        out: How far it was left out, in [0, 1].
        new: Share of its words, by rarity, that stand nowhere in what was kept.
        place: Place in the ranking of the call, 0 is best.
        tokens: Its tokens.
        source: (index, unit) of each.
    """

    total: float
    top: float
    need: Floats
    out: Floats
    new: Floats
    place: Floats
    tokens: Floats
    source: tuple[tuple[Index, int], ...]

    def features(self) -> Floats:
        """`FEATURES` of the omission, shape (features,)."""
        left = self.need * self.out
        gone = left * self.new
        total, top = max(self.total, 1e-9), max(self.top, 1e-9)
        worst_left, worst = float(left.max(initial=0.0)), float(gone.max(initial=0.0))
        best_kept = float((self.need * (1 - self.out)).max(initial=0.0))
        tokens = max(1.0, float(self.tokens.sum()))
        dropped = float((self.tokens * self.out).sum()) / tokens
        first = float(self.place[self.out > 0].min(initial=1e6)) if self.out.any() else float(len(self.place))
        return np.array(
            [
                _logit(float(gone.sum()) / total),
                _logit(float(left.sum()) / total),
                _log(worst),
                _log(best_kept) - _log(worst_left),
                _log(1 - float(np.exp(np.log1p(-np.minimum(gone, 0.99)).sum()))),
                float(np.log1p(first)),
                dropped,
                _log(1 - dropped),
                _log(worst_left / top),
                _log(best_kept / top),
            ]
        )

    def worst(self) -> tuple[Index, int] | None:
        """The unit whose loss weighs most; None where none is left out, or all that is left out is repetition."""
        if not len(self.need):
            return None
        at = int(np.argmax(self.need * self.out * self.new))
        return self.source[at] if self.out[at] > 0 else None


def segment_omissions(trials: Sequence[Trial], call: Call, detector: Detector) -> list[Omission]:
    """An omission for each trial, which does not depend on the others: other segments count as not there."""
    out: list[Omission] = []
    for trial in trials:
        view = View.of(call, trial)
        idx, part = view.idx, view.part(trial)
        left = view.left_out(trial)
        new = _new(idx, part, view.kept(trial, left), call)
        if trial.rewritten:
            new = view.only(trial, left, new)
        elif view.loose(trial):
            left, new = left * new, np.ones_like(new)
        out.append(_omission(call, detector, [(view, part, left, new)], view.total(call, detector)))
    return out


def output_omission(trials: Sequence[Trial], call: Call, detector: Detector) -> Omission:
    """One omission for a whole output: what was left out of these segments, all others being whole."""
    by_id = {t.segment.id: t for t in trials}
    views = {t.segment.id: View.of(call, t) for t in trials}
    used = {v.idx.structured: v for v in (View(call, True), *views.values())}
    kept: dict[bool, NDArray[np.bool_]] = {}
    left: dict[str, Floats] = {i: views[i].left_out(t) for i, t in by_id.items()}
    for structured, view in used.items():
        idx = view.idx
        whole = np.array([s.id not in by_id for s in idx.segments], dtype=bool)[idx.segment]
        for i, t in by_id.items():
            if views[i].idx is idx:
                whole[view.part(t)] = left[i] == 0
        terms = np.zeros(max(1, len(idx.vocabulary)), dtype=bool)
        terms[idx.term[whole[idx.row]]] = True
        for i, t in by_id.items():
            if views[i].idx is not idx or views[i].loose(t) or partly(left[i]):
                terms[idx.vocabulary.lookup(views[i].said(t))] = True
        kept[structured] = terms
    pieces: list[tuple[View, slice, Floats, Floats]] = []
    total = 0.0
    default = used[True] if True in used else next(iter(used.values()))
    for segment in call.segments:
        trial = by_id.get(segment.id)
        view = views.get(segment.id, default)
        part = view.part_of(segment.id)
        total += float(needs(call, view.structured, detector)[part].sum())
        if segment.locked or part.start == part.stop:
            continue
        if trial is None:
            zero = np.zeros(part.stop - part.start)
            pieces.append((view, part, zero, zero))
            continue
        new = _new(view.idx, part, kept[view.idx.structured], call)
        out = left[segment.id]
        if trial.rewritten:
            new = view.only(trial, out, new)
        elif view.loose(trial):
            # What its own text lacks is left out; of that, what stands nowhere else is new.
            own = _new(view.idx, part, view.kept(trial, out), call)
            out, new = out * own, np.minimum(1.0, new / np.maximum(own, 1e-9))
        pieces.append((view, part, out, new))
    return _omission(call, detector, pieces, total)


def cuts_units(trial: Trial, call: Call) -> bool:
    """Whether the spans of a trial leave out a part of a unit, such as the "not" of a sentence."""
    return (view := View.of(call, trial)).loose(trial) or partly(view.left_out(trial))


def _omission(
    call: Call, detector: Detector, pieces: Sequence[tuple[View, slice, Floats, Floats]], total: float
) -> Omission:
    need, place, tokens, source, top = list[Floats](), list[Floats](), list[Floats](), list[tuple[Index, int]](), 0.0
    for view, part, _, _ in pieces:
        probability = needs(call, view.structured, detector)
        top = max(top, float(probability.max(initial=0.0)))
        need.append(probability[part])
        place.append(_places(call, view)[part])
        tokens.append(view.idx.tokens[part].astype(np.float64))
        source += [(view.idx, unit) for unit in range(part.start, part.stop)]
    return Omission(
        total,
        top,
        _join(need),
        _join([p[2] for p in pieces]),
        _join([p[3] for p in pieces]),
        _join(place),
        _join(tokens),
        tuple(source),
    )


def _places(call: Call, view: View) -> Floats:
    key = "ctxshrink.guardrails.places", view.idx.structured
    if key not in call.cache:
        rank = np.where(locked(view.idx), -np.inf, ranking(call, view.structured).key) if view.idx.size else np.zeros(0)
        place = np.empty(view.idx.size)
        place[np.argsort(-rank, kind="stable")] = np.arange(view.idx.size)
        call.cache[key] = place
    return call.cache[key]


def _new(idx: Index, part: slice, kept: NDArray[np.bool_], call: Call) -> Floats:
    """For each unit the share of its terms, by rarity and without the query's, that are not kept; shape (units,)."""
    first, last = np.searchsorted(idx.row, (part.start, part.stop))
    rows, terms = idx.row[first:last] - part.start, idx.term[first:last]
    size = part.stop - part.start
    rare = _rarity(idx, call)[terms]
    everything = np.bincount(rows, weights=rare, minlength=size)
    missing = np.bincount(rows, weights=rare * ~kept[terms], minlength=size)
    # A unit of marks or of the query's words alone says nothing that would be missed.
    return np.where(everything > 0, missing / np.maximum(everything, 1e-9), 0.0)


def _rarity(idx: Index, call: Call) -> Floats:
    key = "ctxshrink.guardrails.rarity", idx.structured
    if key not in call.cache:
        rare = idx.idf().copy()
        if call.query and idx.size:
            rare[idx.vocabulary.lookup(call.query)] = 0.0
        call.cache[key] = rare if len(rare) else np.zeros(1)
    return call.cache[key]


def _join(arrays: Sequence[Floats]) -> Floats:
    return np.concatenate(arrays) if arrays else np.zeros(0)


def _log(x: float) -> float:
    return float(np.log(max(x, 1e-5)))


def _logit(x: float) -> float:
    inside = min(max(x, 1e-4), 1 - 1e-4)
    return float(np.log(inside / (1 - inside)))
