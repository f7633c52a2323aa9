"""What a calibration does to records that it was not fitted on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ctxshrink.errors import ConfigError

from .fit import ModeFit, fit_mode
from .intervals import Estimate, at_least_exact, ratio
from .observations import Observation, by_record

FOLDS: Final = 5


@dataclass(frozen=True, slots=True)
class Outcome:
    """One way of accepting outputs, over held-out records. What is rejected counts as not compressed at all.

    A guardrail in use does better than that: it tries a softer compression first.

    Attributes:
        miss_rate: Share of the needed strings that was lost, the mean over records and keeps.
        savings: Share of the tokens that was saved.
        acceptance: Share of the outputs that was accepted.
    """

    miss_rate: Estimate
    savings: Estimate
    acceptance: Estimate

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "miss_rate": self.miss_rate.to_dict(),
            "savings": self.savings.to_dict(),
            "acceptance": self.acceptance.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class Validation:
    """Outcomes of one mode.

    Attributes:
        records: Records.
        needed: Needed strings in them.
        calibrated: Each record judged by a fit on other folds; over all keeps.
        shipped: By the guardrail as shipped.
        unguarded: Everything accepted.
        by_keep: Calibrated, shipped and unguarded at each keep, rising.
    """

    records: int
    needed: int
    calibrated: Outcome
    shipped: Outcome
    unguarded: Outcome
    by_keep: Mapping[float, tuple[Outcome, Outcome, Outcome]]


def held_out(
    observations: Sequence[Observation], max_miss_rate: float, shipped: float, *, certified: bool
) -> list[bool]:
    """What a calibration on the other folds accepts, for each observation.

    Arguments as in `fit_mode`. Folds hold whole groups, dealt in the order of the groups' hashes.

    Raises:
        ConfigError: All are of one group.
    """
    groups = sorted({o.group for o in observations}, key=_hash)
    if len(groups) < 2:
        raise ConfigError(
            f'all records are of one group, "{groups[0]}": a calibration is tested on groups that it was not fitted '
            'on; give records that do not belong together different "group" fields, or none'
        )
    fold = {group: i % FOLDS for i, group in enumerate(groups)}
    fits: dict[int, ModeFit] = {}
    for number in set(fold.values()):
        rest = [o for o in observations if fold[o.group] != number]
        fits[number] = fit_mode(rest, max_miss_rate, shipped, certified=certified)
    return [fits[fold[o.group]].accepts(o.risk) for o in observations]


def _hash(group: str) -> bytes:
    return hashlib.sha256(b"fold:" + group.encode("utf-8", "surrogatepass")).digest()


def validate(observations: Sequence[Observation], calibrated: Sequence[bool], seed: int = 0) -> Validation:
    """Compare what was accepted with what the shipped guardrail accepts.

    Args:
        observations: Of one mode.
        calibrated: What the calibration accepts, for each.
        seed: Of the bootstrap.
    """
    rows = list(zip(observations, calibrated, strict=True))

    def outcomes(rows: Sequence[tuple[Observation, bool]]) -> tuple[Outcome, Outcome, Outcome]:
        taken = [o for o, _ in rows]
        return (
            outcome(taken, [c for _, c in rows], seed),
            outcome(taken, [o.accepted for o in taken], seed),
            outcome(taken, [True] * len(taken), seed),
        )

    keeps = sorted({o.keep for o in observations})
    per_keep = {k: outcomes([r for r in rows if r[0].keep == k]) for k in keeps}
    needed = sum(group[0].needed for group in by_record(observations).values())
    return Validation(len(by_record(observations)), needed, *outcomes(rows), per_keep)


def outcome(observations: Sequence[Observation], accepted: Sequence[bool], seed: int = 0) -> Outcome:
    """Miss rate, savings and acceptance, with intervals.

    The interval of the miss rate is the wider of two at each end: the bootstrap over groups, which knows that records
    of a group are alike, and Clopper and Pearson's over records, which knows that no loss in few records is no proof.
    """
    records: dict[str, list[tuple[Observation, bool]]] = {}
    for o, ok in zip(observations, accepted, strict=True):
        records.setdefault(o.record, []).append((o, ok))
    rows = list(records.values())
    groups = [row[0][0].group for row in rows]

    def share(over: Callable[[Observation, bool], float], under: Callable[[Observation], float]) -> Estimate:
        tops = [sum(over(o, ok) for o, ok in row) for row in rows]
        return ratio(tops, [sum(under(o) for o, _ in row) for row in rows], groups, seed)

    misses = share(lambda o, ok: o.lost if ok else 0.0, lambda _: 1.0)
    return Outcome(
        at_least_exact(misses, misses.value * len(rows), len(rows)),
        share(lambda o, ok: float(o.before - o.after) if ok else 0.0, lambda o: float(o.before)),
        share(lambda _, ok: float(ok), lambda _: 1.0),
    )
