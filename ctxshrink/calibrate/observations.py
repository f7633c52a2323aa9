"""What the guardrail says of each example's outputs, beside what they lost."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ctxshrink.bench.scoring import Haystack
from ctxshrink.guardrails import PerplexityGuardrail, judge_result
from ctxshrink.result import ShrinkResult
from ctxshrink.shrinker import Shrinker
from ctxshrink.types import Decision

from .examples import Data, Example, Mode

LEAST_RISK: Final = 5e-5
"""What a risk of 0 stands for where something was left out: verdicts give risks to four decimals."""


@dataclass(frozen=True, slots=True)
class Place:
    """A segment that held a needed string, for one string and segment.

    Attributes:
        kind: Of the segment.
        content_type: Of its text.
        lost: The string stands nowhere in the output.
    """

    kind: str
    content_type: str
    lost: bool


@dataclass(frozen=True, slots=True)
class Observation:
    """One example, compressed to one keep.

    Attributes:
        record: Tells it from all others.
        group: What it must not be parted from in cross-validation.
        mode: ``query`` or ``blind``.
        keep: The share asked for.
        risk: The guardrail's estimate of the share lost; 0 where nothing was left out, NaN where it gave none.
        accepted: What the guardrail said as shipped.
        lost: Share of the needed strings at risk that stand nowhere in the output.
        needed: Needed strings at risk: they stand in the unlocked part of the input alone.
        before: Tokens of the input.
        after: Tokens of the output.
        places: Where in the unlocked part of a conversation they stood.
    """

    record: str
    group: str
    mode: Mode
    keep: float
    risk: float
    accepted: bool
    lost: float
    needed: int
    before: int
    after: int
    places: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class Observed:
    """All observations, and what gave none.

    Attributes:
        observations: In the order of the examples and keeps.
        absent: Examples none of whose needed strings is at risk.
        unscored: Observations whose risk is no number; they count as rejected, as they are when they happen live.
    """

    observations: tuple[Observation, ...]
    absent: int
    unscored: int


def observe(
    data: Data | Sequence[Example],
    guardrail: PerplexityGuardrail,
    keeps: Sequence[float],
    *,
    shrinker: Shrinker | None = None,
    progress: Callable[[Example], None] = lambda _: None,
) -> Observed:
    """Compress every example at every keep, without a guardrail, and judge what came out.

    Args:
        data: The examples.
        guardrail: Judges the outputs.
        keeps: Shares to keep, in (0, 1).
        shrinker: Compresses; default `Shrinker` without a guardrail.
        progress: Called for each example that is done.
    """
    shrinker = shrinker or Shrinker(guardrail=None)
    examples = data.examples if isinstance(data, Data) else data
    found: list[Observation] = []
    absent = 0
    for index, example in enumerate(examples):
        rows = list(_observations(f"{index}:{example.record.id}", example, guardrail, keeps, shrinker))
        absent += not rows
        found += rows
        progress(example)
    return Observed(tuple(found), absent, sum(not math.isfinite(o.risk) for o in found))


def _observations(
    record: str, example: Example, guardrail: PerplexityGuardrail, keeps: Iterable[float], shrinker: Shrinker
) -> Iterable[Observation]:
    stood: list[bool] | None = None
    held: list[tuple[Decision, list[bool]]] = []
    for keep in keeps:
        result = example.shrink(shrinker, keep)
        if stood is None:
            stood = _at_risk(example, result)
            if not any(stood):
                return
            free = [d for d in _shown(result) if not d.segment.locked and d.segment.kind != "document"]
            held = [(d, example.needed(Haystack(d.segment.text))) for d in free]
        kept = example.needed(_text(d.text for d in _shown(result)))
        lost = [s and not k for s, k in zip(stood, kept, strict=True)]
        verdict = judge_result(guardrail, result, example.query)
        places = [
            Place(d.segment.kind, d.segment.content_type, gone)
            for d, holds in held
            for here, gone in zip(holds, lost, strict=True)
            if here
        ]
        finite = math.isfinite(verdict.score) and all(map(math.isfinite, verdict.features.values()))
        yield Observation(
            record,
            example.record.group,
            example.mode,
            keep,
            (max(verdict.score, LEAST_RISK) if _left_out(result) else 0.0) if finite else math.nan,
            verdict.ok and finite,
            sum(lost) / sum(stood),
            sum(stood),
            result.tokens_before,
            result.tokens_after,
            tuple(places),
        )


def lost_share(example: Example, result: ShrinkResult[Any]) -> float | None:
    """Share of the needed strings of an input that its output lost; None where none was at risk."""
    stood = _at_risk(example, result)
    kept = example.needed(_text(d.text for d in _shown(result)))
    return sum(s and not k for s, k in zip(stood, kept, strict=True)) / sum(stood) if any(stood) else None


def _left_out(result: ShrinkResult[Any]) -> bool:
    """Whether anything but white space was left out of what was selected from."""
    pairs = ((d.text, d.segment.text if d.source is None else d.source) for d in result.decisions)
    return any(now != before and now.split() != before.split() for now, before in pairs)


def _at_risk(example: Example, result: ShrinkResult[Any]) -> list[bool]:
    """Which needed strings can be lost at all: they stand in the unlocked text alone."""
    free, locked = (
        example.needed(_text(d.segment.text for d in _shown(result) if d.segment.locked == locked))
        for locked in (False, True)
    )
    return [f and not also for f, also in zip(free, locked, strict=True)]


def _shown(result: ShrinkResult[Any]) -> list[Decision]:
    """All but tool calls: they are locked, and would hide that the result their arguments are from was lost."""
    return [d for d in result.decisions if d.segment.kind != "tool_call"]


def _text(texts: Iterable[str]) -> Haystack:
    return Haystack("\n".join(texts))


def by_record(observations: Sequence[Observation]) -> Mapping[str, list[Observation]]:
    """Observations of each record, in order."""
    found: dict[str, list[Observation]] = {}
    for o in observations:
        found.setdefault(o.record, []).append(o)
    return found
