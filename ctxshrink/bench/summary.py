"""From observations to rows, means and the guardrail's account."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .run import Observation
from .standings import Groups, SetStanding, Standing, scores_of, set_standings, standings
from .stats import auroc, mean, stratified_interval

EVIDENCE = "evidence"
"""Score of chat sets without exact answers. It is reported, and stays out of the means of exact answers."""


@dataclass(frozen=True, slots=True)
class SetRow:
    """One set under one method at one keep.

    Attributes:
        scored_by: Names of the scores that ``score`` is made of.
        interval: 95 % bootstrap interval of ``score``.
        scores: Means of all scores; each over the records that have it.
        kept: Tokens kept of those that were not locked.
        tokens_per_second: Input tokens by the time of the calls.
    """

    set_name: str
    english: bool
    method: str
    keep: float
    records: int
    scored_by: tuple[str, ...]
    score: float
    interval: tuple[float, float]
    scores: dict[str, float]
    kept: float
    kept_of_all: float
    tokens_per_second: float
    over_budget: int
    broken: int


@dataclass(frozen=True, slots=True)
class MethodRow:
    """One method at one keep over all sets: means of the sets' means.

    Attributes:
        english: Mean over the English sets; NaN without any, as for the others.
        english_interval: 95 % bootstrap interval, records resampled within their sets.
        other: Mean over the sets in other languages.
        all_sets: Mean over both.
        english_gain: ``english`` of the first method minus this one's, and the ends of its interval, resampled in
            pairs; NaN for the first method itself.
        all_gain: The same for ``all_sets``.
        seconds_per_record: Mean wall-clock time of a call.
        lost_ratio: What the first method loses in the English sets as a share of what this one loses; NaN for the first
            method itself, and where this one loses nothing.
        evidence: Mean over the sets that are scored by evidence.
        failed: Attempts that raised; a method with any was not measured there.
    """

    method: str
    keep: float
    english: float
    english_interval: tuple[float, float]
    other: float
    all_sets: float
    english_gain: tuple[float, float, float]
    all_gain: tuple[float, float, float]
    lost_ratio: float
    evidence: float
    kept: float
    tokens_per_second: float
    seconds_per_record: float
    records: int
    over_budget: int
    broken: int
    failed: int
    actions: dict[str, int]


@dataclass(frozen=True, slots=True)
class GuardrailRow:
    """What the guardrail did at one keep, and how well its first judgement tells lost answers from kept ones.

    Attributes:
        keep: Asked share; None for all keeps together.
        accepted: Attempts accepted.
        rejected: Attempts rejected.
        fallback: Segments that came out whole because every attempt was rejected.
        forced: Segments that the budget cut all the same.
        calls: Calls whose input held something that will be asked for.
        lost: Of them, those whose first attempt had lost it.
        auroc: Of the call's risk (the highest score of its verdicts) for "lost"; NaN without both classes.
        segments: Judged segments.
        segments_lost: Of them, those that had lost something that will be asked for.
        segments_auroc: Of the segment's own score for that.
    """

    keep: float | None
    accepted: int
    rejected: int
    fallback: int
    forced: int
    calls: int
    lost: int
    auroc: float
    segments: int
    segments_lost: int
    segments_auroc: float


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything the tables and the JSON file show."""

    sets: list[SetRow]
    methods: list[MethodRow]
    guardrail: list[GuardrailRow]
    standings: list[Standing]
    set_standings: list[SetStanding]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: NaN becomes None."""
        return plain(asdict(self))


def summarize(observations: Sequence[Observation], seed: int = 0) -> Summary:
    """Group observations.

    Args:
        observations: From `run`; not empty.
        seed: Of the bootstrap.
    """
    groups: dict[tuple[str, float, str], list[Observation]] = {}
    for o in observations:
        groups.setdefault((o.method, o.keep, o.set_name), []).append(o)
    sets = [_set_row(group, seed) for group in groups.values()]
    names, keeps = dict.fromkeys(o.method for o in observations), dict.fromkeys(o.keep for o in observations)
    pairs = [(name, keep) for keep in keeps for name in names]
    first = observations[0].method
    methods = [
        _method_row(m, k, groups, [s for s in sets if (s.method, s.keep) == (m, k)], first, seed) for m, k in pairs
    ]
    judged = [o for o in observations if o.judged is not None]
    per_keep = [_guardrail_row(k, [o for o in judged if o.keep == k]) for k in keeps] if judged else []
    guardrail = [*per_keep, *([_guardrail_row(None, judged)] if len(per_keep) > 1 else [])]
    of_first = [s for s in sets if s.method == first and s.keep == observations[0].keep]
    exact = [s.set_name for s in of_first if s.english and s.scored_by != (EVIDENCE,)]
    english = {s.set_name: s.english for s in of_first}
    return Summary(
        sets,
        methods,
        guardrail,
        standings(groups, list(names), list(keeps), exact, seed),
        set_standings(groups, list(names), list(keeps), english, seed),
    )


def _speed(group: Sequence[Observation]) -> float:
    seconds = sum(o.seconds for o in group)
    return sum(o.tokens_before for o in group) / seconds if seconds else math.nan


def _share(group: Sequence[Observation]) -> float:
    before = sum(o.free_before for o in group)
    return sum(o.free_after for o in group) / before if before else 1.0


def _set_row(group: list[Observation], seed: int) -> SetRow:
    names = list(dict.fromkeys(name for o in group for name in o.scores if name != "score"))
    # A record's scores begin with the one that `score` was taken from.
    used = {name: None for o in group for name in list(o.scores)[1:2]}
    before = sum(o.tokens_before for o in group)
    return SetRow(
        set_name=group[0].set_name,
        english=sum(o.lang == "en" for o in group) * 2 > len(group),
        method=group[0].method,
        keep=group[0].keep,
        records=len(group),
        scored_by=tuple(used),
        score=mean(scores_of(group)),
        interval=stratified_interval([scores_of(group)], seed),
        scores={name: mean(scores_of(group, name)) for name in names},
        kept=_share(group),
        kept_of_all=sum(o.tokens_after for o in group) / before if before else 1.0,
        tokens_per_second=_speed(group),
        over_budget=sum(o.over > 0 for o in group),
        broken=sum(o.broken for o in group),
    )


def _method_row(
    method: str,
    keep: float,
    groups: dict[tuple[str, float, str], list[Observation]],
    sets: Sequence[SetRow],
    first: str,
    seed: int,
) -> MethodRow:
    exact = [s for s in sets if s.scored_by != (EVIDENCE,)]
    english = [s for s in exact if s.english]
    group = [o for s in sets for o in groups[method, keep, s.set_name]]

    def gain(over: Sequence[SetRow]) -> tuple[float, float, float]:
        if method == first:
            return math.nan, math.nan, math.nan
        differences = [
            [
                a - b
                for a, b in zip(
                    scores_of(groups[first, keep, name]), scores_of(groups[method, keep, name]), strict=True
                )
            ]
            for name in (s.set_name for s in over)
        ]
        return mean([mean(d) for d in differences]), *stratified_interval(differences, seed)

    return MethodRow(
        method=method,
        keep=keep,
        english=mean([s.score for s in english]),
        english_interval=stratified_interval([scores_of(groups[method, keep, s.set_name]) for s in english], seed),
        other=mean([s.score for s in exact if not s.english]),
        all_sets=mean([s.score for s in exact]),
        english_gain=gain(english),
        all_gain=gain(exact),
        lost_ratio=math.nan if method == first else _lost_ratio(groups, first, method, keep, english),
        evidence=mean([s.score for s in sets if s.scored_by == (EVIDENCE,)]),
        kept=_share(group),
        tokens_per_second=_speed(group),
        seconds_per_record=mean([o.seconds for o in group]),
        records=len(group),
        over_budget=sum(o.over > 0 for o in group),
        broken=sum(o.broken for o in group),
        failed=sum(o.failed for o in group),
        actions=dict(sum((Counter(o.actions) for o in group), Counter[str]())),
    )


def _lost_ratio(groups: Groups, first: str, method: str, keep: float, sets: Sequence[SetRow]) -> float:
    lost, here = (1 - mean([mean(scores_of(groups[m, keep, s.set_name])) for s in sets]) for m in (first, method))
    return lost / here if here > 0 else math.nan


def _guardrail_row(keep: float | None, group: Sequence[Observation]) -> GuardrailRow:
    judged = [o.judged for o in group if o.judged is not None]
    calls = [(j.risk, j.lost) for j in judged if j.lost is not None]
    segments = [pair for j in judged for pair in j.segments]
    return GuardrailRow(
        keep=keep,
        accepted=sum(o.accepted for o in group),
        rejected=sum(o.rejected for o in group),
        fallback=sum(o.actions.get("fallback", 0) for o in group),
        forced=sum(o.actions.get("forced", 0) for o in group),
        calls=len(calls),
        lost=sum(lost for _, lost in calls),
        auroc=auroc([risk for risk, _ in calls], [lost for _, lost in calls]),
        segments=len(segments),
        segments_lost=sum(lost for _, lost in segments),
        segments_auroc=auroc([score for score, _ in segments], [lost for _, lost in segments]),
    )


def plain(value: Any) -> Any:
    """A value as JSON has it: numbers rounded, None for what is no number."""
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]  # pyright: ignore[reportUnknownVariableType]
    return value
