"""Every method against every other on the same records at the same share: wins, losses, ties, and whether by chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import Any, Final

from rich.table import Table

from .report import table
from .run import Observation
from .stats import mean, stratified_interval
from .summary import EVIDENCE, plain

SAME: Final = 1e-9
"""Scores that are nearer than this are a tie."""
LEVEL: Final = 0.05
"""Below it a difference is called more than chance."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two methods at one share, over all sets that are scored by exact answers.

    Attributes:
        keep: Asked share.
        first: A method.
        second: Another.
        wins: Records on which the first scores higher.
        losses: Records on which the second does.
        ties: The others.
        sign: Two-sided p of the exact sign test: how often wins and losses fall at least so far apart when both are
            equally likely; ties are left out (Conover, Practical Nonparametric Statistics, section 3.4).
        adjusted: ``sign`` after Holm's correction for all pairs of this share (Scand. J. Statist. 6, 1979).
        difference: Mean of the sets' means of the first's score minus the second's.
        interval: 95 % bootstrap interval of ``difference``, records resampled in pairs within their sets.
        over: Records that are left out, because the one or the other had more tokens than the budget.
        kept: Share of the unlocked tokens that the first and the second kept.
    """

    keep: float
    first: str
    second: str
    wins: int
    losses: int
    ties: int
    sign: float
    adjusted: float
    difference: float
    interval: tuple[float, float]
    over: int
    kept: tuple[float, float]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return plain(asdict(self))


def pairs(observations: Sequence[Observation], seed: int = 0) -> list[Pair]:
    """All pairs of methods at each share.

    Args:
        observations: From `ctxshrink.bench.run.run`: the same records for all methods of a share.
        seed: Of the bootstrap.
    """
    groups: dict[tuple[float, str], dict[str, list[Observation]]] = {}
    for o in observations:
        if list(o.scores)[1:2] != [EVIDENCE] and "score" in o.scores:
            groups.setdefault((o.keep, o.method), {}).setdefault(o.set_name, []).append(o)
    found: list[Pair] = []
    for keep in dict.fromkeys(keep for keep, _ in groups):
        names = [method for at, method in groups if at == keep]
        raw = [_pair(keep, (a, groups[keep, a]), (b, groups[keep, b]), seed) for a, b in combinations(names, 2)]
        found += [replace(pair, adjusted=p) for pair, p in zip(raw, holm([r.sign for r in raw]), strict=True)]
    return found


def sign_test(wins: int, losses: int) -> float:
    """Two-sided p of the exact sign test; 1 without wins and losses."""
    n, few = wins + losses, min(wins, losses)
    # Exact in whole numbers: the tail may hold hundreds of digits.
    tail = sum(math.comb(n, i) for i in range(few + 1))
    return min(1.0, 2 * tail / 2**n)


def holm(values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: p values such that the smallest of ``m`` is multiplied by m, the next by m - 1."""
    found, most = [0.0] * len(values), 0.0
    for rank, i in enumerate(sorted(range(len(values)), key=lambda i: (values[i], i))):
        most = max(most, min(1.0, values[i] * (len(values) - rank)))
        found[i] = most
    return found


def wins_table(found: Sequence[Pair], keep: float) -> Table:
    """Who beats whom at one share: a line and a column for each method."""
    own = [p for p in found if p.keep == keep]
    names = list(dict.fromkeys(name for p in own for name in (p.first, p.second)))
    cells = {(p.first, p.second): _cell(p.wins, p.losses, p.adjusted) for p in own}
    cells |= {(p.second, p.first): _cell(p.losses, p.wins, p.adjusted) for p in own}
    made = table(
        f"wins and losses, keep {keep:g}",
        ["", *names],
        caption="records on which the method of the line scores higher – lower than that of the column, the rest are "
        "ties; records on which either was over the budget are left out; bold: ahead by more than chance (sign test, "
        f"p < {LEVEL:g} after Holm's correction)",
    )
    for name in names:
        made.add_row(name, *(cells.get((name, other), "") for other in names))
    return made


def _cell(wins: int, losses: int, p: float) -> str:
    text = f"{wins}–{losses}"
    return f"[bold]{text}[/bold]" if p < LEVEL and wins > losses else text


def _pair(
    keep: float, first: tuple[str, dict[str, list[Observation]]], second: tuple[str, dict[str, list[Observation]]],
    seed: int,
) -> Pair:  # fmt: skip
    sets = [list(zip(ours, second[1][name], strict=True)) for name, ours in first[1].items() if name in second[1]]
    equal = [[(a, b) for a, b in records if not (a.over > 0 or b.over > 0)] for records in sets]
    differences = [[a.scores["score"] - b.scores["score"] for a, b in records] for records in equal if records]
    every = [d for group in differences for d in group]
    wins, losses = sum(d > SAME for d in every), sum(d < -SAME for d in every)
    both = [[o for group in side[1].values() for o in group] for side in (first, second)]
    over = sum(map(len, sets)) - len(every)
    return Pair(
        keep, first[0], second[0], wins, losses, len(every) - wins - losses, sign_test(wins, losses), math.nan,
        mean([mean(d) for d in differences]), stratified_interval(differences, seed), over,
        (_kept(both[0]), _kept(both[1])),
    )  # fmt: skip


def _kept(group: Sequence[Observation]) -> float:
    before = sum(o.free_before for o in group)
    return sum(o.free_after for o in group) / before if before else 1.0
