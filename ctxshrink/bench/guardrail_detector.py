"""A guardrail as a detector of needed text that was lost, beside plainer measures, by source and pooled."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .guardrail_rows import ASKED, COSINE, DETECTOR, KEPT, PERPLEXITY, WORDS, Level, Row
from .stats import Roc, record_interval

FALSE_FALLBACKS: Final = 0.1
"""Share of the harmless compressions that may be rejected where the share of losses that are caught is stated."""
MEASURES: Final = (KEPT, WORDS, ASKED, COSINE, PERPLEXITY)
"""What the detector is held against, beside each of its features alone."""
POOLED: Final = "all"
CURVE_POINTS: Final = 100


@dataclass(frozen=True, slots=True)
class Standing:
    """How a detector does on one source, or on several pooled.

    Attributes:
        source: The set; a task's name for the sets of one task pooled, ``all`` for all of them.
        level: Segments or whole outputs.
        rows: Compressions that were judged, sampled ones once.
        losses: Those that lost needed text.
        auroc: Area under the curve of the detector's scores, weighted by what each row stands for.
        interval: Its 95 % interval, records resampled.
        caught: Share of the losses that are caught where `FALSE_FALLBACKS` of the harmless ones are rejected.
        caught_interval: Its 95 % interval.
        actual: Share of the needed strings that were lost, mean over outputs; of the segments that lost any.
        estimated: What the detector's scores say it is.
        rejected: Share of the losses that the guardrail rejected as it is set.
        rejected_harmless: Share of the harmless compressions that it rejected so.
        alone: AUROC of every other measure by name, of perplexity and the features the better of both directions.
        read: Rows that the encoder and the language model read for ``cosine`` and ``perplexity``.
        detector_on_read: AUROC of the detector on these rows.
    """

    source: str
    level: Level
    rows: int
    losses: int
    auroc: float
    interval: tuple[float, float]
    caught: float
    caught_interval: tuple[float, float]
    actual: float
    estimated: float
    rejected: float
    rejected_harmless: float
    alone: Mapping[str, float]
    read: int
    detector_on_read: float


@dataclass(frozen=True, slots=True)
class Point:
    """What one threshold does.

    Attributes:
        level: Segments or whole outputs.
        mode: ``query``, ``blind`` (the question is unseen) or ``all``.
        threshold: Rejected above this score.
        missed: Share of the losses that are accepted.
        false_fallbacks: Share of the harmless compressions that are rejected.
    """

    level: Level
    mode: str
    threshold: float
    missed: float
    false_fallbacks: float


def standings(rows: Sequence[Row], seed: int = 0) -> list[Standing]:
    """One for each source, for each task and for all, by level; pools of one source are left out.

    Args:
        rows: Judged compressions.
        seed: Of the bootstrap.
    """
    found = list[Standing]()
    for level in ("segment", "output"):
        here = [r for r in rows if r.level == level]
        sources = list(dict.fromkeys(r.source for r in here))
        groups = {s: [r for r in here if r.source == s] for s in sources}
        tasks = {t: [r for r in here if r.task == t] for t in dict.fromkeys(r.task for r in here)}
        groups |= {t: g for t, g in tasks.items() if len(tasks) > 1 and len({r.source for r in g}) > 1}
        groups |= {POOLED: here} if len(sources) > 1 else {}
        found += [_standing(name, level, group, seed) for name, group in groups.items()]
    return found


def curve(rows: Sequence[Row], asks: Mapping[str, bool]) -> list[Point]:
    """Misses against false fallbacks, pooled over the sources of each mode and over all.

    Args:
        rows: Judged compressions.
        asks: For each task whether its questions are known.
    """
    found = list[Point]()
    for level in ("segment", "output"):
        here = [r for r in rows if r.level == level]
        modes = {m: [r for r in here if asks[r.task] == known] for m, known in (("query", True), ("blind", False))}
        modes = {m: group for m, group in modes.items() if group}
        modes |= {POOLED: here} if len(modes) > 1 else {}
        found += [point for mode, group in modes.items() for point in _points(level, mode, group)]
    return found


def _points(level: Level, mode: str, rows: Sequence[Row]) -> Iterator[Point]:
    thresholds, caught, alarms = _roc(rows).points()
    if not len(thresholds):
        return
    # Even steps along both axes: each point moves either share by about a hundredth.
    steps = np.floor((caught + alarms) / 2 * CURVE_POINTS)
    last = np.append(steps[1:] != steps[:-1], True)
    for t, c, a in zip(thresholds[last], caught[last], alarms[last], strict=True):
        yield Point(level, mode, float(t), 1 - float(c), float(a))


def _standing(source: str, level: Level, rows: Sequence[Row], seed: int) -> Standing:
    roc, record = _roc(rows), _records(rows)
    read = [r for r in rows if r.read]

    def caught(times: NDArray[np.float64] | None = None) -> float:
        return roc.caught(FALSE_FALLBACKS, times)

    both = any(r.lost for r in rows) and not all(r.lost for r in rows)
    none = math.nan, math.nan
    return Standing(
        source=source,
        level=level,
        rows=len(rows),
        losses=sum(r.lost for r in rows),
        auroc=roc.auroc(),
        interval=record_interval(roc.auroc, record, seed) if both else none,
        caught=caught(),
        caught_interval=record_interval(caught, record, seed) if both else none,
        actual=_mean(rows, lambda r: r.share),
        estimated=_mean(rows, lambda r: r.risks[DETECTOR]),
        rejected=_mean([r for r in rows if r.lost], lambda r: float(not r.ok)),
        rejected_harmless=_mean([r for r in rows if not r.lost], lambda r: float(not r.ok)),
        alone=_alone(rows),
        read=len(read),
        detector_on_read=_roc(read, weight=lambda r: r.read).auroc(),
    )


def _alone(rows: Sequence[Row]) -> dict[str, float]:
    names = list(dict.fromkeys(name for r in rows for name in (*r.risks, *r.features)))
    names.sort(key=lambda n: MEASURES.index(n) if n in MEASURES else len(MEASURES))
    found = dict[str, float]()
    for name in names:
        risks = [(r, r.risks[name]) for r in rows if name in r.risks]
        if name == DETECTOR:
            continue
        if risks:
            found[name] = _auroc([r for r, _ in risks], [value for _, value in risks], name)
        else:
            some = [(r, r.features[name]) for r in rows if name in r.features]
            either = [_auroc([r for r, _ in some], [sign * value for _, value in some], name) for sign in (1, -1)]
            found[name] = max(either)
    return found


def _auroc(rows: Sequence[Row], values: Sequence[float], name: str) -> float:
    """AUROC of a measure; what has no number counts as the worst, whatever the direction."""
    weights = [r.read if name in (COSINE, PERPLEXITY) else r.weight for r in rows]
    known = [math.inf if math.isnan(value) else value for value in values]
    return Roc(known, [r.lost for r in rows], weights).auroc()


def _roc(rows: Sequence[Row], weight: Callable[[Row], float] = lambda r: r.weight) -> Roc:
    return Roc([r.risks[DETECTOR] for r in rows], [r.lost for r in rows], [weight(r) for r in rows])


def _records(rows: Sequence[Row]) -> list[int]:
    """The record of each row, numbered through all sources."""
    numbers = {key: i for i, key in enumerate(dict.fromkeys((r.source, r.record) for r in rows))}
    return [numbers[r.source, r.record] for r in rows]


def _mean(rows: Sequence[Row], value: Callable[[Row], float]) -> float:
    """Weighted mean; NaN for no rows."""
    total = sum(r.weight for r in rows)
    return sum(r.weight * value(r) for r in rows) / total if total else math.nan
