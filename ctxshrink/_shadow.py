"""The report of an `ctxshrink.observe.Observer`, and its intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Interval: TypeAlias = tuple[float, float]
"""Lower and upper end."""

RESAMPLES: Final = 1000
LEAST_UNITS: Final = 10
"""Conversations below which no interval is drawn: resampling so few says little."""
_Z: Final = 1.96


@dataclass(frozen=True, slots=True)
class Reused:
    """Strings of earlier turns that the model used later.

    Attributes:
        needed: How many, each counted once for the call whose prompt was to hold it.
        missed: How many of them stood nowhere in what that call would have put out.
    """

    needed: int
    missed: int

    @property
    def rate(self) -> float | None:
        """Share that would have been missed; None where nothing was needed."""
        return self.missed / self.needed if self.needed else None

    @property
    def interval(self) -> Interval:
        """95 % score interval of the rate (Wilson, JASA 22, 1927), as though needs came one by one; (0, 1) for none."""
        n, z2 = self.needed, _Z * _Z
        if not n:
            return 0.0, 1.0
        p = self.missed / n
        middle, half = p + z2 / (2 * n), _Z * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
        scale = 1 + z2 / n
        return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"needed": self.needed, "missed": self.missed, "rate": self.rate, "interval": list(self.interval)}


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """What shadow traffic shows. All shares are of the tokens of all prompts, locked text included.

    Attributes:
        calls: Shadow calls that were counted.
        conversations: Conversations among them; a call whose input continues no earlier one starts a new one.
        applied: Calls that were compressed for real; they are in no other figure.
        tokens_before: Tokens of their prompts.
        tokens_after: Tokens that these would have had.
        share_interval: 95 % bootstrap interval of `share`, conversations resampled; None for fewer than ten.
        seconds: What the calls took.
        actions: Segments by what would have come out of them.
        judged: Segments that would have come out changed, with a verdict of the guardrail.
        expected_losses: Sum of the guardrail's estimated probabilities over these: how many of them would have lost
            needed text if it is right.
        tool_calls: What the arguments of later tool calls took from earlier turns.
        answers: What later answers of the model repeated from earlier turns; weaker evidence, since an answer may
            repeat what nobody needs.
        forgotten: Facts that were not remembered because of the observer's bounds; the misses are too low then.
        money: Saved input tokens at the plain input price, in the currency of the prices; None without prices.
        money_cached: The same as though each of them would have been read from the provider's cache: the lower end.
    """

    calls: int
    conversations: int
    applied: int
    tokens_before: int
    tokens_after: int
    share_interval: Interval | None
    seconds: float
    actions: Mapping[str, int] = field(hash=False)
    judged: int
    expected_losses: float
    tool_calls: Reused
    answers: Reused
    forgotten: int
    money: float | None = None
    money_cached: float | None = None

    @property
    def saved(self) -> int:
        """Tokens that would have been saved, gross."""
        return self.tokens_before - self.tokens_after

    @property
    def share(self) -> float:
        """`saved` as a share of `tokens_before`; 0 for no tokens."""
        return self.saved / self.tokens_before if self.tokens_before else 0.0

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        figures = asdict(self) | {"saved": self.saved, "share": self.share}
        figures["actions"] = dict(self.actions)
        figures["share_interval"] = None if self.share_interval is None else list(self.share_interval)
        return figures | {"tool_calls": self.tool_calls.to_dict(), "answers": self.answers.to_dict()}

    def to_text(self) -> str:
        """A few lines for people."""
        if not self.calls:
            return f"no shadow calls were seen{self._applied()}"
        spread = "" if self.share_interval is None else " (95 %: {:.1%} to {:.1%})".format(*self.share_interval)
        lines = [
            f"{self.calls} shadow calls of {self.conversations} conversations{self._applied()}",
            f"tokens: {self.tokens_before} -> {self.tokens_after} tokens would have been sent, "
            f"{self.share:.1%} saved{spread}",
            f"time: {self.seconds / self.calls:.3f} s a call",
            "segments: " + (", ".join(f"{n} {action}" for action, n in self.actions.items()) or "none"),
        ]
        if self.money is not None and self.money_cached is not None:
            lines.append(
                f"money: {self.money:.4f} saved at the plain input price, {self.money_cached:.4f} if all of it had "
                "been read from the cache"
            )
        if self.judged:
            lines.append(
                f"guardrail: {self.expected_losses:.1f} of {self.judged} changed segments expected to lose needed text"
            )
        lines += [_line("later tool calls", self.tool_calls), _line("later answers", self.answers)]
        if self.forgotten:
            lines.append(f"{self.forgotten} facts were not remembered: raise max_facts, or read the misses as too low")
        return "\n".join(lines)

    def _applied(self) -> str:
        return f"; {self.applied} calls were compressed for real and are not counted" if self.applied else ""


def _line(who: str, reused: Reused) -> str:
    if reused.rate is None:
        return f"{who}: used nothing from earlier turns that can be told by its spelling"
    low, high = reused.interval
    return (
        f"{who}: {reused.missed} of {reused.needed} reused strings would have been missed, {reused.rate:.1%} "
        f"(95 %: {low:.1%} to {high:.1%})"
    )


def ratio_interval(tops: NDArray[np.float64], bottoms: NDArray[np.float64], seed: int = 0) -> Interval | None:
    """95 % percentile bootstrap interval of sum(tops) / sum(bottoms), pairs resampled.

    Efron & Tibshirani, An Introduction to the Bootstrap, section 13.3.

    Args:
        tops: One per unit, shape (n,).
        bottoms: Of the same units, shape (n,), 0 or more.
        seed: Makes it repeatable.

    Returns:
        Lower and upper end; None for fewer than `LEAST_UNITS` units, or where all bottoms are 0.
    """
    n = len(tops)
    if n < LEAST_UNITS or not bottoms.sum() > 0:
        return None
    rng = np.random.default_rng(seed)
    found: list[float] = []
    for _ in range(RESAMPLES):
        picks = rng.integers(0, n, n)
        if (bottom := float(bottoms[picks].sum())) > 0:
            found.append(float(tops[picks].sum()) / bottom)
    low, high = np.quantile(found, (0.025, 0.975))
    return float(low), float(high)
