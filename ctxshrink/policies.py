"""Policies: how hard each segment is compressed.

A policy is any callable ``(segments, call) -> {segment id: keep}``; `policies` are values that compose: ``a & b`` keeps
what both would keep (the harder of the two for each segment), ``a | b`` what either would (the softer). The goal of the
call (its ``keep=`` or ``max_tokens=``) comes before a policy's own; the shrinker scales shares down where a policy asks
for more than the goal allows, so a budget never depends on a policy's arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from .errors import ConfigError
from .structure.failures import reports_failure
from .types import Call, ContentType, Goal, Kind, Policy, Segment

RECENT_TURNS = 4
"""Newest turns that stay exact unless a policy says otherwise."""


def unlocked_budget(goal: Goal, call: Call) -> int:
    """Tokens that the unlocked segments of a call may use together under a goal; >= 0."""
    unlocked = sum(call.tokens[s.id] for s in call.segments if not s.locked)
    budget = unlocked
    if goal.keep is not None:
        budget = min(budget, math.floor(goal.keep * unlocked + 1e-9))
    if goal.max_tokens is not None:
        locked = sum(call.tokens[s.id] for s in call.segments if s.locked)
        budget = min(budget, goal.max_tokens - locked)
    return max(budget, 0)


def check_keep(keep: float, name: str = "keep") -> float:
    """Return ``keep`` as a float, or raise a `ConfigError` that names the argument."""
    if isinstance(keep, bool) or not isinstance(keep, (int, float)) or not 0 < keep <= 1:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"{name} must be a number in (0, 1], the share of the tokens to keep; got {keep!r}")
    return float(keep)


def check_max_tokens(max_tokens: int, name: str = "max_tokens") -> int:
    """Return ``max_tokens``, or raise a `ConfigError` that names the argument."""
    if isinstance(max_tokens, bool) or not isinstance(max_tokens, int) or max_tokens < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"{name} must be a whole number of tokens, 0 or more; got {max_tokens!r}")
    return max_tokens


class _Composable:
    """``&`` and ``|`` for policies."""

    def __and__(self: Policy, other: Policy) -> Combined:
        return Combined(self, other, min)

    def __or__(self: Policy, other: Policy) -> Combined:
        return Combined(self, other, max)


@dataclass(frozen=True)
class Combined(_Composable):
    """Two policies as one; made by ``a & b`` (``pick=min``) and ``a | b`` (``pick=max``)."""

    first: Policy
    second: Policy
    pick: Callable[[float, float], float]

    @property
    def recent_turns(self) -> int:
        """The longer of the two recent windows: what one of them promises to keep exact stays exact."""
        return max(recent_turns(self.first), recent_turns(self.second))

    @property
    def goal(self) -> Goal:
        """``&``: the smaller of each bound. ``|``: the larger, and none where one policy has none.

        Nothing may be left out where both policies say so (``&``), or one of them (``|``).
        """
        a, b = policy_goal(self.first), policy_goal(self.second)
        keeps, maxes = [a.keep, b.keep], [a.max_tokens, b.max_tokens]
        if self.pick is min:
            least = min((k for k in keeps if k is not None), default=None)
            return Goal(least, _least(maxes), a.lossless and b.lossless)
        keep = None if None in keeps else max(k for k in keeps if k is not None)
        most = None if None in maxes else max(m for m in maxes if m is not None)
        return Goal(keep, most, a.lossless or b.lossless)

    def __call__(self, segments: Sequence[Segment], call: Call, /) -> Mapping[str, float]:
        """Combine the keeps of both policies segment by segment."""
        a, b = self.first(segments, call), self.second(segments, call)
        return {s.id: self.pick(a.get(s.id, 1.0), b.get(s.id, 1.0)) for s in segments}


def _least(values: Sequence[int | None]) -> int | None:
    return min((v for v in values if v is not None), default=None)


def recent_turns(policy: Policy) -> int:
    """The recent window that a policy names, or the default."""
    return int(getattr(policy, "recent_turns", RECENT_TURNS))


def policy_goal(policy: Policy) -> Goal:
    """The goal that a policy brings along, or an empty one."""
    goal = getattr(policy, "goal", None)
    return goal if isinstance(goal, Goal) else Goal()


def _uniform(segments: Sequence[Segment], call: Call) -> dict[str, float]:
    total = sum(call.tokens[s.id] for s in segments)
    keep = unlocked_budget(call.goal, call) / total if total else 1.0
    return dict.fromkeys((s.id for s in segments), keep)


@dataclass(frozen=True)
class KeepRatio(_Composable):
    """The same keep for every unlocked segment, whatever its age, kind or relevance.

    Args:
        keep: Share of the tokens to keep, in (0, 1].
        recent_turns: Newest turns that stay exact.
    """

    keep: float
    recent_turns: int = RECENT_TURNS

    def __post_init__(self) -> None:
        check_keep(self.keep)

    @property
    def goal(self) -> Goal:
        """Keep ``keep`` of the unlocked tokens."""
        return Goal(keep=self.keep)

    def __call__(self, segments: Sequence[Segment], call: Call, /) -> Mapping[str, float]:
        """One keep for all."""
        return _uniform(segments, call)


@dataclass(frozen=True)
class TokenBudget(_Composable):
    """The same keep for every unlocked segment, chosen so that the whole output has at most ``max_tokens``.

    Mostly used to bound another policy: ``Adaptive() & TokenBudget(4000)``.

    Args:
        max_tokens: Most tokens of the whole output, locked text included; >= 0.
        recent_turns: Newest turns that stay exact.
    """

    max_tokens: int
    recent_turns: int = RECENT_TURNS

    def __post_init__(self) -> None:
        check_max_tokens(self.max_tokens)

    @property
    def goal(self) -> Goal:
        """At most ``max_tokens`` in all."""
        return Goal(max_tokens=self.max_tokens)

    def __call__(self, segments: Sequence[Segment], call: Call, /) -> Mapping[str, float]:
        """One keep for all."""
        return _uniform(segments, call)


@dataclass(frozen=True)
class Lossless(_Composable):
    """Nothing is left out: JSON, tables, logs and the like are only rendered with fewer tokens.

    A call's ``keep`` or ``max_tokens`` does not override this; a bound that cannot be met is a warning on the result.

    Args:
        recent_turns: Newest turns that stay exact.
    """

    recent_turns: int = RECENT_TURNS

    @property
    def goal(self) -> Goal:
        """No bound, and no loss."""
        return Goal(lossless=True)

    def __call__(self, segments: Sequence[Segment], call: Call, /) -> Mapping[str, float]:
        """Everything of everything."""
        return dict.fromkeys((s.id for s in segments), 1.0)


_KIND_FLOORS: dict[Kind, float] = {"user": 0.05, "assistant": 0.05, "tool_result": 0.02, "document": 0.0}
_TYPE_FLOORS: dict[ContentType, float] = {"code": 0.1, "diff": 0.1}


@dataclass(frozen=True)
class Adaptive(_Composable):
    """Older, less relevant and more compressible segments are compressed harder; the sum meets the goal.

    keep_i = floor_i + (1 - floor_i) · min(1, λ · 2^(-age_i / half_life) · relevance_i^γ), with λ found by bisection so
    that Σ keep_i · tokens_i meets the goal. Where even the floors do not fit, all floors shrink by one factor.

    Args:
        keep: Share of the unlocked tokens to keep where the call names neither ``keep`` nor ``max_tokens``.
        recent_turns: Newest turns that stay exact.
        half_life: Turns after which a segment's claim has halved. None (default): the age of the oldest segment, so
            that the oldest has half the claim of the newest however long the conversation is. A fixed number turns
            long conversations into truncation.
        gamma: Exponent on relevance; 0 ignores it.
        kind_floors: Least keep by kind, merged over the defaults.
        type_floors: Least keep by content type, merged over the defaults. The larger of the two floors holds; documents
            have no floor unless ``kind_floors`` gives one: of ten chunks, one may come out whole and nine empty.
        min_tokens: Segments of at most this many tokens are kept whole: what they could save is not worth a marker.
        failure_tokens: Tool output that reports a failure is kept whole up to this many tokens: what went wrong is what
            the next step depends on.
    """

    keep: float = 0.5
    recent_turns: int = RECENT_TURNS
    half_life: float | None = None
    gamma: float = 1.0
    kind_floors: Mapping[Kind, float] = field(default_factory=dict[Kind, float])
    type_floors: Mapping[ContentType, float] = field(default_factory=dict[ContentType, float])
    min_tokens: int = 8
    failure_tokens: int = 2000

    def __post_init__(self) -> None:
        check_keep(self.keep)
        if self.half_life is not None and not self.half_life > 0:
            raise ConfigError(f"half_life must be a positive number of turns or None; got {self.half_life!r}")
        if not self.gamma >= 0:
            raise ConfigError(f"gamma must be 0 or more; got {self.gamma!r}")

    @property
    def goal(self) -> Goal:
        """Keep ``keep`` of the unlocked tokens."""
        return Goal(keep=self.keep)

    def _floor(self, segment: Segment, tokens: int) -> float:
        if segment.kind == "document":
            return self.kind_floors.get("document", 0.0)
        if tokens <= self.min_tokens:
            return 1.0
        if (
            segment.kind == "tool_result"
            and tokens <= self.failure_tokens
            and reports_failure(segment.text, segment.content_type)
        ):
            return 1.0
        by_kind = {**_KIND_FLOORS, **self.kind_floors}.get(segment.kind, 0.0)
        by_type = {**_TYPE_FLOORS, **self.type_floors}.get(segment.content_type, 0.0)
        return max(by_kind, by_type)

    def __call__(self, segments: Sequence[Segment], call: Call, /) -> Mapping[str, float]:
        """Solve for λ and return the keeps."""
        budget = unlocked_budget(call.goal, call)
        tokens = [call.tokens[s.id] for s in segments]
        floors = [self._floor(s, n) for s, n in zip(segments, tokens, strict=True)]
        least = sum(f * n for f, n in zip(floors, tokens, strict=True))
        if least > budget:
            return {s.id: f * budget / least for s, f in zip(segments, floors, strict=True)}
        half_life = self.half_life or max((s.age for s in segments), default=0) or 1
        claims = [2.0 ** (-s.age / half_life) * s.relevance**self.gamma for s in segments]

        def keeps(scale: float) -> list[float]:
            return [f + (1 - f) * min(1.0, scale * c) for f, c in zip(floors, claims, strict=True)]

        def cost(scale: float) -> float:
            return sum(k * n for k, n in zip(keeps(scale), tokens, strict=True))

        low, high = 0.0, 1.0
        while cost(high) < budget and high < 2.0**64:
            low, high = high, high * 2
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if cost(middle) <= budget + 1e-6 else (low, middle)
        return {s.id: k for s, k in zip(segments, keeps(low), strict=True)}
