"""Tables for people, and one JSON file for everything else."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from .summary import EVIDENCE, GuardrailRow, MethodRow, SetRow, Summary

SMALL = 60
"""Sets with fewer records are shown with an interval."""

EXTRA = ("support", "older")
"""Further scores that are shown, of the first method; the JSON file has them all."""


def show(summary: Summary, console: Console) -> None:
    """Print one table of sets per keep, one of methods, and the guardrail's."""
    for keep in dict.fromkeys(row.keep for row in summary.sets):
        console.print(_sets_table(keep, [row for row in summary.sets if row.keep == keep]))
    console.print(_methods_table(summary.methods))
    if summary.guardrail:
        console.print(_guardrail_table(summary.guardrail))


def table(title: str, columns: Sequence[str], left: int = 1, caption: str | None = None) -> Table:
    """An empty table: the first ``left`` columns aligned left, the others right."""
    made = Table(title=title, caption=caption, box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    made.title_justify = made.caption_justify = "left"
    made.title_style = "bold"
    for i, column in enumerate(columns):
        made.add_column(column, justify="left" if i < left else "right", overflow="fold", no_wrap=i < left)
    return made


def number(value: float, form: str = ".3f") -> str:
    """A number, or a dash where there is none."""
    return format(value, form) if math.isfinite(value) else "–"


def _interval(low: float, high: float) -> str:
    return f"[dim]{number(low, '.2f')}–{number(high, '.2f')}[/dim]"


def _sets_table(keep: float, rows: Sequence[SetRow]) -> Table:
    methods = list(dict.fromkeys(row.method for row in rows))
    notes = [f"95 % bootstrap interval for sets of fewer than {SMALL} records"] if any(map(_is_small, rows)) else []
    if any(row.scored_by == (EVIDENCE,) for row in rows):
        notes.append("* scored by evidence, not part of the means")
    extra = [name for name in EXTRA if any(name in row.scores for row in rows)]
    columns = ["set", "scored by", "n", *methods, *(f"{name} ({methods[0]})" for name in extra)]
    made = table(f"keep {keep:g}", columns, left=2, caption="; ".join(notes) or None)
    for name in dict.fromkeys(row.set_name for row in rows):
        of_set = {row.method: row for row in rows if row.set_name == name}
        first = of_set[methods[0]]
        best = max((r.score for r in of_set.values() if math.isfinite(r.score)), default=math.nan)
        cells = [name + ("*" if first.scored_by == (EVIDENCE,) else ""), "+".join(first.scored_by), str(first.records)]
        cells += [_score(of_set[m], best) for m in methods]
        made.add_row(*cells, *(number(first.scores.get(e, math.nan)) for e in extra))
    return made


def _is_small(row: SetRow) -> bool:
    return row.records < SMALL


def _score(row: SetRow, best: float) -> str:
    text = number(row.score)
    if row.score == best:
        text = f"[bold]{text}[/bold]"
    return f"{text} {_interval(*row.interval)}" if _is_small(row) else text


def _methods_table(rows: Sequence[MethodRow]) -> Table:
    first = rows[0].method
    others = any(math.isfinite(row.other) for row in rows)
    evidence = any(math.isfinite(row.evidence) for row in rows)
    columns = [
        "keep",
        "method",
        "English",
        "95 %",
        f"{first} ahead",
        *(["other", "all", f"{first} ahead"] if others else []),
    ]
    columns += [EVIDENCE] if evidence else []
    columns += ["kept", "tokens/s", "forced", "over budget", "locked changed"]
    caption = (
        "ahead: difference of the means and its 95 % interval, records in pairs; kept: share of the unlocked tokens, "
    )
    caption += (
        "counted on the output; tokens/s: input tokens, whole path; forced: segments cut against a verdict or to size"
    )
    made = table("means of the sets", columns, left=2, caption=caption)
    for i, row in enumerate(rows):
        cells = [
            f"{row.keep:g}",
            row.method,
            number(row.english),
            _interval(*row.english_interval),
            _gain(row.english_gain),
        ]
        cells += [number(row.other), number(row.all_sets), _gain(row.all_gain)] if others else []
        cells += [number(row.evidence)] if evidence else []
        cells += [f"{row.kept:.1%}", f"{row.tokens_per_second:,.0f}", str(row.actions.get("forced", 0))]
        cells += [_alarm(row.over_budget), _alarm(row.broken)]
        made.add_row(*cells, end_section=i + 1 == len(rows) or rows[i + 1].keep != row.keep)
    return made


def _gain(gain: tuple[float, float, float]) -> str:
    value, low, high = gain
    return f"{value:+.3f} [dim]{number(low, '+.2f')}…{number(high, '+.2f')}[/dim]" if math.isfinite(value) else "–"


def _alarm(count: int) -> str:
    return f"[bold red]{count}[/bold red]" if count else "0"


def _guardrail_table(rows: Sequence[GuardrailRow]) -> Table:
    columns = [
        "keep",
        "accepted",
        "rejected",
        "fallback",
        "forced",
        "calls",
        "lost",
        "AUROC",
        "segments",
        "lost",
        "AUROC",
    ]
    made = table(
        "guardrail",
        columns,
        caption="attempts accepted and rejected; segments that fell back or were forced by the budget; then the first "
        "attempt's risk against what it had lost: by call (highest verdict) and by segment",
    )
    for row in rows:
        made.add_row(
            "all" if row.keep is None else f"{row.keep:g}",
            str(row.accepted),
            str(row.rejected),
            str(row.fallback),
            str(row.forced),
            str(row.calls),
            str(row.lost),
            number(row.auroc),
            str(row.segments),
            str(row.segments_lost),
            number(row.segments_auroc),
        )
    return made
