"""The tables of ``ctxshrink bench guardrail``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from .guardrail_attacks import AttackRow
from .guardrail_cost import PER_TOKENS, Cost
from .guardrail_detector import FALSE_FALLBACKS, MEASURES, Point, Standing
from .guardrail_product import Outcome
from .guardrail_rewritten import RetellingRow
from .guardrail_rows import ASKED, COSINE, KEPT, PERPLEXITY, SLOW_CHARS, WORDS
from .report import number, table
from .tasks import TASKS

SHOWN = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3)
"""Shares of false fallbacks at which the printed curve is read; the JSON file has all of it."""
_LEVELS = {"segment": "segments", "output": "whole outputs"}


def show(report: Mapping[str, Sequence[Any]], console: Console) -> None:
    """Print a table of each part; see `guardrail.summarize` for the rows."""
    for level, what in _LEVELS.items():
        rows: list[Standing] = [s for s in report["detector"] if s.level == level]
        if rows:
            console.print(_detector(what, rows))
    console.print(_features(report["detector"]))
    console.print(_curve(report["curve"]))
    console.print(_product(report["product"]))
    console.print(_attacks(report["attacks"]))
    if report["rewritten"]:
        console.print(_rewritten(report["rewritten"]))
    console.print(_cost(report["cost"]))


def _detector(what: str, rows: Sequence[Standing]) -> Table:
    columns = [
        "source",
        "n",
        "lost",
        "AUROC",
        "95 %",
        "caught",
        "95 %",
        "rejected",
        "harmless",
        "share lost",
        "estimated",
        *MEASURES,
    ]
    caption = (
        f"AUROC for 'needed text was lost'; caught: losses above the threshold that {FALSE_FALLBACKS:.0%} of the "
        "harmless exceed; rejected: losses and harmless ones, as the guardrail is set; share lost: of the needed "
        "strings (of the segments, where segments are judged), and what the scores say; then AUROC of other measures: "
        f"{KEPT}: share of the tokens; {WORDS}, {ASKED}: of the original's and the question's words; {COSINE} of "
        f"original and output; {PERPLEXITY} of the output's first {SLOW_CHARS} characters, the better direction; "
        f"these two on {_read(rows)} rows, on which the detector has {number(_on_read(rows), '.3f')}"
    )
    made = table(f"detector, {what}", columns, caption=caption)
    for r in rows:
        shares = [_interval(r.interval), number(r.caught, ".2f"), _interval(r.caught_interval)]
        shares += [number(r.rejected, ".2f"), number(r.rejected_harmless, ".2f")]
        shares += [number(r.actual), number(r.estimated)]
        alone = [number(r.alone[m]) if m in r.alone else "" for m in MEASURES]
        made.add_row(r.source, str(r.rows), str(r.losses), f"[bold]{number(r.auroc)}[/bold]", *shares, *alone)
    return made


def _read(rows: Sequence[Standing]) -> int:
    return max(r.read for r in rows)


def _on_read(rows: Sequence[Standing]) -> float:
    return max(rows, key=lambda r: r.read).detector_on_read


def _features(rows: Sequence[Standing]) -> Table:
    made = table("each feature alone: AUROC, the better direction", ["feature", "level", *_pools(rows)], left=2)
    for level, what in _LEVELS.items():
        pools = {r.source: r.alone for r in rows if r.level == level and r.source in _pools(rows)}
        for name in dict.fromkeys(n for alone in pools.values() for n in alone if n not in MEASURES):
            made.add_row(name, what, *(number(a[name]) if name in a else "" for a in pools.values()))
    return made


def _pools(rows: Sequence[Standing]) -> list[str]:
    """The pooled groups; the sources themselves where nothing was pooled."""
    names = list(dict.fromkeys(r.source for r in rows))
    return [n for n in names if n in ("rag", "chat", "tools", "all")] or names


def _curve(points: Sequence[Point]) -> Table:
    columns = ["level", "mode", *(f"{share:.0%}" for share in SHOWN)]
    made = table("share of the losses missed where this share of the harmless falls back", columns, left=2)
    for level, mode in dict.fromkeys((p.level, p.mode) for p in points):
        here = [p for p in points if (p.level, p.mode) == (level, mode)]
        missed = [min((p.missed for p in here if p.false_fallbacks <= share), default=1.0) for share in SHOWN]
        made.add_row(_LEVELS[level], mode, *(number(m) for m in missed))
    return made


def _product(rows: Sequence[Outcome]) -> Table:
    columns = ["source", "keep", "n", "needed", "missed", "95 %", "records", "95 %", "saved", "fallbacks"]
    columns += ["without: missed", "records", "saved"]
    caption = (
        "with the guardrail, then without one; n: records; needed: strings that could be lost; missed: share of them "
        "that stand nowhere in the output; records: share that lost any; saved: share of the unlocked tokens; "
        "fallbacks: share of the unlocked segments that came out whole against the goal"
    )
    made = table("product", columns, caption=caption)
    bare = {(r.source, r.keep): r for r in rows if not r.guarded}
    for r in rows:
        if r.guarded:
            cells = [number(r.miss_rate), _interval(r.interval), _harmed(r), _interval(r.records_interval)]
            cells += [f"{r.saved:.1%}", f"{r.fallbacks:.1%}"]
            other = bare[r.source, r.keep]
            cells += [number(other.miss_rate), _harmed(other), f"{other.saved:.1%}"]
            made.add_row(r.source, f"{r.keep:g}", str(r.records), str(r.at_risk), *cells)
    return made


def _harmed(row: Outcome) -> str:
    return number(row.records_lost / row.records) if row.records else "–"


def _attacks(rows: Sequence[AttackRow]) -> Table:
    tasks = sorted(dict.fromkeys(r.task for r in rows), key=[*TASKS, "all"].index)
    made = table(
        "adversaries: share rejected; harmless changes: share accepted", ["change", "right is", *tasks], left=2
    )
    for change, harmful in dict.fromkeys((r.change, r.harmful) for r in rows):
        here = {r.task: r for r in rows if (r.change, r.harmful) == (change, harmful)}
        cells = [f"{here[t].share:.1%} of {here[t].cases}" if t in here else "" for t in tasks]
        made.add_row(change, "to reject" if harmful else "to accept", *cells)
    return made


def _rewritten(rows: Sequence[RetellingRow]) -> Table:
    caption = (
        "retrieved text reworded by rule; all said: the output of the texts that were accepted one by one; left out: "
        "the sentences that hold what the question needs, and the same as an extract; others: one change in a text, by "
        "the rules for other words alone"
    )
    made = table(
        "in other words: share judged rightly", ["text", "right is", "n", "share", "95 %"], left=2, caption=caption
    )
    for r in rows:
        right = "to reject" if r.harmful else "to accept"
        made.add_row(r.what, right, str(r.cases), f"{r.share:.1%}", _interval(r.interval))
    return made


def _cost(rows: Sequence[Cost]) -> Table:
    columns = ["task", "records", "tokens", f"alone, s per {PER_TOKENS:,}", "guardrail, s", "ratio", "median ratio"]
    columns += ["whole call", "pairs asked", "pairs scored", "scorer calls"]
    caption = (
        "alone: compression without a guardrail; ratio: time inside the guardrail by that time; whole call: by that "
        "time too, with the attempts that rejections led to; asked: texts the scorer would get if every segment were "
        "judged by itself"
    )
    made = table("cost", columns, caption=caption)
    for r in rows:
        per = PER_TOKENS / r.tokens if r.tokens else float("nan")
        times = [number(r.bare * per), number(r.checks * per), number(r.ratio, ".2f"), number(r.median_ratio, ".2f")]
        times += [number(r.guarded / r.bare if r.bare else float("nan"), ".2f")]
        made.add_row(r.task, str(r.records), f"{r.tokens:,}", *times, str(r.asked), str(r.scored), str(r.batches))
    return made


def _interval(ends: tuple[float, float]) -> str:
    return f"[dim]{number(ends[0], '.2f')}–{number(ends[1], '.2f')}[/dim]"
