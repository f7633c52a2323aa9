"""Break-even as a decision at run time: what does not pay is left alone, with the reason."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from ctxshrink.economics._checks import check_number, check_whole
from ctxshrink.economics.latency import Latency
from ctxshrink.economics.prices import MILLION, Prices, PriceTable, prices_of
from ctxshrink.errors import ConfigError
from ctxshrink.providers import CacheRules, cache_rules
from ctxshrink.types import Call, Decision, Segment

Part: TypeAlias = Literal["part", "request", "history"]
"""What a call's segments are of the request that they go into: ``part``, texts beside others that nobody here knows (a
new tool result of a `Conversation`, which minds the cache itself); ``request``, all that comes after
`Economics.prefix_tokens`, such as retrieved documents; ``history``, messages that come whole and uncompressed with
every request, of which the provider has all but the newest in its cache."""

_RESENT: Final = (
    "stands in the provider's prompt cache: rewriting it in every request costs more than it saves; a Conversation "
    "keeps what was sent"
)


@dataclass(frozen=True)
class Economics:
    """What tokens cost, what compressing costs, and so which segments are worth it.

    A segment is left alone where the money of the tokens that it would save, in the next request and in the further
    ones that hold it, does not come up to the cost of compressing it; where shortening makes a request too short for
    the provider's cache, so that the bill rises; where it would change what the provider has in its cache, in every
    request anew; and, with ``max_delay``, where compressing takes longer than the prefill that it saves.

    A ``max_tokens`` is a bound that holds whatever it costs: nothing is left alone on these grounds then.

    Attributes:
        model: Names a row of ``table`` or of `PRICES`. Give this or ``prices``; without either, money is not reckoned.
        prices: Prices of the caller's own.
        table: A price table of the caller's own, see `prices_of`.
        rules: Whose prompt cache the requests go to: a name from `ctxshrink.providers.RULES`, rules of the caller's
            own, or None for none. ``"model"``: as the row of prices says, else none.
        turns: Further requests that will hold the same text, unchanged. None: not known; savings are then reckoned for
            one request, and a history is expected to go on.
        throughput: Tokens a second of the model's prefill, or a `Latency` with that of compressing too.
        max_delay: Seconds by which compressing may delay an answer beyond the prefill that it saves; None where time
            does not matter. Needs both throughputs.
        compute_price: What a second of compressing costs, in the currency of the prices. Needs the throughput of
            compressing.
        minimum_tokens: Least tokens that a segment must save.
        minimum_saving: Least money that a segment must save, in the currency of the prices.
        fallback_share: Share of the tokens saved that is expected to be lost again because the guardrail rejects, in
            [0, 1).
        prefix_tokens: Tokens that each request has before the call's: tool definitions, a system prompt.
        currency: Of the prices, as it is said in reasons.

    Raises:
        ConfigError: A value is out of range, contradicts another, or the tables have no prices for the model.
    """

    model: str | None = None
    prices: Prices | None = None
    table: PriceTable | None = None
    rules: str | CacheRules | None = "model"
    turns: float | None = None
    throughput: Latency | float | None = None
    max_delay: float | None = None
    compute_price: float = 0.0
    minimum_tokens: int = 0
    minimum_saving: float = 0.0
    fallback_share: float = 0.0
    prefix_tokens: int = 0
    currency: str = "dollars"

    def __post_init__(self) -> None:
        if self.model is not None and self.prices is not None:
            raise ConfigError("give model or prices, not both")
        if self.prices is not None and not isinstance(self.prices, Prices):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"prices must be Prices(input=…, output=…, …) or None; got {self.prices!r}")
        if self.table is not None and self.model is None:
            raise ConfigError("table is for looking up a model: name it with model")
        for name in ("compute_price", "minimum_saving"):
            check_number(getattr(self, name), name, f"in {self.currency}")
        if self.turns is not None:
            check_number(self.turns, "turns", "further requests that hold the same text, or None")
        if self.max_delay is not None:
            check_number(self.max_delay, "max_delay", "seconds, or None")
        if check_number(self.fallback_share, "fallback_share", "a share of the tokens saved") >= 1:
            raise ConfigError(f"fallback_share must be a share in [0, 1); got {self.fallback_share!r}")
        check_whole(self.minimum_tokens, "minimum_tokens", 0)
        check_whole(self.prefix_tokens, "prefix_tokens", 0)
        found, compress = self.latency, None if self.latency is None else self.latency.compress_tokens_per_second
        if self.priced is None and (self.compute_price or self.minimum_saving):
            raise ConfigError("compute_price and minimum_saving are compared with money: give model or prices too")
        if compress is None and (self.compute_price or self.max_delay is not None):
            wanted = "Latency(prefill_tokens_per_second=…, compress_tokens_per_second=measure_compress(shrinker))"
            name = "compute_price" if self.compute_price else "max_delay"
            raise ConfigError(f"{name} needs both throughputs: throughput={wanted}; got {found!r}")
        _ = self.cache

    @functools.cached_property
    def priced(self) -> Prices | None:
        """The prices in use; None where money is not reckoned."""
        return self.prices if self.model is None else prices_of(self.model, self.table)

    @functools.cached_property
    def cache(self) -> CacheRules | None:
        """The rules of the provider's prompt cache; None where nothing is cached."""
        if self.rules == "model":
            return cache_rules(self.priced.provider or None) if self.priced else None
        return cache_rules(self.rules)

    @functools.cached_property
    def latency(self) -> Latency | None:
        """Both throughputs; None where nobody gave any."""
        given = self.throughput
        return given if given is None or isinstance(given, Latency) else Latency(given)

    def worth(self, tokens: float) -> float:
        """Money that so many tokens cost in the next request and in the further ones that hold them; 0 without prices.

        A cached token is written once and then read; others are paid anew each time.
        """
        if self.priced is None:
            return 0.0
        turns = self.turns or 0.0
        if self.cache is None:
            return tokens * self.priced.input * (1 + turns) / MILLION
        return tokens * (self.priced.cache_write + self.priced.cache_read * turns) / MILLION

    def compress_cost(self, tokens: float) -> float:
        """Money that compressing so many tokens costs."""
        return self.compute_price * self.latency.compress(tokens) if self.latency else 0.0

    def declined(
        self, segments: Sequence[Segment], shares: Mapping[str, int], call: Call, *, of: Part = "part"
    ) -> dict[str, str]:
        """Segments that are not worth compressing.

        Args:
            segments: The unlocked segments of a call.
            shares: Tokens that each would have left, by id; those that keep all of theirs are not looked at.
            call: For token counts and the goal.
            of: What the call's segments are of their request.

        Returns:
            For each such segment the reason, in one sentence, by id.
        """
        if call.goal.max_tokens is not None or call.goal.lossless:
            return {}
        cuts = {s.id: call.tokens[s.id] - shares[s.id] for s in segments if s.id in shares}
        cuts = {i: cut for i, cut in cuts.items() if cut > 0}
        if of == "history" and self._resent():
            return dict.fromkeys(cuts, _RESENT)
        expected = {i: cut * (1 - self.fallback_share) for i, cut in cuts.items()}
        why = {i: reason for i, saved in expected.items() if (reason := self._small(saved, call.tokens[i]))}
        rest = {i: saved for i, saved in expected.items() if i not in why}
        if of == "request":
            short = self._too_short(rest, call)
            why |= short
            rest = {i: saved for i, saved in rest.items() if i not in short}
        return why | self._slow(rest, call)

    def undone(self, decisions: Sequence[Decision], call: Call, *, of: Part = "part") -> dict[str, str]:
        """Segments that were compressed and whose originals are better sent all the same, as `declined` returns them.

        To be asked once all is decided: what really came out may be shorter than the shares allowed, and the request
        then too short for the provider's cache; or it saves so little that the exact text is the better deal.
        """
        if call.goal.max_tokens is not None or call.goal.lossless:
            return {}
        cuts = {d.segment.id: d.tokens_before - d.tokens_after for d in decisions if d.tokens_after < d.tokens_before}
        why = {i: reason for i, cut in cuts.items() if (reason := self._small(cut, 0))}
        rest = {i: float(cut) for i, cut in cuts.items() if i not in why}
        return why | (self._too_short(rest, call) if of == "request" else {})

    def _resent(self) -> bool:
        """True where changing a history would lose what the provider has of it, request after request.

        Nobody here remembers what was sent: a text that comes out in another form than in the request before is
        written to the cache again, with all that follows it.
        """
        rules = self.cache
        return rules is not None and self.turns != 0 and rules.read < rules.write

    def _small(self, saved: float, tokens: int) -> str | None:
        """Why a segment's own saving does not pay."""
        money, cost = self.worth(saved), self.compress_cost(tokens)
        said = f"saves {saved:,.0f} tokens"
        said += f" ({amount(money)} {self.currency})" if self.priced else ""
        if saved < self.minimum_tokens:
            return f"{said}, fewer than the {self.minimum_tokens:,} that are worth it"
        if self.priced is None:
            return None
        if money < self.minimum_saving:
            return f"{said}, less than the {amount(self.minimum_saving)} that are worth it"
        if cost and money <= cost:
            return f"{said} and costs {amount(cost)} to compress"
        return None

    def _too_short(self, cuts: Mapping[str, float], call: Call) -> dict[str, str]:
        """What to leave so that the request stays long enough to be cached, where that is cheaper.

        Below the smallest cached prefix every request pays the plain price; above it the first writes and the further
        ones read.
        """
        rules, turns = self.cache, self.turns or 0.0
        whole = self.prefix_tokens + sum(call.tokens.values())
        after = whole - sum(cuts.values())
        if rules is None or not turns or not after < rules.min_prefix <= whole:
            return {}
        if after * (1 + turns) <= whole * (rules.write + rules.read * turns):
            return {}
        left: dict[str, str] = {}
        for i, cut in sorted(cuts.items(), key=lambda item: item[1]):
            if after >= rules.min_prefix:
                break
            after += cut
            left[i] = (
                f"without it the request would be shorter than the {rules.min_prefix:,} tokens that "
                f"{rules.provider} caches, and cost more over {turns + 1:,.4g} requests"
            )
        return left

    def _slow(self, cuts: Mapping[str, float], call: Call) -> dict[str, str]:
        """What to leave so that compressing delays the answer by no more than is allowed, the slowest first."""
        latency = self.latency
        if latency is None or self.max_delay is None:
            return {}
        delays = {i: -latency.gain(cut, latency.compress(call.tokens[i])) for i, cut in cuts.items()}
        total = math.fsum(delays.values())
        left: dict[str, str] = {}
        for i, delay in sorted(delays.items(), key=lambda item: -item[1]):
            if total <= self.max_delay or delay <= 0:
                break
            total -= delay
            left[i] = (
                f"compressing it takes {amount(latency.compress(call.tokens[i]))} s, longer than the prefill that it "
                f"saves ({amount(latency.prefill(cuts[i]))} s)"
            )
        return left


def amount(value: float) -> str:
    """A number with two significant digits at least, without an exponent: money and seconds may be tiny."""
    if not value or not math.isfinite(value):
        return f"{value:.0f}"
    digits = max(2, 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(digits, 12)}f}"
