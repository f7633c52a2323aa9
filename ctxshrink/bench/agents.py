"""``ctxshrink bench cost`` and ``ctxshrink bench growth``: what agents' conversations cost, and how they grow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from ctxshrink._console import progress
from ctxshrink.providers import CacheRules

from .report import number, table

if TYPE_CHECKING:
    from .data import Split


def cost(
    data: Path | Sequence[Path],
    providers: list[str],
    keep: float,
    *,
    limit: int | None,
    split: Split,
    seed: int,
    guardrail: bool,
    peers: bool,
    out: Console,
    longest: int | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Runs and shows what conversations cost; returns its settings and what it found, JSON-ready.

    Args:
        data: A chat set, a folder of them, or several of these.
        providers: Names, see `ctxshrink.bench.cache.MODELS`.
        keep: Share to keep of new tool results, and of old turns where rewriting them pays.
        limit: Most conversations per set.
        split: Which half.
        seed: Of the draw.
        guardrail: Run ctxshrink with its guardrail.
        peers: Also LangChain's strategies.
        out: Where the tables go.
        longest: Most messages of a conversation; longer ones are left out, and sets that have no other.

    Raises:
        ConfigError: The data or a provider is wrong.
        MissingExtraError: ``peers``, and LangChain is not installed.
    """
    from ctxshrink import Shrinker
    from ctxshrink.economics import Economics, Prices

    from .cache import named, replay, strategies, summarize
    from .data import chat_record, load_sets

    rows = {p: named(p) for p in providers}
    shrinker = Shrinker(guardrail="perplexity" if guardrail else None)

    def economical(rules: CacheRules) -> Shrinker:
        economics = Economics(prices=Prices.of(rules, 3.0, 15.0), rules=rules)
        return Shrinker(guardrail="perplexity" if guardrail else None, economics=economics)

    plans = strategies(shrinker, keep=keep, peers=peers, economical=economical)
    sets = load_sets(data, chat_record, split=split, limit=limit, seed=seed)
    if longest is not None:
        sets = {name: [r for r in records if len(r.messages) <= longest] for name, records in sets.items()}
        sets = {name: records for name, records in sets.items() if records}
    found: dict[str, Any] = {}
    with progress() as bar:
        job = bar.add_task("cost", total=sum(map(len, sets.values())))
        for name, records in sets.items():
            outcomes = list[Any]()
            for record in records:
                outcomes += replay(record, plans, providers, shrinker.counter)
                bar.update(job, advance=1, description=name)
            columns = ["provider", "strategy", "bill", "worst", "over 1.01", "tokens", "probes", "older"]
            shown = table(f"{name}: {len(records)} conversations, shares of doing nothing", columns, left=2)
            for line in summarize(outcomes):
                shares = [line.share, line.worst, line.over, line.tokens, line.probes, line.older]
                shown.add_row(line.provider, line.strategy, *("" if s is None else number(s, ".3f") for s in shares))
                row = {key: getattr(line, key) for key in line.__slots__}
                found.setdefault(name, []).append(row)
            out.print(shown)
    settings = {
        "data": data.name if isinstance(data, Path) else [path.name for path in data],
        "records": {name: len(records) for name, records in sets.items()},
        "providers": rows,
        "keep": keep,
        "limit": limit,
        "split": split,
        "seed": seed,
        "guardrail": guardrail,
    }
    return settings, {"summaries": found}


def growth(turns: int, keep: float, *, guardrail: bool, out: Console) -> tuple[dict[str, Any], dict[str, Any]]:
    """Runs and shows the growth benchmark; returns its settings and what it found, JSON-ready.

    Args:
        turns: Requests of the synthetic conversation.
        keep: Share to keep of new tool results, and of old turns where rewriting them pays.
        guardrail: Run with the guardrail.
        out: Where the table goes.
    """
    from ctxshrink import Conversation, Shrinker

    from .growth import grow

    every = max(1, turns // 10)
    made = Conversation(Shrinker(guardrail="perplexity" if guardrail else None))
    with progress() as bar:
        job = bar.add_task("growth", total=turns)
        found = grow(made, turns, every=every, keep=keep, step=lambda: bar.update(job, advance=1))
    columns = ["turns", "CPU s a turn", "of the first", "tokens", "sent", "rewritten at"]
    shown = table(f"a conversation of {turns} turns", columns, left=1)
    for i, seconds in enumerate(found.seconds):
        first, last = i * every, min(turns, (i + 1) * every)
        steps = ", ".join(str(e) for e in found.epochs if first <= e < last)
        ratio = seconds / found.seconds[0] if found.seconds[0] else 1.0
        sizes = f"{found.tokens_before[i]:,}", f"{found.tokens_after[i]:,}"
        shown.add_row(f"{first + 1}-{last}", f"{seconds:.4f}", number(ratio, ".2f"), *sizes, steps)
    out.print(shown)
    said = "every turn starts with the one before" if not found.broken else f"BROKEN at turns {found.broken}"
    out.print(f"{said}; earlier text was rewritten {len(found.epochs)} times, each time announced")
    return {"turns": turns, "keep": keep, "guardrail": guardrail}, found.to_dict()
