"""What was saved once everything is paid: net reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ctxshrink.economics._checks import check_whole
from ctxshrink.economics.decision import Economics, amount
from ctxshrink.economics.prices import MILLION
from ctxshrink.economics.simulated import render
from ctxshrink.errors import ConfigError
from ctxshrink.result import ShrinkResult
from ctxshrink.types import TokenCounter


@dataclass(frozen=True, slots=True)
class NetReport:
    """Gross and net savings of some calls. Shares are of what would have been without compression.

    Attributes:
        calls: Calls, each of them one request to the model.
        tokens: Denominator of all shares of tokens: input tokens that the calls would have sent without compression,
            locked text included.
        saved: Of these, tokens that were not sent (gross).
        tried: Tokens of the segments that a compressor tried.
        fallback: Of these, tokens of segments that came out whole because every attempt failed: work without a saving.
        rewritten: Tokens that the provider had in its cache and that were written anew.
        expanded: Tokens of originals that the model asked for again.
        seconds: Time that compressing took, failed attempts included.
        prefill_seconds: Time that the model's prefill of the tokens saved would have taken; None where its throughput
            is not known.
        plain_cost: Denominator of shares of money: what the input would have cost without compression; None without
            prices, as are the next four.
        saved_cost: Of this, what the tokens saved would have cost (gross).
        compress_cost: What compressing cost.
        rewrite_cost: What writing anew cost more than reading.
        expand_cost: What the originals cost that were asked for again, in the request in which they came.
        currency: Of all money.
        counter: Name of the token counter.
        observed: Nothing was really left out: the figures are projected.
    """

    calls: int
    tokens: int
    saved: int
    tried: int
    fallback: int
    rewritten: int
    expanded: int
    seconds: float
    prefill_seconds: float | None
    plain_cost: float | None
    saved_cost: float | None
    compress_cost: float | None
    rewrite_cost: float | None
    expand_cost: float | None
    currency: str
    counter: str
    observed: bool

    @property
    def net_tokens(self) -> int:
        """Tokens saved without those that came back by expansion."""
        return self.saved - self.expanded

    @property
    def net_cost(self) -> float | None:
        """Money saved without what compressing, rewriting and expanding cost; None without prices."""
        if self.saved_cost is None:
            return None
        return self.saved_cost - (self.compress_cost or 0.0) - (self.rewrite_cost or 0.0) - (self.expand_cost or 0.0)

    @property
    def net_seconds(self) -> float | None:
        """Seconds of prefill saved without those of compressing; None where the throughput is not known."""
        return None if self.prefill_seconds is None else self.prefill_seconds - self.seconds

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, the denominators with it."""
        found: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        net = {"net_tokens": self.net_tokens, "net_cost": self.net_cost, "net_seconds": self.net_seconds}
        shares = {
            "saved_share_of_tokens": _share(self.saved, self.tokens),
            "net_share_of_tokens": _share(self.net_tokens, self.tokens),
            "net_share_of_plain_cost": _share(self.net_cost, self.plain_cost),
        }
        return {**found, **net, **shares}

    def __str__(self) -> str:
        """One paragraph."""
        would = "would have been " if self.observed else ""
        whole = f"the {self.tokens:,} input tokens that {_count(self.calls, 'call')} would have sent uncompressed"
        said = [
            f"{self.saved:,} of {whole} {would or 'were '}saved, {_percent(self.saved, self.tokens)} gross"
            f"{', ' + _percent(self.net_tokens, self.tokens) + ' net of expansions' if self.expanded else ''}"
            f" (counted by {self.counter})."
        ]
        if self.tried:
            said.append(
                f"Compressors tried {self.tried:,} tokens, of which {self.fallback:,} fell back to the original."
            )
        if self.rewritten:
            said.append(f"{self.rewritten:,} cached tokens were written anew.")
        if self.expanded:
            said.append(f"{self.expanded:,} tokens of originals were asked for again.")
        if self.net_cost is not None and self.plain_cost is not None:
            parts = [
                ("compressing", self.compress_cost),
                ("rewriting", self.rewrite_cost),
                ("expansions", self.expand_cost),
            ]
            costs = ", ".join(f"{amount(cost)} for {name}" for name, cost in parts if cost)
            said.append(
                f"Money: {amount(self.saved_cost or 0.0)} {self.currency} gross"
                f"{' less ' + costs if costs else ''} is {amount(self.net_cost)} net, "
                f"{_percent(self.net_cost, self.plain_cost)} of the {amount(self.plain_cost)} that the input would "
                "have cost uncompressed."
            )
        said.append(f"Compressing took {self.seconds:.2f} s")
        if self.prefill_seconds is not None:
            said[-1] += f"; the prefill that it saved, {self.prefill_seconds:.2f} s"
        return " ".join(said) + "."


def net(
    results: ShrinkResult[Any] | Sequence[ShrinkResult[Any]],
    economics: Economics | None = None,
    *,
    conversation: bool = False,
    rewritten: int = 0,
    expanded: int = 0,
) -> NetReport:
    """What calls saved once everything is paid.

    Args:
        results: One result or more, in the order of their calls; of one token counter.
        economics: Prices, the provider's rules and throughputs; None: tokens and time alone.
        conversation: The results are the requests of one conversation, each with all of its messages
            (`Conversation.extend`, `Conversation.shrink`): what an earlier request had is read from the provider's
            cache. Otherwise each stands for itself and for `Economics.turns` further requests.
        rewritten: Cached tokens that were written anew, see `rewritten_tokens`.
        expanded: Tokens of originals that the model asked for again.

    Raises:
        ConfigError: There is no result, they were counted differently, or a count is negative.
    """
    found = [results] if isinstance(results, ShrinkResult) else list(results)
    if not found:
        raise ConfigError("net needs at least one result")
    counters = sorted({r.counter for r in found})
    if len(counters) > 1:
        raise ConfigError(f"results of different counters cannot be added up: {', '.join(counters)}")
    check_whole(rewritten, "rewritten", 0)
    check_whole(expanded, "expanded", 0)
    economics = Economics() if economics is None else economics
    tried = [d for r in found for d in r.decisions if d.attempts and d.action != "frozen"]
    before, seconds = sum(r.tokens_before for r in found), sum(r.seconds for r in found)
    saved = before - sum(r.tokens_after for r in found)
    prices, latency = economics.priced, economics.latency
    plain = sent = rewriting = None
    if prices is not None:
        plain, sent = _costs(found, economics, conversation)
        rewriting = rewritten * max(0.0, prices.cache_write - prices.cache_read) / MILLION if economics.cache else 0.0
    return NetReport(
        calls=len(found),
        tokens=before,
        saved=saved,
        tried=sum(d.tokens_before for d in tried),
        fallback=sum(d.tokens_before for d in tried if d.tokens_after >= d.tokens_before or d.action == "fallback"),
        rewritten=rewritten,
        expanded=expanded,
        seconds=seconds,
        prefill_seconds=None if latency is None else latency.prefill(saved),
        plain_cost=plain,
        saved_cost=None if plain is None or sent is None else plain - sent,
        compress_cost=None if prices is None else seconds * economics.compute_price,
        rewrite_cost=rewriting,
        expand_cost=None if prices is None else expanded * (_new(economics)) / MILLION,
        currency=economics.currency,
        counter=counters[0],
        observed=any(r.mode == "observe" for r in found),
    )


def rewritten_tokens(outputs: Sequence[Sequence[Mapping[str, Any]]], counter: TokenCounter) -> int:
    """Tokens of messages that an earlier request had in front of the same place, and that were sent anew.

    Args:
        outputs: The messages of each request of one conversation, in order, such as the outputs of a `Conversation`.
        counter: Counts tokens.
    """
    texts: list[str] = []
    last: list[str] = []
    for output in outputs:
        here = [render(m) for m in output]
        same = next((i for i, (a, b) in enumerate(zip(last, here, strict=False)) if a != b), len(last))
        texts += here[same : len(last)]
        last = here
    return sum(counter.count(texts))


def _new(economics: Economics) -> float:
    """Price of a million tokens that were never sent."""
    prices = economics.priced
    if prices is None:
        return 0.0
    return prices.input if economics.cache is None else prices.cache_write


def _costs(results: Sequence[ShrinkResult[Any]], economics: Economics, conversation: bool) -> tuple[float, float]:
    """What the input would have cost, and what it cost as it was sent, rewriting aside."""
    if not conversation:
        before = sum(economics.worth(r.tokens_before) for r in results)
        return before, sum(economics.worth(r.tokens_after) for r in results)
    plain = sum(_requests([r.tokens_before for r in results], economics))
    return plain, sum(_requests([r.tokens_after for r in results], economics))


def _requests(sizes: Sequence[int], economics: Economics) -> Iterator[float]:
    """What each of a growing conversation's requests costs."""
    prices, rules, cached = economics.priced, economics.cache, 0
    if prices is None:
        return
    for size in sizes:
        total = size + economics.prefix_tokens
        if rules is None or total < rules.min_prefix:
            yield total * prices.input / MILLION
            continue
        read = min(cached, total)
        yield (read * prices.cache_read + (total - read) * prices.cache_write) / MILLION
        cached = total


def _share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else round(part / whole, 6)


def _percent(part: float, whole: float) -> str:
    return f"{part / whole:.1%}" if whole else "0.0%"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")
