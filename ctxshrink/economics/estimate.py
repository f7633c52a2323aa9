"""What compression would save on recorded traffic, reckoned without compressing anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any, Final

from ctxshrink.documents import parse_documents
from ctxshrink.economics._checks import check_number, check_whole
from ctxshrink.economics.prices import Prices, Usage, bill
from ctxshrink.economics.simulated import SimulatedCache, leading, render
from ctxshrink.economics.traces import Trace
from ctxshrink.errors import ConfigError, FormatError
from ctxshrink.messages import Parsed, detect
from ctxshrink.messages.locks import CACHED, NEWEST_USER
from ctxshrink.policies import check_keep
from ctxshrink.prefix.birth import Birth
from ctxshrink.providers import CacheRules
from ctxshrink.structure.failures import reports_failure
from ctxshrink.types import Kind, Segment, TokenCounter

_BORN: Final = frozenset({"tool_result", "document"})
_PASSING: Final = frozenset({None, NEWEST_USER, CACHED})
"""Locks that a text does not have when it enters the conversation."""


@dataclass(frozen=True, slots=True)
class KindTokens:
    """Tokens of the texts of one kind: all, those that are never changed, and those that would be left out."""

    tokens: int = 0
    exact: int = 0
    cut: int = 0

    def __add__(self, other: KindTokens) -> KindTokens:
        return KindTokens(self.tokens + other.tokens, self.exact + other.exact, self.cut + other.cut)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What compression would save on some traces.

    Attributes:
        traces: How many.
        requests: Requests that they stand for.
        kinds: Tokens by kind, each text counted once.
        plain: Tokens of all requests without compression, as a provider with the rules given would bill them.
        shrunk: The same with compression.
        tried: Tokens that would be handed to compressors.
        largest: Tokens of the largest request without compression, and with it.
        plain_cost: What ``plain`` costs; None without prices.
        shrunk_cost: What ``shrunk`` costs.
        assumptions: What was assumed, a sentence each.
    """

    traces: int
    requests: int
    kinds: dict[Kind, KindTokens]
    plain: Usage
    shrunk: Usage
    tried: int
    largest: tuple[int, int]
    plain_cost: float | None = None
    shrunk_cost: float | None = None
    assumptions: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, with shares of what would be without compression."""

        def usage(u: Usage) -> dict[str, int]:
            return {"input": u.input, **{name: getattr(u, name) for name in u.__slots__}}

        costs = None
        if self.plain_cost is not None and self.shrunk_cost is not None:
            saved = self.plain_cost - self.shrunk_cost
            share = saved / self.plain_cost if self.plain_cost else 0.0
            costs = {"plain": self.plain_cost, "shrunk": self.shrunk_cost, "saved": saved, "saved_share": share}
        return {
            "traces": self.traces,
            "requests": self.requests,
            "kinds": {k: {name: getattr(v, name) for name in v.__slots__} for k, v in self.kinds.items()},
            "plain": usage(self.plain),
            "shrunk": usage(self.shrunk),
            "saved_input_tokens": self.plain.input - self.shrunk.input,
            "tried": self.tried,
            "largest_request": {"plain": self.largest[0], "shrunk": self.largest[1]},
            "cost": costs,
            "assumptions": list(self.assumptions),
        }


def estimate(
    traces: Sequence[Trace],
    counter: TokenCounter,
    *,
    keep: float = 0.5,
    fallback_share: float = 0.1,
    prices: Prices | None = None,
    rules: CacheRules | None = None,
    prefix_tokens: int = 0,
) -> Estimate:
    """What compression would save on recorded traffic. Nothing is compressed.

    Conversations are sent request by request, as they grew, through a simulated prompt cache; what would be cut is what
    a `ctxshrink.Conversation` decides at birth: tool results and retrieved chunks of some size that report no failure.
    Lossless renderings and rewriting steps are not counted. Lists of documents are one request each.

    Args:
        traces: See `ctxshrink.economics.traces.read_traces`.
        counter: Counts tokens.
        keep: Share of the tokens of what is compressed that is kept, in (0, 1].
        fallback_share: Share of those tokens that is expected to stay because the guardrail rejects, in [0, 1].
        prices: Of the model; None: no bill.
        rules: Of the provider's prompt cache; None for none.
        prefix_tokens: Tokens that each request has before these: tool definitions, a system prompt.

    Raises:
        ConfigError: There is no trace, or an argument is out of range.
        FormatError: Messages have no known shape.
    """
    check_keep(keep)
    if check_number(fallback_share, "fallback_share", "a share of the tokens tried") > 1:
        raise ConfigError(f"fallback_share must be a share in [0, 1]; got {fallback_share!r}")
    check_whole(prefix_tokens, "prefix_tokens", 0)
    if not traces:
        raise ConfigError("estimate needs at least one trace")
    planner = _Planner(counter, keep + (1 - keep) * fallback_share, rules, prefix_tokens)
    parts = [planner.conversation(t) if t.kind == "messages" else planner.documents(t) for t in traces]
    kinds: dict[Kind, KindTokens] = {}
    for part in parts:
        for kind, tokens in part.kinds.items():
            kinds[kind] = kinds.get(kind, KindTokens()) + tokens
    plain = sum((p.plain for p in parts), Usage())
    shrunk = sum((p.shrunk for p in parts), Usage())
    whole = Estimate(
        traces=len(parts),
        requests=sum(p.requests for p in parts),
        kinds=kinds,
        plain=plain,
        shrunk=shrunk,
        tried=sum(p.tried for p in parts),
        largest=max((p.largest for p in parts), default=(0, 0)),
        assumptions=tuple(_assumptions(traces, keep, fallback_share, rules, counter)),
    )
    if prices is None:
        return whole
    return replace(whole, plain_cost=bill(plain, prices), shrunk_cost=bill(shrunk, prices))


@dataclass(frozen=True)
class _Planner:
    """Reckons one trace at a time; ``left`` is the share of a text that is expected to be sent when it is tried."""

    counter: TokenCounter
    left: float
    rules: CacheRules | None
    prefix: int

    def documents(self, trace: Trace) -> Estimate:
        """One request of documents and a question, all of it new."""
        parsed = parse_documents(list(trace.items))
        sizes = self.counter.count([s.text for s in parsed.segments])
        asked = self.counter.count([trace.query or ""])[0] + self.prefix
        tried = sum(n for s, n in zip(parsed.segments, sizes, strict=True) if not s.locked)
        whole, cut = sum(sizes), tried - round(tried * self.left)
        kinds: dict[Kind, KindTokens] = {"document": KindTokens(whole, whole - tried, cut)}
        plain, shrunk = Usage(uncached=asked + whole), Usage(uncached=asked + whole - cut)
        return Estimate(1, 1, kinds, plain, shrunk, tried, (plain.input, shrunk.input))

    def conversation(self, trace: Trace) -> Estimate:
        """All requests of a conversation."""
        try:
            parsed = detect(trace.items).parse(trace.items)
        except FormatError as error:
            raise FormatError(f"{trace.name}: {error}") from error
        sizes = dict(zip((s.id for s in parsed.segments), self._sizes(parsed.segments), strict=True))
        cuts = self._cuts(parsed, sizes)
        kinds: dict[Kind, KindTokens] = {}
        for s in parsed.segments:
            exact = 0 if s.id in cuts else sizes[s.id]
            mine = KindTokens(sizes[s.id], exact, cuts.get(s.id, 0))
            kinds[s.kind] = kinds.get(s.kind, KindTokens()) + mine
        # Of a text that is cut so many characters are sent as make its share of tokens.
        texts = {
            s.id: s.text[: round(len(s.text) * (1 - cuts[s.id] / sizes[s.id]))] for s in parsed.segments if s.id in cuts
        }
        unlocked = replace(parsed, segments=tuple(replace(s, lock_reason=None) for s in parsed.segments))
        before = [render(m) for m in trace.items]
        after = [render(m) for m in unlocked.rebuild(texts)]
        said = _said(parsed)
        ends = [i for i in range(1, len(said)) if said[i] and not said[i - 1]]
        if said and not said[-1]:
            ends.append(len(said))
        replies = Usage(output=sum(self.counter.count([b for b, by in zip(before, said, strict=True) if by])))
        lead = leading(trace.items)
        plain, most = self._bill(before, ends, lead)
        shrunk, least = self._bill(after, ends, lead)
        tried = sum(sizes[i] for i in cuts)
        return Estimate(1, len(ends), kinds, plain + replies, shrunk + replies, tried, (most, least))

    def _sizes(self, segments: Sequence[Segment]) -> list[int]:
        return self.counter.count([s.text for s in segments])

    def _cuts(self, parsed: Parsed, sizes: dict[str, int]) -> dict[str, int]:
        """Tokens that are left out of each text, by id, in the order in which they enter the conversation."""
        birth, cuts, total = Birth(), dict[str, int](), self.prefix
        for s in parsed.segments:
            size = sizes[s.id]
            total += size
            if s.kind not in _BORN or s.lock_reason not in _PASSING or size < birth.lossy_tokens:
                continue
            if size <= birth.failure_tokens and reports_failure(s.text, s.content_type):
                continue
            cut = size - round(size * self.left)
            if not cut or (self.rules is not None and total - cut < self.rules.min_prefix):
                continue  # Without it nothing would be long enough to be cached.
            cuts[s.id] = cut
            total -= cut
        return cuts

    def _bill(self, rendered: Sequence[str], ends: Sequence[int], lead: int) -> tuple[Usage, int]:
        """Tokens of all requests, and of the largest."""
        if not ends:
            return Usage(), 0
        if self.rules is None:
            sizes = self.counter.count(list(rendered))
            totals = list(accumulate(sizes, initial=self.prefix))
            usages = [Usage(uncached=totals[end]) for end in ends]
        else:
            cache = SimulatedCache(self.rules, self.counter, prefix_tokens=self.prefix)
            usages = [cache.send(rendered[:end], lead) for end in ends]
        return sum(usages, Usage()), max(u.input for u in usages)


def _said(parsed: Parsed) -> list[bool]:
    """For each message, whether the model said it; what holds no text goes with the message before it."""
    kinds: dict[int, Kind] = {}
    for s in parsed.segments:
        kinds.setdefault(parsed.index_of(s.id), s.kind)
    said: list[bool] = []
    for i in range(len(parsed.items)):
        known = kinds.get(i)
        said.append(known in ("assistant", "tool_call") if known is not None else bool(said and said[-1]))
    return said


def _assumptions(
    traces: Sequence[Trace], keep: float, fallback_share: float, rules: CacheRules | None, counter: TokenCounter
) -> Iterator[str]:
    yield "nothing was compressed: this is an estimate"
    exact = "" if counter.exact else ", whose counts are estimates for any other model"
    yield f"tokens are counted by {counter.name}{exact}"
    yield f"{keep:.0%} of what is compressed is kept, and {fallback_share:.0%} of it falls back to the original"
    if any(t.kind == "messages" for t in traces):
        yield (
            f"in conversations only tool results and chunks of {Birth().lossy_tokens} tokens or more that report no "
            "failure are cut, once, when they are new; instructions, calls, user and assistant turns stay exact"
        )
        if rules is None:
            yield "no prompt cache: every request pays its whole input"
        else:
            how = f"smallest prefix {rules.min_prefix:,} tokens, writing {rules.write:g} and reading {rules.read:g}"
            yield f"the prompt cache of {rules.provider} ({rules.models}): {how} times the input price"
            yield "requests follow each other before the provider's cache expires"
    if any(t.kind == "documents" for t in traces):
        yield "each list of documents is one request that is not cached"
