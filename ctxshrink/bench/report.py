"""Tables for people, and one JSON file for everything else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .compare import Comparison
from .standings import BESIDE, SetStanding, Standing
from .summary import EVIDENCE, GuardrailRow, SetRow, Summary

SMALL = 60
"""Sets with fewer records are shown with an interval."""

EXTRA = ("answers", "facts", "support", "older")
"""Further scores that are shown, of the first method; the JSON file has them all."""


def show(summary: Summary, console: Console) -> None:
    """Print one table of sets per keep, one of methods, and the guardrail's."""
    for keep in dict.fromkeys(row.keep for row in summary.sets):
        behind = [row for row in summary.set_standings if row.keep == keep and row.behind]
        console.print(_sets_table(keep, [row for row in summary.sets if row.keep == keep], behind))
    console.print(methods_table(summary))
    for standing in summary.standings:
        of_keep = [row for row in summary.set_standings if row.keep == standing.keep]
        console.print(_standing(standing, of_keep), soft_wrap=True)
    if summary.guardrail:
        console.print(_guardrail_table(summary.guardrail))


def show_comparison(found: Comparison, console: Console) -> None:
    """Print how long everybody takes, then memory and cold start of ctxshrink alone."""
    made = table(
        f"contexts of {found.tokens:,.0f} tokens by the encoder's tokenizer, {found.own_tokens:,.0f} by ctxshrink's",
        ["method", "best s", "median s", "best / ours", "median / ours", "kept", "what was run"],
        caption=f"ours: {found.timings[0].name}; methods take turns in one process, every timing on text of its own",
    )
    made.columns[-1].justify = "left"
    for t in found.timings:
        ratios = f"{t.best_ratio:.2f}", f"{t.median_ratio:.2f}"
        made.add_row(t.name, f"{t.best:.3f}", f"{t.median:.3f}", *ratios, f"{t.kept:.0%}", t.note)
    console.print(made)
    for skipped in found.skipped:
        console.print(f"skipped: {skipped.name}: {skipped.reason}", markup=False, soft_wrap=True)
    for guardrail, mib in found.peak_mib.items():
        console.print(f"peak memory of a fresh process, guardrail {guardrail}: {mib:,.0f} MiB")
    ways = [
        (label, pick(found.cold_files), pick(found.cold_shrink)) for label, pick in (("best", min), ("median", median))
    ]
    for label, files, shrink in ways:
        console.print(
            f"cold start, {label} of {len(found.cold_files)}: first call {shrink:.2f} s, "
            f"onnxruntime and the model files alone {files:.2f} s: {shrink / files:.2f} times",
            soft_wrap=True,
        )


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


def _sets_table(keep: float, rows: Sequence[SetRow], behind: Sequence[SetStanding]) -> Table:
    methods = list(dict.fromkeys(row.method for row in rows))
    notes = [f"95 % bootstrap interval for sets of fewer than {SMALL} records"] if any(map(_is_small, rows)) else []
    if any(row.scored_by == (EVIDENCE,) for row in rows):
        notes.append("* scored by evidence, not part of the means")
    if behind:
        notes.append(
            f"behind: {methods[0]} minus the set's best baseline, or {BESIDE} in other languages, with its 95 % "
            "interval, records in pairs"
        )
    extra = [name for name in EXTRA if any(name in row.scores and row.scored_by != (name,) for row in rows)]
    columns = [
        "set",
        "scored by",
        "n",
        *methods,
        *(["behind"] if behind else []),
        *(f"{e} ({methods[0]})" for e in extra),
    ]
    made = table(f"keep {keep:g}", columns, left=2, caption="; ".join(notes) or None)
    for name in dict.fromkeys(row.set_name for row in rows):
        of_set = {row.method: row for row in rows if row.set_name == name}
        first = of_set[methods[0]]
        best = max((r.score for r in of_set.values() if math.isfinite(r.score)), default=math.nan)
        cells = [
            escape(name) + ("*" if first.scored_by == (EVIDENCE,) else ""),
            "+".join(first.scored_by),
            str(first.records),
        ]
        cells += [_score(of_set[m], best) for m in methods]
        cells += ["\n".join(_behind(row) for row in behind if row.set_name == name)] if behind else []
        made.add_row(*cells, *(number(first.scores.get(e, math.nan)) for e in extra))
    return made


def _behind(row: SetStanding) -> str:
    who = row.baseline if row.english else f"{row.lang}, {row.baseline}"
    text = f"{_gain((row.difference, *row.interval))} {who}"
    return f"[bold red]{text}[/bold red]" if row.beyond_noise else text


def _is_small(row: SetRow) -> bool:
    return row.records < SMALL


def _score(row: SetRow, best: float) -> str:
    text = number(row.score)
    if row.score == best:
        text = f"[bold]{text}[/bold]"
    return f"{text} {_interval(*row.interval)}" if _is_small(row) else text


def methods_table(summary: Summary) -> Table:
    """The means of every method at every keep."""
    rows, first = summary.methods, summary.methods[0].method
    best = {(standing.keep, standing.baseline) for standing in summary.standings}
    others = any(math.isfinite(row.other) for row in rows)
    evidence = any(math.isfinite(row.evidence) for row in rows)
    columns = [
        "keep",
        "method",
        "English",
        "95 %",
        "lost",
        f"{first} ahead",
        *(["other", "all", f"{first} ahead"] if others else []),
    ]
    columns += [EVIDENCE] if evidence else []
    columns += ["kept", "tokens/s", "s/record", "forced", "failed", "over budget", "locked changed"]
    caption = (
        f"lost: what {first} loses for each answer that this method loses, English; bold: the best baseline; "
        "ahead: difference of the means and its 95 % interval, records in pairs; kept: share of the unlocked tokens, "
        "counted on the output; tokens/s: input tokens, whole path; forced: segments cut against a verdict or to size; "
        "failed: attempts that raised"
    )
    made = table("means of the sets", columns, left=2, caption=caption)
    for i, row in enumerate(rows):
        cells = [
            f"{row.keep:g}",
            row.method,
            number(row.english),
            _interval(*row.english_interval),
            f"[bold]{number(row.lost_ratio, '.2f')}[/bold]"
            if (row.keep, row.method) in best
            else number(row.lost_ratio, ".2f"),
            _gain(row.english_gain),
        ]
        cells += [number(row.other), number(row.all_sets), _gain(row.all_gain)] if others else []
        cells += [number(row.evidence)] if evidence else []
        cells += [f"{row.kept:.1%}", f"{row.tokens_per_second:,.0f}", f"{row.seconds_per_record:.2f}"]
        cells += [str(row.actions.get("forced", 0)), _alarm(row.failed), _alarm(row.over_budget), _alarm(row.broken)]
        made.add_row(*cells, end_section=i + 1 == len(rows) or rows[i + 1].keep != row.keep)
    return made


def _standing(standing: Standing, sets: Sequence[SetStanding]) -> str:
    """What the first method loses beside the best baseline, and how many sets are behind."""
    low, high = standing.interval
    text = (
        f"keep {standing.keep:g}, English: loses {1 - standing.ours:.3f}, the best baseline ({standing.baseline}) "
        f"{1 - standing.theirs:.3f}: lost vs best baseline [bold]{number(standing.ratio, '.2f')}[/bold] "
        f"({number(low, '.2f')}–{number(high, '.2f')})"
    )
    for where, rows in (
        ("English sets", [s for s in sets if s.english]),
        ("other languages", [s for s in sets if not s.english]),
    ):
        if rows:
            behind, beyond = sum(s.behind for s in rows), sum(s.beyond_noise for s in rows)
            text += f"; {where} behind: {behind} of {len(rows)}, {_alarm(beyond)} by more than noise"
    return text


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
