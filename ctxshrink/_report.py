"""A result as a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .result import ShrinkResult
from .types import Action, Decision

ROWS: Final = 40
"""Most segments that a table shows."""

STYLES: Final[dict[Action, str]] = {
    "locked": "cyan",
    "kept": "green",
    "compressed": "yellow",
    "emptied": "dim",
    "fallback": "bold magenta",
    "forced": "bold red",
}

WHY: Final = 110
"""Most characters of a reason that a table shows."""


def shorten(reason: str) -> str:
    """A reason on one line of bounded length: what is long are quotations, and behind them stands the risk."""
    line = " ".join(reason.split())
    if len(line) <= WHY:
        return line
    _, mark, end = line.rpartition("; ")
    if not mark or len(end) > WHY // 2:
        mark = end = ""
    return line[: WHY - 1 - len(mark + end)] + "…" + mark + end


def segments_table(
    decisions: Sequence[Decision], title: str | None = None, names: Sequence[str] = (), narrow: bool = False
) -> Table:
    """One row per segment: what it is, what happened to it, its tokens, and why.

    Args:
        decisions: What to show; `ROWS` of them at most.
        title: Above the table.
        names: Shown in place of the segments' ids; one per decision.
        narrow: Leave out age and risk, which the reasons tell as well.
    """
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.title_justify = table.caption_justify = "left"
    table.title_style = "bold"
    table.add_column("segment", no_wrap=True, max_width=16 if narrow else 24, overflow="ellipsis")
    table.add_column("kind", no_wrap=True)
    if not narrow:
        table.add_column("age", justify="right", no_wrap=True)
    table.add_column("action", no_wrap=True)
    table.add_column("tokens", justify="right", no_wrap=True)
    if not narrow:
        table.add_column("risk", justify="right", no_wrap=True)
    table.add_column("why", overflow="fold")
    for i, d in enumerate(decisions[:ROWS]):
        style = STYLES[d.action]
        before, after = d.tokens_before, d.tokens_after
        age = "" if d.segment.kind == "document" else str(d.segment.age)
        risk = "" if d.verdict is None else f"{d.verdict.score:.2f}"
        table.add_row(
            escape(names[i] if names else d.segment.id),
            d.segment.kind.replace("_", " "),
            *([] if narrow else [age]),
            f"[{style}]{d.action}[/{style}]",
            str(before) if before == after else f"{before} → {after}",
            *([] if narrow else [risk]),
            escape(shorten(d.reason)),
        )
    if len(decisions) > ROWS:
        table.caption = f"… and {len(decisions) - ROWS} more; --json lists them all"
    return table


def is_narrow(console: Console) -> bool:
    """True where the whole table would squeeze the reasons."""
    return console.width < 110


def summary_line(result: ShrinkResult[Any]) -> str:
    """Gross tokens before and after, and who counted them."""
    counted = "exact for that model" if result.exact else "an estimate for any other model"
    return (
        f"{result.tokens_before:,} → {result.tokens_after:,} tokens: {result.kept_share:.0%} kept, {result.saved:,} "
        f"saved gross (locked text included), counted by {result.counter}, {counted}; {result.seconds:.2f} s"
    )


def show_result(result: ShrinkResult[Any], console: Console) -> None:
    """Print the table, the warnings and the summary."""
    console.print(segments_table(result.decisions, narrow=is_narrow(console)))
    for warning in result.warnings:
        console.print(f"[yellow]warning:[/yellow] {escape(warning)}", soft_wrap=True)
    console.print(summary_line(result), markup=False, soft_wrap=True)
