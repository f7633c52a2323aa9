"""Fits the models of `PerplexityGuardrail` to labelled data.

Every development record is compressed at several keeps by good and by bad compressors, without a guardrail
(`ctxshrink.bench.guardrail_labels`). Three kinds of logistic regression, one after another:

1. needs: does a unit hold a string that the record's questions need? From the unit's rank, facts and size;
2. segments and outputs: was such a string lost, in a segment; what share of them, in a whole output? From what was left
   out, weighed by the needs;
3. terms: what do the language model's likelihood ratios say beyond that?

All figures and curves are of sources that the models were not fitted on: for each source, the needs of its units and
then the risks of its compressions come from models that were fitted on the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ctxshrink.bench.stats import auroc
from ctxshrink.errors import ConfigError
from ctxshrink.guardrails._needs import FEATURES as UNIT_FEATURES
from ctxshrink.guardrails._omission import FEATURES
from ctxshrink.guardrails.detector import Detector, Logistic, Point

from .guardrail_data import Material, Sample, Units
from .guardrail_terms import term_weights
from .logistic import fit_logistic

Floats = NDArray[np.float64]

LIMITS = (
    *(0.001, 0.002, 0.003, 0.005, 0.007, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.07),
    *(0.1, 0.13, 0.16, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
)
"""Risks at which the curves are measured."""
NEAR = 3.0
"""Compressions at a risk between ``limit / NEAR`` and ``limit`` say what is lost at this limit: what the guardrail lets
out lies just below it."""
POOLED = 40
"""Compressions of all sources that are needed there."""
LEAST = 8
"""Compressions of a source that are needed there."""
SOURCES = 3
"""Sources that are needed there."""
SURE = 0.9
"""Share of the sources that lose less than `Point.missed`."""


def fit(found: Sequence[Material]) -> Detector:
    """A detector fitted on everything, with curves and figures of sources that were left out.

    Args:
        found: Labelled compressions.

    Raises:
        ConfigError: There are fewer than two sources of a mode, no losses, or nothing else.
    """
    fitted = {mode: _Fitted(mode, [m for m in found if m.mode == mode]) for mode in sorted({m.mode for m in found})}
    if not fitted:
        raise ConfigError("data: no record has text that is needed and can be lost")
    return _joined([f.detector(None) for f in fitted.values()])


def leave_one_out(
    found: Sequence[Material], *, progress: Callable[[str], None] = lambda _: None
) -> dict[str, Detector]:
    """For each source a detector that has not seen it."""
    fitted = {mode: _Fitted(mode, [m for m in found if m.mode == mode]) for mode in sorted({m.mode for m in found})}
    whole = {mode: f.detector(None) for mode, f in fitted.items()}
    out: dict[str, Detector] = {}
    for mode, of in fitted.items():
        for source in of.sources:
            progress(source)
            out[source] = _joined([of.detector(source), *(d for m, d in whole.items() if m != mode)])
    return out


class _Fitted:
    """The crossed needs and risks of one mode's material."""

    def __init__(self, mode: str, found: Sequence[Material]) -> None:
        self.mode, self.found = mode, found
        self.sources = sorted({m.source for m in found})
        if len(self.sources) < 2:
            raise ConfigError(f"data: {len(self.sources)} {mode} source; what is fitted on one is tested on another")
        units = [(m.source, u) for m in found for u in m.units]
        self._x = np.concatenate([u.x for _, u in units]).astype(np.float64)
        self._y = np.concatenate([u.needed for _, u in units]).astype(np.float64)
        self._group = np.concatenate([u.group for _, u in units])
        self._source = np.concatenate([np.full(len(u.x), s) for s, u in units])
        self._weight = np.concatenate([np.full(len(u.x), 1 / np.sqrt(max(1, len(u.x)))) for _, u in units])
        crossed = {source: self.needs(source) for source in self.sources}
        self.segments = _rows(found, crossed, "segment")
        self.outputs = _rows(found, crossed, "output")

    def needs(self, without: str | None) -> dict[str, Logistic]:
        """The models of units, by group; those of the whole mode under ``text`` where a group is too thin."""
        free = self._source != without
        models: dict[str, Logistic] = {}
        names = UNIT_FEATURES["query" if self.mode == "query" else "blind"]
        for group in ("text", "records", "events"):
            rows = free & (self._group == group)
            if group != "text" and (len(set(self._source[rows])) < 2 or self._y[rows].sum() < 30):
                continue
            if group == "text" and not 0 < self._y[rows].sum() < rows.sum():
                rows = free
            weight = _even(self._source[rows], self._weight[rows])
            models[group] = fit_logistic(self._x[rows], self._y[rows], weight, names)
        return models

    def detector(self, without: str | None) -> Detector:
        """The detector of this mode, fitted without a source."""
        mode = self.mode
        fits = {level: rows.without(without) for level, rows in (("segment", self.segments), ("output", self.outputs))}
        models = {level: fit_logistic(r.x, r.y, r.weight, FEATURES) for level, r in fits.items()}
        crossed = {level: r.crossed() for level, r in fits.items()}
        curves = {f"{mode}/{level}": curve(crossed[level], r.y, r.source, r.weight) for level, r in fits.items()}
        of = fits["segment"]
        terms = term_weights(of.terms, of.y, of.weight, of.source, crossed["segment"])
        figures = {mode: {level: _figures(r, crossed[level]) for level, r in fits.items()}}
        needs = self.needs(without)
        return Detector(
            {mode: needs}, {mode: models["segment"]}, {mode: models["output"]}, {mode: terms}, curves, figures
        )


class _Rows:
    """Features, labels and sources of one level."""

    def __init__(
        self,
        x: Floats,
        y: Floats,
        source: NDArray[np.str_],
        weight: Floats,
        terms: Sequence[Mapping[str, float] | None],
    ):
        lossy = int((y > 0).sum())
        if not 0 < lossy < len(y):
            names = ", ".join(sorted(set(source)))
            raise ConfigError(f"data: {lossy} losses in {len(y)} compressions of {names}; both classes are needed")
        self.x, self.y, self.source, self.terms, self.stands = x, y, source, terms, weight
        self.weight = _even(source, weight)

    def without(self, source: str | None) -> _Rows:
        kept = self.source != source
        terms = [t for t, k in zip(self.terms, kept, strict=True) if k]
        return _Rows(self.x[kept], self.y[kept], self.source[kept], self.stands[kept], terms)

    def crossed(self) -> Floats:
        """Risks by models that were fitted on the other sources."""
        out = np.zeros(len(self.y))
        for source in sorted(set(self.source)):
            held = self.source == source
            if 0 < self.y[~held].sum() < (~held).sum():
                model = fit_logistic(self.x[~held], self.y[~held], self.weight[~held], FEATURES)
                out[held] = model.risk(self.x[held])
        return out


def _rows(found: Sequence[Material], crossed: Mapping[str, Mapping[str, Logistic]], level: str) -> _Rows:
    x: list[Floats] = []
    y: list[float] = []
    source: list[str] = []
    weight: list[float] = []
    terms: list[Mapping[str, float] | None] = []
    for material in found:
        needs = [_need(u, crossed[material.source]) for u in material.units]
        for sample in material.segments if level == "segment" else material.outputs:
            x.append(_omission(sample, needs).features())
            y.append(sample.lost)
            source.append(material.source)
            weight.append(sample.weight)
            terms.append(sample.terms)
    return _Rows(np.array(x), np.array(y), np.array(source), np.array(weight), terms)


def _need(units: Units, models: Mapping[str, Logistic]) -> Floats:
    out = np.zeros(len(units.free))
    need = np.zeros(len(units.x))
    for group in set(units.group):
        rows = units.group == group
        need[rows] = models.get(str(group), models["text"]).risk(units.x[rows].astype(np.float64))
    out[units.free] = need
    return out


def _omission(sample: Sample, needs: Sequence[Floats]):
    need = np.concatenate([needs[view][part] for view, part in sample.places] or [np.zeros(0)])
    views = {view for view, _ in sample.places} or {0}
    top = max((float(needs[v].max(initial=0.0)) for v in views), default=0.0)
    total = float(need.sum()) if sample.whole else float(needs[sample.places[0][0]].sum())
    return replace(sample.omission, need=need, total=total, top=top)


def _even(source: NDArray[np.str_], weight: Floats) -> Floats:
    """The weights, scaled so that every source counts the same; of mean 1."""
    names, inverse = np.unique(source, return_inverse=True)
    sums = np.bincount(inverse, weights=weight, minlength=len(names))
    return weight * (len(source) / len(names) / np.maximum(sums, 1e-12))[inverse]


def curve(risk: Floats, lost: Floats, source: NDArray[np.str_], weight: Floats) -> tuple[Point, ...]:
    """What comes of each limit of `LIMITS`.

    Args:
        risk: Estimated risks of compressions, from models that have not seen their source, shape (compressions,).
        lost: Share of the needed strings that each lost, in [0, 1].
        source: Where each is from.
        weight: Compressions that each stands for.

    Returns:
        Points whose ``missed`` and ``average`` never fall.
    """
    points: list[Point] = []
    missed = average = 0.0
    harmless, lossy = lost == 0, lost > 0
    for limit in LIMITS:
        near = (risk <= limit) & (risk > limit / NEAR)
        if near.sum() >= POOLED:
            average = max(average, float(np.average(lost[near], weights=weight[near])))
        of = [rows for s in sorted(set(source)) if (rows := near & (source == s)).sum() >= LEAST]
        if len(of) >= SOURCES:
            shares = [float(np.average(lost[rows], weights=weight[rows])) for rows in of]
            missed = max(missed, float(np.quantile(shares, SURE)))
        rejected = [float(np.average(risk[rows] > limit, weights=weight[rows])) for rows in (harmless, lossy)]
        points.append(Point(limit, round(missed, 5), round(average, 5), round(rejected[0], 4), round(rejected[1], 4)))
    return tuple(points)


def _figures(rows: _Rows, crossed: Floats) -> dict[str, object]:
    lost = rows.y > 0
    by_source = {
        s: auroc(list(crossed[rows.source == s]), list(lost[rows.source == s])) for s in sorted(set(rows.source))
    }
    known = {str(s): round(a, 3) for s, a in by_source.items() if a == a}
    edge = float(np.quantile(crossed[~lost], 0.9))
    return {
        "compressions": len(lost),
        "losses": int(lost.sum()),
        "auroc": round(auroc(list(crossed), list(lost)), 3),
        "auroc_by_source": known,
        "caught_at_10_percent_false_fallbacks": round(float((crossed[lost] > edge).mean()), 3),
    }


def _joined(parts: Sequence[Detector]) -> Detector:
    return Detector(
        {k: v for p in parts for k, v in p.needs.items()},
        {k: v for p in parts for k, v in p.segment.items()},
        {k: v for p in parts for k, v in p.output.items()},
        {k: v for p in parts for k, v in p.terms.items()},
        {k: v for p in parts for k, v in p.curves.items()},
        {k: v for p in parts for k, v in p.figures.items()},
    )


def write(detectors: Mapping[str, Detector], folder: Path) -> None:
    """One folder per source, for ``ctxshrink bench guardrail --detectors``."""
    from ctxshrink.guardrails.detector import save_detector

    for source, detector in detectors.items():
        save_detector(detector, folder / source)
