"""From keeps to whole tokens: shares that add up to the budget exactly."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from .errors import ConfigError
from .types import Call, Segment


def checked_keeps(keeps: Mapping[str, float], segments: Sequence[Segment], policy: object) -> dict[str, float]:
    """A policy's answer as keeps in [0, 1] for every segment, or a `ConfigError`: a wrong policy is a wrong setting."""
    name = getattr(policy, "__name__", type(policy).__name__)
    if not isinstance(keeps, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"policy {name} must return a mapping of segment id to keep; got {type(keeps).__name__}")
    checked: dict[str, float] = {}
    for segment in segments:
        keep = keeps.get(segment.id, 1.0)
        if not isinstance(keep, (int, float)) or math.isnan(keep):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"policy {name} gave {keep!r} as keep of segment {segment.id!r}; a number is needed")
        checked[segment.id] = min(1.0, max(0.0, float(keep)))
    return checked


def shares(
    keeps: Mapping[str, float], segments: Sequence[Segment], call: Call, budget: int, least: Mapping[str, int]
) -> dict[str, int]:
    """Most tokens for each segment.

    Every segment gets at least what it leaves behind when emptied; the rest of the budget is shared out as the keeps
    ask, scaled down by one factor where they ask for more, with remainders to the largest fractions first.

    Args:
        keeps: Keep in [0, 1] by id.
        segments: The unlocked segments.
        call: For token counts.
        budget: Tokens for all of them; >= 0.
        least: Tokens that each leaves behind when emptied, by id.

    Returns:
        Whole tokens by id. Their sum is at most max(budget, sum of least).
    """
    room = max(0, budget - sum(least.values()))
    wanted = {s.id: max(0.0, keeps[s.id] * call.tokens[s.id] - least[s.id]) for s in segments}
    asked = sum(wanted.values())
    scale = min(1.0, room / asked) if asked else 0.0
    exact = {i: w * scale for i, w in wanted.items()}
    whole = {i: math.floor(x + 1e-6) for i, x in exact.items()}
    rest = min(room, math.floor(asked * scale + 1e-6)) - sum(whole.values())
    for i in sorted(exact, key=lambda i: whole[i] - exact[i])[: max(rest, 0)]:
        whole[i] += 1
    return {s.id: min(call.tokens[s.id], least[s.id] + whole[s.id]) for s in segments}
