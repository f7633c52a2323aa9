"""What the whole product loses and saves with its guardrail and without."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ctxshrink.compressors import get_compressor
from ctxshrink.types import OutputGuardrail

from .data import Record
from .guardrail_labels import Sharing, SharingShrinker
from .methods import Runner
from .run import Observation, run
from .stats import clopper_pearson, record_interval
from .tasks import Task

KEEPS: Final = (0.5, 0.25, 0.1)
GUARDED: Final = "guarded"
BARE: Final = "bare"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of the records of one source at one keep.

    Attributes:
        source: The set, or ``all``.
        keep: Asked share.
        guarded: With the guardrail; it may then exceed the asked share. Else without one.
        records: Records of which something needed could be lost.
        at_risk: Needed strings that stood in the unlocked text alone.
        lost: Those that stand nowhere in the output.
        miss_rate: Share of them.
        interval: Its 95 % bootstrap interval, records resampled.
        records_lost: Records that lost any.
        records_interval: Exact 95 % interval of their share (Clopper and Pearson).
        saved: Share of the unlocked tokens, of all records, that are gone.
        fallbacks: Share of the unlocked segments that came out whole because every attempt was rejected.
    """

    source: str
    keep: float
    guarded: bool
    records: int
    at_risk: int
    lost: int
    miss_rate: float
    interval: tuple[float, float]
    records_lost: int
    records_interval: tuple[float, float]
    saved: float
    fallbacks: float


def observe(
    task: Task[Any],
    source: str,
    records: Sequence[Record],
    guardrail: OutputGuardrail,
    keeps: Sequence[float] = KEEPS,
    step: Callable[[], None] = lambda: None,
) -> list[Observation]:
    """Shrink records with the guardrail and without, as ``Shrinker`` does by default; a rejection may exceed the goal.

    Args:
        task: What the records are.
        source: The set's name.
        records: Its records.
        guardrail: The guardrail.
        keeps: Shares to keep.
        step: Called after each record.
    """
    sharing, done = Sharing(), 0
    compressors = [get_compressor(name) for name in ("pruner", "extractive")]
    runners = [
        Runner(name, SharingShrinker(sharing, compressors=compressors, guardrail=used), on_reject="exceed")
        for name, used in ((GUARDED, guardrail), (BARE, None))
    ]

    def count(_: str) -> None:
        nonlocal done
        done += 1
        if done % (len(runners) * len(keeps)) == 0:
            step()

    return run(task, {source: records}, runners, keeps, count)


def outcomes(observations: Sequence[Observation], pooled: str = "all", seed: int = 0) -> list[Outcome]:
    """One for each source, keep and way, then the sources pooled where there are several.

    Args:
        observations: From `observe`.
        pooled: What the pool is called.
        seed: Of the bootstrap.
    """
    sources = list(dict.fromkeys(o.set_name for o in observations))
    every = [replace(o, set_name=pooled) for o in observations] if len(sources) > 1 else []
    groups = dict[tuple[str, float, str], list[Observation]]()
    for o in (*observations, *every):
        groups.setdefault((o.set_name, o.keep, o.method), []).append(o)
    return [_outcome(group, seed) for group in groups.values()]


def _outcome(group: Sequence[Observation], seed: int) -> Outcome:
    used = [o for o in group if o.at_risk]
    at_risk, lost = (np.array(n, dtype=np.float64) for n in ([o.at_risk for o in used], [o.lost for o in used]))
    harmed = sum(o.lost > 0 for o in used)
    free = sum(n for o in group for action, n in o.actions.items() if action != "locked")
    before = sum(o.free_before for o in group)

    def rate(times: NDArray[np.float64]) -> float:
        return float(times @ lost / (times @ at_risk))

    return Outcome(
        source=group[0].set_name,
        keep=group[0].keep,
        guarded=group[0].method == GUARDED,
        records=len(used),
        at_risk=int(at_risk.sum()),
        lost=int(lost.sum()),
        miss_rate=rate(np.ones(len(used))) if used else math.nan,
        interval=record_interval(rate, range(len(used)), seed),
        records_lost=harmed,
        records_interval=clopper_pearson(harmed, len(used)),
        saved=1 - sum(o.free_after for o in group) / before if before else 0.0,
        fallbacks=sum(o.actions.get("fallback", 0) for o in group) / free if free else 0.0,
    )
