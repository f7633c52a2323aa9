"""Charts as SVG, written by hand: no plotting library, and the same bytes for the same figures.

Each chart is one self-contained picture with a title and a description for screen readers. Colours are told apart on
white and on dark ground and by colour-blind readers; lines also differ by their dashes and their marks. A reader who
prefers a dark page gets one, where the program that shows the picture says so (``prefers-color-scheme``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

from ._axes import Axis, Series, front_of, spread
from ._svg import INK, LINE, MUTED, SIZE, clipped, color, document, mark, number_of, text, width_of

__all__ = ["Axis", "Series", "bars", "front_of", "line_chart", "pareto", "percent"]

_WIDTH: Final = 900
_HEIGHT: Final = 500
_LEFT, _TOP, _BOTTOM = 64, 56, 64
_BAR_LEFT: Final = 190
_BAR_WIDTH: Final = 640
_ROW: Final = 30


def line_chart(
    title: str,
    series: Sequence[Series],
    *,
    x_label: str,
    y_label: str,
    x_axis: Axis | None = None,
    y_axis: Axis | None = None,
    note: str = "",
) -> str:
    """Lines through points, each named at its right end.

    Args:
        title: Above everything.
        series: The lines; points that are not finite are left out, and so is a line without any.
        x_label: What the horizontal axis shows, with its unit.
        y_label: The same of the vertical one.
        x_axis: How values are placed and written; default: linear, as numbers.
        y_axis: The same of the vertical one.
        note: A line under the picture.
    """
    return _chart(title, series, (x_label, y_label), (x_axis or Axis(), y_axis or Axis()), note, front=False)


def pareto(
    title: str,
    series: Sequence[Series],
    *,
    x_label: str,
    y_label: str,
    x_axis: Axis | None = None,
    y_axis: Axis | None = None,
    note: str = "",
) -> str:
    """A `line_chart` where less of x and more of y is better; the points that no other point beats are marked.

    Args:
        title: Above everything.
        series: The lines.
        x_label: What it costs.
        y_label: What it brings.
        x_axis: See `line_chart`.
        y_axis: See `line_chart`.
        note: A line under the picture; that the band marks the Pareto front is always said.
    """
    said = f"{note}; " if note else ""
    note = f"{said}wide band and rings: Pareto front (nothing else has as much with less)"
    return _chart(title, series, (x_label, y_label), (x_axis or Axis(), y_axis or Axis()), note, front=True)


def bars(title: str, groups: Sequence[tuple[str, Sequence[tuple[str, float]]]], form: Callable[[float], str]) -> str:
    """Horizontal bars. Each group has a scale of its own, from 0.

    Args:
        title: Above everything.
        groups: Each with a name and its bars: label and value, 0 or more. The last bar of a group is the one that
            counts.
        form: Writes a value.
    """
    rows: list[str] = [text(16, 28, title, weight="bold", size=16)]
    y = 44.0
    said = list[str]()
    for name, values in groups:
        y += 22
        rows.append(text(16, y, name, weight="bold"))
        most = max((value for _, value in values), default=0) or 1
        for index, (label, value) in enumerate(values):
            y += _ROW
            long = max(1.0, (_BAR_WIDTH - _BAR_LEFT - 110) * value / most)
            fill = color(0) if index == len(values) - 1 else "#7b8794"
            rows.append(text(_BAR_LEFT - 10, y, clipped(label, 26), anchor="end"))
            rows.append(f'<rect x="{_BAR_LEFT}" y="{y - 15:.1f}" width="{long:.1f}" height="20" fill="{fill}"/>')
            rows.append(text(_BAR_LEFT + long + 8, y, form(value)))
            said.append(f"{name}, {label}: {form(value)}")
        y += 12
    return document(_BAR_WIDTH, y + 16, title, "; ".join(said), rows)


def _chart(
    title: str, series: Sequence[Series], labels: tuple[str, str], axes: tuple[Axis, Axis], note: str, *, front: bool
) -> str:
    drawn = [(i, s.name, s.finite(*axes), s.strong) for i, s in enumerate(series)]
    drawn = [d for d in drawn if d[2]]
    every = [point for _, _, points, _ in drawn for point in points]
    right = 56 + max((width_of(clipped(name, 30)) for _, name, _, _ in drawn), default=0)
    width = max(_WIDTH, _LEFT + 560 + int(right))
    height = max(_HEIGHT, _TOP + _BOTTOM + SIZE * len(drawn) + SIZE)
    x = axes[0].scale([p[0] for p in every], _LEFT, width - right)
    y = axes[1].scale([p[1] for p in every], height - _BOTTOM, _TOP)
    rows = [text(16, 28, title, weight="bold", size=16), text(16, height - 12, note, tone=MUTED, size=12)]
    for value in x.ticks:
        rows.append(_rule(x(value), _TOP, x(value), height - _BOTTOM))
        rows.append(text(x(value), height - _BOTTOM + 18, axes[0].form(value), anchor="middle", size=12))
    for value in y.ticks:
        rows.append(_rule(_LEFT, y(value), width - right, y(value)))
        rows.append(text(_LEFT - 8, y(value) + 4, axes[1].form(value), anchor="end", size=12))
    rows.append(text((_LEFT + width - right) / 2, height - _BOTTOM + 36, labels[0], anchor="middle", tone=MUTED))
    rows.append(text(16, _TOP - 10, labels[1], tone=MUTED))
    best = front_of(every) if front else []
    if best:
        path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in best)
        rows.append(
            f'<polyline points="{path}" fill="none" stroke="{color(5)}" stroke-opacity="0.3" stroke-width="11" '
            'stroke-linejoin="round" stroke-linecap="round"/>'
        )
    ends = spread([y(points[-1][1]) for _, _, points, _ in drawn], SIZE, _TOP, height - _BOTTOM)
    for (index, name, points, strong), end in sorted(zip(drawn, ends, strict=True), key=lambda d: d[0][3]):
        rows += _line(index, name, [(x(a), y(b)) for a, b in points], points, axes, strong)
        last = x(points[-1][0]), y(points[-1][1])
        start = width - right + 12
        rows.append(
            f'<polyline points="{last[0] + 7:.1f},{last[1]:.1f} {start:.1f},{end:.1f} {start + 8:.1f},{end:.1f}" '
            f'fill="none" stroke="{color(index)}" stroke-opacity="0.45" stroke-width="1"/>'
        )
        rows.append(mark(index, start + 16, end))
        weight = "bold" if strong else "normal"
        rows.append(text(start + 26, end + 4, clipped(name, 30), weight=weight))
    rows += [
        f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="8.5" fill="none" stroke="{color(5)}" stroke-width="2"/>'
        for a, b in best
    ]
    said = [f"{name}: " + ", ".join(_said(p, axes) for p in points) for _, name, points, _ in drawn]
    return document(width, height, title, f"{labels[1]} by {labels[0]}. " + "; ".join(said), rows)


def _line(
    index: int,
    name: str,
    places: Sequence[tuple[float, float]],
    points: Sequence[tuple[float, float]],
    axes: tuple[Axis, Axis],
    strong: bool,
) -> list[str]:
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
    dashes = ("", ' stroke-dasharray="7 4"', ' stroke-dasharray="2 3"')[index // len(LINE) % 3]
    line = (
        f'<polyline points="{path}" fill="none" stroke="{color(index)}" stroke-width="{3 if strong else 1.6}"'
        f'{dashes} stroke-linejoin="round"/>'
    )
    marks = [
        mark(index, a, b, said=f"{name}: {_said(point, axes)}") for (a, b), point in zip(places, points, strict=True)
    ]
    return [line, *marks]


def _said(point: tuple[float, float], axes: tuple[Axis, Axis]) -> str:
    return f"{axes[1].form(point[1])} at {axes[0].form(point[0])}"


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="cx-rule" stroke="{INK}" '
        'stroke-opacity="0.13"/>'
    )


def percent(value: float) -> str:
    """A share as per cent, for `Axis.form`."""
    return f"{number_of(100 * value)} %" if math.isfinite(value) else "–"
