"""How small each kind of text may be made before it loses what is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar, cast

from ctxshrink.bench.data import ChatRecord
from ctxshrink.policies import Adaptive
from ctxshrink.shrinker import Shrinker
from ctxshrink.types import ContentType, Kind

from .examples import Example
from .observations import Observation, Place, lost_share

K = TypeVar("K", bound=str)

LEAST_PLACES: Final = 50
"""Needed strings of a kind that a floor takes: with fewer, one loss alone would set it."""


@dataclass(frozen=True, slots=True)
class Floors:
    """Least keeps for `Adaptive`, of conversations.

    Chunks have none: of ten chunks one may come out whole and nine empty.

    Attributes:
        kinds: By kind of segment.
        types: By content type.
        losses: Share of the needed strings lost without a guardrail, by kind or type and by keep.
    """

    kinds: Mapping[Kind, float]
    types: Mapping[ContentType, float]
    losses: Mapping[str, Mapping[float, float]]


@dataclass(frozen=True, slots=True)
class Trial:
    """Floors fitted on every other group and tried on the rest, at equal keeps.

    Attributes:
        lost: Mean share of the needed strings lost without floors.
        lost_with: The same with them.
        kept: Share of the tokens kept without floors.
        kept_with: The same with them.
    """

    lost: float
    lost_with: float
    kept: float
    kept_with: float

    @property
    def helped(self) -> bool:
        """Fewer losses for as many tokens."""
        return self.lost_with < self.lost and self.kept_with <= 1.01 * self.kept


def keep_floors(observations: Sequence[Observation], max_miss_rate: float) -> Floors:
    """The smallest keep at which, and above which, each kind loses at most ``max_miss_rate`` without a guardrail.

    Where no keep that was tried is large enough, the largest.
    """
    kinds, by_kind = _floors(observations, lambda p: p.kind, max_miss_rate)
    types, by_type = _floors(observations, lambda p: p.content_type, max_miss_rate)
    return Floors(cast("dict[Kind, float]", kinds), cast("dict[ContentType, float]", types), {**by_kind, **by_type})


def _floors(
    observations: Iterable[Observation], key: Callable[[Place], str], limit: float
) -> tuple[dict[str, float], dict[str, dict[float, float]]]:
    counts: dict[str, dict[float, list[int]]] = {}
    for o in observations:
        for place in o.places:
            row = counts.setdefault(key(place), {}).setdefault(o.keep, [0, 0])
            row[0] += place.lost
            row[1] += 1
    floors: dict[str, float] = {}
    losses: dict[str, dict[float, float]] = {}
    for name, rows in sorted(counts.items()):
        if min(total for _, total in rows.values()) < LEAST_PLACES:
            continue
        losses[name] = {keep: lost / total for keep, (lost, total) in sorted(rows.items())}
        floor = max(losses[name])
        for keep in sorted(losses[name], reverse=True):
            if losses[name][keep] > limit:
                break
            floor = keep
        floors[name] = floor
    return floors, losses


def try_floors(
    examples: Sequence[Example], observations: Sequence[Observation], max_miss_rate: float, keeps: Sequence[float]
) -> Trial | None:
    """Whether floors help on conversations that they were not fitted on.

    A floor takes tokens from where they would have been spent better: on task dialogues floors at half of every kind
    lost twice as much at the same size. So none is used that was not seen to help.

    Args:
        examples: Those that the observations are of, or more.
        observations: At all of the keeps, without floors.
        max_miss_rate: As in `keep_floors`.
        keeps: Shares to keep.

    Returns:
        None where there is nothing to try: no conversations, too few needed strings, or no floor.
    """
    groups = sorted({o.group for o in observations if o.places})
    fitted, tried = set(groups[::2]), set(groups[1::2])
    floors = keep_floors([o for o in observations if o.group in fitted], max_miss_rate)
    chats = [e for e in examples if e.record.group in tried and isinstance(e.record, ChatRecord)]
    if not chats or not (floors.kinds or floors.types):
        return None
    counts: list[tuple[float, float, float]] = []
    for policy in (Adaptive(), Adaptive(kind_floors=floors.kinds, type_floors=floors.types)):
        shrinker = Shrinker(guardrail=None, policy=policy)
        results = [(e, e.shrink(shrinker, keep)) for e in chats for keep in keeps]
        lost = [share for e, r in results if (share := lost_share(e, r)) is not None]
        before, after = (sum(n) for n in zip(*((r.tokens_before, r.tokens_after) for _, r in results), strict=True))
        counts.append((sum(lost) / len(lost) if lost else 0.0, after, before))
    (lost, after, before), (lost_with, after_with, _) = counts
    return Trial(lost, lost_with, after / before, after_with / before)
