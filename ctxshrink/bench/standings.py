"""How the first method stands against the others: what it loses beside the best of them, and where it is behind."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from .run import Observation
from .stats import lost_ratio, mean, stratified_interval

Groups: TypeAlias = Mapping[tuple[str, float, str], Sequence[Observation]]
"""Observations by method, keep and set."""

STRAYS = 0.05
"""Share of its records on which a baseline may be over the budget."""
BESIDE = "bm25"
"""What sets in other languages are held against, where it was run: the encoders of the other baselines read English."""


def scores_of(group: Sequence[Observation], name: str = "score") -> list[float]:
    """One of the scores, of the observations that have it, in order."""
    return [o.scores[name] for o in group if name in o.scores]


@dataclass(frozen=True, slots=True)
class Standing:
    """The first method against the best baseline at one keep: the one with the highest mean over the English sets.

    Attributes:
        baseline: Its name.
        ours: The first method's mean over the English sets.
        theirs: The baseline's.
        ratio: (1 - ours) / (1 - theirs): what the first method loses for each answer that the baseline loses. NaN
            where the baseline loses nothing.
        interval: 95 % bootstrap interval of ``ratio``, records resampled in pairs within their sets.
    """

    keep: float
    baseline: str
    ours: float
    theirs: float
    ratio: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class SetStanding:
    """The first method on one set, or one language of it, at one keep.

    Attributes:
        lang: The language, for sets that are not English; else "en".
        baseline: What it is held against: for English sets the best baseline of this very set, for others `BESIDE`
            where it was run.
        difference: Mean of the first method's score minus the baseline's, records in pairs.
        interval: 95 % bootstrap interval of ``difference``.
    """

    keep: float
    set_name: str
    lang: str
    english: bool
    records: int
    baseline: str
    ours: float
    theirs: float
    difference: float
    interval: tuple[float, float]

    @property
    def behind(self) -> bool:
        """True when the baseline's mean is higher."""
        return self.difference < 0

    @property
    def beyond_noise(self) -> bool:
        """True when the whole interval is below zero."""
        return self.interval[1] < 0


def fits(group: Sequence[Observation]) -> bool:
    """Whether a method kept to the budgets: one that did not is no baseline, for it had more to answer from."""
    return sum(o.over > 0 for o in group) <= STRAYS * len(group)


def standings(
    groups: Groups, methods: Sequence[str], keeps: Sequence[float], english: Sequence[str], seed: int
) -> list[Standing]:
    """The first of the methods against the best of the others.

    Args:
        groups: Observations.
        methods: The one that is measured, then the baselines.
        keeps: Shares to keep.
        english: Names of the English sets that are part of the means.
        seed: Of the bootstrap.

    Returns:
        One per keep; none without English sets, or without a baseline that keeps to its budgets.
    """
    found: list[Standing] = []
    if not english or len(methods) < 2:
        return found
    for keep in keeps:
        scores = {m: [scores_of(groups[m, keep, name]) for name in english] for m in methods}
        means = {m: mean([mean(s) for s in by_set]) for m, by_set in scores.items()}
        fitting = [m for m in methods[1:] if fits([o for name in english for o in groups[m, keep, name]])]
        if not fitting:
            continue
        best = max(fitting, key=lambda m: means[m])
        ratio, *interval = lost_ratio(scores[methods[0]], scores[best], seed)
        found.append(Standing(keep, best, means[methods[0]], means[best], ratio, (interval[0], interval[1])))
    return found


def set_standings(
    groups: Groups, methods: Sequence[str], keeps: Sequence[float], sets: Mapping[str, bool], seed: int
) -> list[SetStanding]:
    """The first of the methods on every set; sets in other languages are split by language.

    Args:
        groups: Observations.
        methods: The one that is measured, then the baselines.
        keeps: Shares to keep.
        sets: True for English sets, by name.
        seed: Of the bootstrap.

    Returns:
        One per keep, set and language; none without a baseline that keeps to its budgets.
    """
    if len(methods) < 2:
        return []
    return [
        row
        for keep in keeps
        for name, english in sets.items()
        for row in _of_set(groups, methods, keep, name, english, seed)
    ]


def _of_set(
    groups: Groups, methods: Sequence[str], keep: float, name: str, english: bool, seed: int
) -> Iterator[SetStanding]:
    langs = ["en"] if english else list(dict.fromkeys(o.lang for o in groups[methods[0], keep, name]))
    for lang in langs:
        scores = {m: scores_of([o for o in groups[m, keep, name] if english or o.lang == lang]) for m in methods}
        means = {m: mean(s) for m, s in scores.items()}
        if math.isnan(means[methods[0]]):
            continue
        fitting = [m for m in methods[1:] if fits([o for o in groups[m, keep, name] if english or o.lang == lang])]
        if not fitting:
            continue
        fixed = not english and BESIDE in fitting
        baseline = BESIDE if fixed else max(fitting, key=lambda m: means[m])
        pairs = [a - b for a, b in zip(scores[methods[0]], scores[baseline], strict=True)]
        yield SetStanding(
            keep=keep,
            set_name=name,
            lang=lang,
            english=english,
            records=len(pairs),
            baseline=baseline,
            ours=means[methods[0]],
            theirs=means[baseline],
            difference=mean(pairs),
            interval=stratified_interval([pairs], seed),
        )
