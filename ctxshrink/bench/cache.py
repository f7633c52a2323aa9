"""What whole agent conversations cost with a provider's prompt cache, turn by turn, and what they still can answer.

A conversation is replayed: whenever the next message is the assistant's, what a strategy makes of the messages so far
is sent to a `SimulatedCache`, which matches prefixes exactly as providers do and counts what is written, read and
billed plainly; the assistant's message is the output. At the end the probes of the chat schema are looked up in what
the strategy would send next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from ctxshrink import Shrinker
from ctxshrink.economics import PRICES, Prices, Usage, bill
from ctxshrink.economics.simulated import SimulatedCache, render
from ctxshrink.errors import ConfigError
from ctxshrink.messages import detect
from ctxshrink.prefix import Birth, Conversation
from ctxshrink.providers import RULES, CacheRules
from ctxshrink.types import TokenCounter

from .data import ChatRecord
from .scoring import Haystack
from .stats import mean
from .tasks import Chat

Messages: TypeAlias = list[dict[str, Any]]
View: TypeAlias = Callable[[Messages], Sequence[dict[str, Any]]]
"""What a strategy sends in the place of a conversation so far; called once a request, with all messages."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """A way of sending conversations.

    Attributes:
        start: A view for one conversation, given all of it (strategies that need a size take a share of the whole) and
            the provider's rules.
        aware: It looks at the rules.
    """

    start: Callable[[Messages, CacheRules], View]
    aware: bool = False


SHARE: Final = 0.5
"""Share of the full conversation at which the strategies that need a size start to act."""
MODELS: Final[dict[str, tuple[str, str]]] = {
    "anthropic": ("anthropic", "claude-sonnet-4.6"),
    "anthropic-4096": ("anthropic-4096", "claude-haiku-4.5"),
    "openai": ("openai", "gpt-5.4"),
    "openai-gpt-5": ("openai-gpt-5", "gpt-5"),
}
"""What is simulated, by name: rows of `ctxshrink.providers.RULES` and `ctxshrink.economics.PRICES`. Any other row of
`RULES` may be named too, and has the prices of the first model here."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One conversation under one strategy at one provider.

    Attributes:
        record: Its id.
        strategy: By name.
        provider: A key of `MODELS`.
        cost: The bill, in the currency of the prices.
        usage: Tokens of all requests.
        requests: How many there were.
        probes: Share of the probes that what would be sent next still answers; None without probes.
        older: The same of the probes that the last four messages do not answer.
    """

    record: str
    strategy: str
    provider: str
    cost: float
    usage: Usage
    requests: int
    probes: float | None
    older: float | None


def replay(
    record: ChatRecord, strategies: Mapping[str, Strategy], providers: Sequence[str], counter: TokenCounter
) -> list[Outcome]:
    """All strategies on one conversation.

    Args:
        record: The conversation.
        strategies: By name.
        providers: Keys of `MODELS`.
        counter: Counts tokens.

    Raises:
        ConfigError: A provider is unknown.
    """
    priced = {name: _model(name) for name in providers}
    messages = [dict(m) for m in record.messages]
    asked = [i for i, m in enumerate(messages) if m["role"] == "assistant" and i]
    replies = Usage(output=sum(counter.count([render(messages[i]) for i in asked])))
    outcomes: list[Outcome] = []
    for name, strategy in strategies.items():
        scores: Mapping[str, float] = {}
        sent: list[Sequence[dict[str, Any]]] = []
        for provider, (rules, prices) in priced.items():
            if strategy.aware or not sent:
                view = strategy.start(messages, rules)
                sent = [list(view(messages[:i])) for i in asked]
                scores = Chat().scores(record, _haystack(view(messages)))
            cache = SimulatedCache(rules, counter)
            usage = sum((cache.request(request) for request in sent), replies)
            cost = bill(usage, prices)
            found = scores.get("probes"), scores.get("older")
            outcomes.append(Outcome(record.id, name, provider, cost, usage, len(sent), *found))
    return outcomes


def _model(name: str) -> tuple[CacheRules, Prices]:
    row, priced = named(name)
    rules, model = RULES[row], PRICES[priced]
    return rules, Prices.of(rules, model.input, model.output)


def named(name: str) -> tuple[str, str]:
    """The rows of `RULES` and `PRICES` that a provider's name stands for.

    Raises:
        ConfigError: There are none.
    """
    if name not in MODELS and name not in RULES:
        raise ConfigError(f"--providers must be among {', '.join(dict.fromkeys([*MODELS, *RULES]))}; got {name!r}")
    return MODELS.get(name, (name, MODELS["anthropic"][1]))


def _haystack(messages: Sequence[dict[str, Any]]) -> Haystack:
    """What can be looked up; the arguments of tool calls would hide that the result they came from was lost."""
    parsed = detect(list(messages)).parse(list(messages))
    return Haystack("\n".join(s.text for s in parsed.segments if s.kind != "tool_call"))


@dataclass(frozen=True, slots=True)
class Summary:
    """A strategy on a set at a provider, beside doing nothing.

    Attributes:
        strategy: By name.
        provider: A key of `MODELS`.
        share: Mean over conversations of its bill as a share of doing nothing.
        worst: The highest such share.
        over: Share of conversations above 1.01.
        tokens: Input tokens as a share of doing nothing's, all conversations together.
        probes: Mean share of probes answered; None without probes.
        older: The same of those that the last four messages do not answer.
    """

    strategy: str
    provider: str
    share: float
    worst: float
    over: float
    tokens: float
    probes: float | None
    older: float | None


def summarize(outcomes: Sequence[Outcome], base: str = "none") -> list[Summary]:
    """One line for each strategy and provider, in order of first appearance.

    Raises:
        ConfigError: The base strategy is missing.
    """
    nothing = {(o.record, o.provider): o for o in outcomes if o.strategy == base}
    if not nothing:
        raise ConfigError(f"bills are shares of the strategy {base!r}, which is missing")
    summaries: list[Summary] = []
    for strategy, provider in dict.fromkeys((o.strategy, o.provider) for o in outcomes):
        mine = [o for o in outcomes if (o.strategy, o.provider) == (strategy, provider)]
        bases = [nothing[o.record, provider] for o in mine]
        # A conversation without a single request costs nothing either way.
        shares = [o.cost / b.cost if b.cost else 1.0 for o, b in zip(mine, bases, strict=True)]
        tokens = sum(b.usage.input for b in bases)
        summaries.append(
            Summary(
                strategy,
                provider,
                mean(shares),
                max(shares),
                mean([float(s > 1.01) for s in shares]),
                sum(o.usage.input for o in mine) / tokens if tokens else 1.0,
                _mean([o.probes for o in mine]),
                _mean([o.older for o in mine]),
            )
        )
    return summaries


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return mean(known) if known else None


def strategies(
    shrinker: Shrinker,
    *,
    keep: float | None = 0.5,
    birth: Birth | None = None,
    peers: bool = True,
    economical: Callable[[CacheRules], Shrinker] | None = None,
) -> dict[str, Strategy]:
    """The strategies to compare; those of LangChain need it installed.

    Args:
        shrinker: For the two of ours.
        keep: For the two of ours.
        birth: What the conversation does with new tool results; None is `Birth`'s defaults.
        peers: Also LangChain's.
        economical: Makes a shrinker with economics for a provider: the two of ours are also run with it then.

    Raises:
        MissingExtraError: LangChain is not installed.
    """

    def conversation(_: Messages, rules: CacheRules, made: Shrinker = shrinker) -> View:
        talk = Conversation(made, provider=rules, birth=birth or Birth())
        return lambda messages: talk.shrink(messages, keep=keep).output

    found: dict[str, Strategy] = {
        "none": Strategy(lambda whole, rules: lambda messages: messages),
        "ctxshrink": Strategy(conversation, aware=True),
        "rewrite every turn": Strategy(
            lambda whole, rules: lambda messages: shrinker.shrink_messages(messages, keep=keep).output
        ),
    }
    if economical is not None:
        found["ctxshrink, economics"] = Strategy(
            lambda whole, rules: conversation(whole, rules, economical(rules)), aware=True
        )

        def every_turn(_: Messages, rules: CacheRules) -> View:
            made = economical(rules)
            return lambda messages: made.shrink_messages(messages, keep=keep).output

        found["every turn, economics"] = Strategy(every_turn, aware=True)
    if peers:
        from .editing import clear_tool_uses, trim

        found["ClearToolUsesEdit 100,000"] = clear_tool_uses(100_000)
        found["ClearToolUsesEdit at half"] = clear_tool_uses(None)
        found["trim_messages to half"] = trim()
        found["trim_messages to 0.8"] = trim(0.8)  # About the tokens of ours: what the same size holds.
    return found
