"""Bars of bytes."""

from __future__ import annotations

from collections.abc import Sequence

from ctxshrink.report import plots

__all__ = ["bars", "size_of"]


def size_of(count: float) -> str:
    """Bytes as people read them, in units of 1024."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:,.0f} {unit}" if unit == "B" else f"{count:,.1f} {unit}"
        count /= 1024
    return f"{count:,.1f} TiB"


def bars(title: str, groups: Sequence[tuple[str, Sequence[tuple[str, int]]]]) -> str:
    """An SVG picture of horizontal bars, see `ctxshrink.report.plots.bars`.

    Args:
        title: Above everything.
        groups: Each with a name and its bars: label and bytes.
    """
    return plots.bars(title, groups, size_of)
