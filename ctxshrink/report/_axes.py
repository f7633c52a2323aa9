"""Where things stand in a chart: axes, their ticks, the Pareto front, and labels that do not overlap."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ._svg import number_of

Point: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis of one chart: values to pixels.

    Attributes:
        low: The least value on it, in the axis' own measure (logarithms on a logarithmic one).
        high: The largest.
        start: The pixel of ``low``.
        end: The pixel of ``high``.
        log: It is logarithmic.
        ticks: Values that are written.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool
    ticks: tuple[float, ...]

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        place = math.log10(value) if self.log else value
        return self.start + (place - self.low) / (self.high - self.low) * (self.end - self.start)


@dataclass(frozen=True, slots=True)
class Axis:
    """How the values of an axis are placed and written.

    Attributes:
        log: Logarithmic; values of 0 and less are left out.
        form: Writes a value.
        low: Where a linear axis begins at the latest, or None for the least value.
        high: Where it ends at the earliest, or None.
    """

    log: bool = False
    form: Callable[[float], str] = number_of
    low: float | None = None
    high: float | None = None

    def shows(self, value: float) -> bool:
        """Whether a value has a place on it."""
        return math.isfinite(value) and (value > 0 or not self.log)

    def scale(self, values: Sequence[float], start: float, end: float) -> Scale:
        """The axis for these values, between two pixels."""
        ends = [v for v in (self.low, self.high) if v is not None and self.shows(v)]
        wanted = [*values, *ends] or [1.0, 10.0]
        if self.log:
            # What is a hair beyond a power of ten needs no further decade.
            low, high = math.floor(math.log10(min(wanted)) + 0.02), math.ceil(math.log10(max(wanted)) - 0.02)
            high = max(high, low + 1)
            step = max(1, math.ceil((high - low) / 8))
            return Scale(low, high, start, end, True, tuple(10.0**e for e in range(low, high + 1, step)))
        low, high = min(wanted), max(wanted)
        if high - low < 1e-9:
            low, high = low - 0.5, high + 0.5
        step = _nice((high - low) / 6)
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        ticks = tuple(round(i * step, 12) for i in range(first, last + 1))
        return Scale(ticks[0], ticks[-1], start, end, False, ticks)


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart.

    Attributes:
        name: Beside its right end.
        points: (x, y), in any order.
        strong: Drawn thicker and above the others.
    """

    name: str
    points: Sequence[Point]
    strong: bool = False

    def finite(self, x: Axis, y: Axis) -> list[Point]:
        """The points that have a place on both axes, from left to right."""
        return sorted(p for p in self.points if x.shows(p[0]) and y.shows(p[1]))


def front_of(points: Sequence[Point]) -> list[Point]:
    """The Pareto front: the points that no other has at least as much of y with at most as much of x; by rising x."""
    front: list[Point] = []
    for point in sorted(set(points), key=lambda p: (p[0], -p[1])):
        if not front or point[1] > front[-1][1]:
            front.append(point)
    return front


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places of labels, moved apart as little as one pass each way does, so that none is nearer than ``gap``.

    Args:
        places: Where the labels would like to be, in any order.
        gap: Least distance.
        low: No label above this pixel.
        high: No label below it, unless there are too many: then they go on beyond it.
    """
    order = sorted(range(len(places)), key=lambda i: (places[i], i))
    found = [min(max(places[i], low), high) for i in order]
    ceiling = max(high, low + gap * (len(found) - 1))
    for i in range(1, len(found)):
        found[i] = max(found[i], found[i - 1] + gap)
    for i in reversed(range(len(found))):
        most = ceiling if i == len(found) - 1 else found[i + 1] - gap
        found[i] = min(found[i], most)
    back = [0.0] * len(places)
    for place, i in zip(found, order, strict=True):
        back[i] = place
    return back


def _nice(step: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(f * power for f in (1.0, 2.0, 2.5, 5.0, 10.0) if f * power >= step * 0.999)
