"""Bars of bytes as SVG, written by hand: no plotting library, the same bytes for the same figures."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

__all__ = ["bars", "size_of"]

_WIDTH: Final = 640
_LEFT: Final = 190
_ROW: Final = 30
_COLORS: Final = ("#5b6b7b", "#1f77b4")


def size_of(count: float) -> str:
    """Bytes as people read them, in units of 1024."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:,.0f} {unit}" if unit == "B" else f"{count:,.1f} {unit}"
        count /= 1024
    return f"{count:,.1f} TiB"


def bars(title: str, groups: Sequence[tuple[str, Sequence[tuple[str, int]]]]) -> str:
    """An SVG picture of horizontal bars. Each group has a scale of its own, from 0.

    Args:
        title: Above everything.
        groups: Each with a name and its bars: label and bytes. The last bar of a group is the one that counts.
    """
    rows: list[str] = [_text(16, 28, title, weight="bold", size=16)]
    y = 44
    for name, values in groups:
        y += 22
        rows.append(_text(16, y, name, weight="bold"))
        most = max((count for _, count in values), default=0) or 1
        for index, (label, count) in enumerate(values):
            y += _ROW
            width = max(1.0, (_WIDTH - _LEFT - 110) * count / most)
            color = _COLORS[index == len(values) - 1]
            rows.append(_text(_LEFT - 10, y, label, anchor="end"))
            rows.append(f'<rect x="{_LEFT}" y="{y - 15}" width="{width:.1f}" height="20" fill="{color}"/>')
            rows.append(_text(_LEFT + width + 8, y, size_of(count)))
        y += 12
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{y + 16}" '
        f'viewBox="0 0 {_WIDTH} {y + 16}" font-family="sans-serif" role="img">'
    )
    back = f'<rect width="{_WIDTH}" height="{y + 16}" fill="white"/>'
    return "\n".join([head, f"<title>{escape(title)}</title>", back, *rows, "</svg>"]) + "\n"


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal", size: int = 13) -> str:
    style = f'text-anchor="{anchor}" font-weight="{weight}" font-size="{size}" fill="#222"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'
