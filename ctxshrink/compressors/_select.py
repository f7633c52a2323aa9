"""Pooled greedy selection of units under a budget, gaps and dependencies counted in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ctxshrink.compressors._index import Index


@dataclass(frozen=True, slots=True)
class Costs:
    """What a segment costs besides its units.

    Attributes:
        total: Tokens of the original.
        full: Tokens of all its units as they are laid out; at most `total`.
        empty: Tokens of the text that an emptied segment leaves.
        gap: Tokens of one omission marker.
    """

    total: int
    full: int
    empty: int
    gap: int


class Selection:
    """Which units are kept, and what that costs by estimate.

    Args:
        idx: The units.
        costs: Costs of the segments that may be selected from, by place in the call.
    """

    def __init__(self, idx: Index, costs: Mapping[int, Costs]) -> None:
        self._idx = idx
        self._costs = costs
        self._segment: list[int] = idx.segment.tolist()
        self._tokens: list[int] = idx.tokens.tolist()
        self._offset: list[int] = idx.offset.tolist()
        self.kept = bytearray(idx.size)
        self.count = dict.fromkeys(costs, 0)
        self.used = {s: c.empty for s, c in costs.items()}
        self.total = sum(self.used.values())

    def fill(self, order: list[int], budget: int, caps: Mapping[int, int], *, in_turn: bool = False) -> None:
        """Takes units in the given order while they fit into the budget and their segment's cap.

        Args:
            order: Units, best first.
            budget: Most tokens in all.
            caps: Most tokens of each segment, by place.
            in_turn: A segment is done with its first unit that does not fit: what ranks behind it does not take its
                place just because it is smaller.
        """
        done: set[int] = set()
        for unit in order:
            if self.total >= budget:
                return
            s = self._segment[unit]
            if self.kept[unit] or s in done:
                continue
            room = self.used[s] + (self._tokens[unit] if self.count[s] else 0) <= caps[s]
            if not (room and self._take(unit, s, budget, caps[s])) and in_turn:
                done.add(s)

    def close_gaps(self) -> None:
        """Puts the original back wherever it costs no more than the marker that stands for it."""
        for s, cost in self._costs.items():
            first, end = self._offset[s], self._offset[s + 1]
            if not self.count[s] or self.count[s] == end - first or not cost.gap:
                continue
            start = first
            while start < end:
                if self.kept[start]:
                    start += 1
                    continue
                stop = start
                tokens = 0
                while stop < end and not self.kept[stop]:
                    tokens += self._tokens[stop]
                    stop += 1
                if tokens <= cost.gap:
                    self.kept[start:stop] = b"\x01" * (stop - start)
                    self.count[s] += stop - start
                    self._charge(s, tokens - cost.gap)
                start = stop

    def units(self, segment: int) -> list[int]:
        """Kept units of a segment, counted from its first."""
        first, end = self._offset[segment], self._offset[segment + 1]
        return np.flatnonzero(np.frombuffer(self.kept, dtype=np.uint8)[first:end]).tolist()

    def _take(self, unit: int, s: int, budget: int, cap: int) -> bool:
        """Keeps a unit and those it hangs on, or nothing when that does not fit; says which."""
        chain = [unit]
        parent = self._idx.parent[unit]
        while parent >= 0 and not self.kept[parent]:
            chain.append(parent)
            parent = self._idx.parent[parent]
        cost = self._costs[s]
        first, last = self._offset[s], self._offset[s + 1] - 1
        delta = 0 if self.count[s] else cost.gap - cost.empty  # an emptied segment is one gap without a marker
        for u in chain:
            left = u == first or self.kept[u - 1]
            right = u == last or self.kept[u + 1]
            delta += self._tokens[u] + (1 - bool(left) - bool(right)) * cost.gap
            self.kept[u] = 1
        if self.total + delta > budget or self.used[s] + delta > cap:
            for u in chain:
                self.kept[u] = 0
            return False
        self.count[s] += len(chain)
        self._charge(s, delta)
        return True

    def _charge(self, s: int, delta: int) -> None:
        self.used[s] += delta
        self.total += delta


def ranking(key: NDArray[np.float64], allowed: NDArray[np.bool_]) -> list[int]:
    """Allowed units by descending key, ties by position."""
    places = np.flatnonzero(allowed)
    return places[np.argsort(-key[places], kind="stable")].tolist()
