"""What a request costs, and when rewriting a cached prompt pays."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from .errors import ConfigError
from .policies import check_keep
from .providers import RULES, CacheRules

MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Prices:
    """A model's prices, in any one currency per million tokens.

    Attributes:
        input: A plain input token.
        output: An output token.
        cache_write: An input token that is written to the provider's cache.
        cache_read: An input token that is read from it.
        as_of: Day the prices were read, ISO 8601; "" for the caller's own.
        source: Where they were read.
    """

    input: float
    output: float
    cache_write: float
    cache_read: float
    as_of: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        if not all(p >= 0 for p in (self.input, self.output, self.cache_write, self.cache_read)):
            raise ConfigError(f"prices must be 0 or more per million tokens; got {self!r}")

    @classmethod
    def of(cls, rules: CacheRules, input: float, output: float) -> Prices:
        """Prices whose cache factors are those of a provider."""
        return cls(input, output, rules.write * input, rules.read * input, rules.as_of, rules.source)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or more requests; every input token is in exactly one of the first three.

    Attributes:
        uncached: Input tokens billed plainly.
        written: Input tokens written to the provider's cache.
        read: Input tokens read from it.
        output: Output tokens.
    """

    uncached: int = 0
    written: int = 0
    read: int = 0
    output: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.uncached + other.uncached,
            self.written + other.written,
            self.read + other.read,
            self.output + other.output,
        )

    @property
    def input(self) -> int:
        """All input tokens."""
        return self.uncached + self.written + self.read


_READ: Final = "2026-11-22"
PRICES: Final[dict[str, Prices]] = {
    "claude-sonnet-4.6": Prices(3.0, 15.0, 3.75, 0.30, _READ, "resellers' price tables that name Anthropic's"),
    "claude-opus-4.6": Prices(5.0, 25.0, 6.25, 0.50, _READ, "resellers' price tables that name Anthropic's"),
    "claude-haiku-4.5": Prices(1.0, 5.0, 1.25, 0.10, _READ, "resellers' price tables that name Anthropic's"),
    "gpt-5.4": Prices(2.50, 15.0, 2.50, 0.25, _READ, "adk-model 0.6.0, pricing.rs (March 2026)"),
    "gpt-5.4-mini": Prices(0.75, 4.50, 0.75, 0.075, _READ, "adk-model 0.6.0, pricing.rs (March 2026)"),
    "gpt-5": Prices(1.25, 10.0, 1.25, 0.125, _READ, "openai-cost 0.1.0, pricing.rs (second quarter of 2026)"),
}
"""US dollars per million tokens by model. They change: check them against your own contract."""


def bill(usage: Usage, prices: Prices) -> float:
    """What the tokens cost, in the currency of the prices."""
    cost = (
        usage.uncached * prices.input
        + usage.written * prices.cache_write
        + usage.read * prices.cache_read
        + usage.output * prices.output
    )
    return cost / MILLION


def break_even_turns(tokens: float, keep: float, after: float = 0.0, rules: CacheRules | None = None) -> float:
    """Turns after which rewriting cached text has paid.

    N > (w - c) / c * (keep * T + S) / ((1 - keep) * T). T tokens are rewritten to keep * T; these and the S tokens
    after them, which no longer follow a cached prefix, are written at w instead of read at c, once; from then on each
    turn reads (1 - keep) * T tokens fewer at c.

    Args:
        tokens: T, the cached tokens that would be rewritten.
        keep: Share of them that would be left, in (0, 1].
        after: S, the cached tokens that stand after the first rewritten one and stay as they are.
        rules: Prices of the provider's cache; None: Anthropic's.

    Returns:
        The number of turns, not rounded; 0 where writing costs no more than reading; infinity where nothing is saved.
    """
    check_keep(keep)
    rules = RULES["anthropic"] if rules is None else rules
    if not tokens > 0 or keep == 1:
        return math.inf
    extra = (rules.write - rules.read) * (keep * tokens + max(after, 0.0))
    saved = rules.read * (1 - keep) * tokens
    return max(0.0, extra / saved) if saved else (0.0 if extra <= 0 else math.inf)
