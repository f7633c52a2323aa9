"""Whether the guardrail of the KV level tells caches that lost an answer from those that kept it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from .kv_needle import FULL, Outcome
from .stats import Roc, record_interval

SIGNALS: Final = ("auto", "asked", "auto ppl", "asked ppl")
"""KL on passages told again and on the caller's questions, and the perplexity ratio of the same probes."""
CEILING: Final = "ceiling"
"""The share of answers that the selector loses at this share, the judged one left out: what one would know who had
measured all of them. Where a cache loses half of its answers, no score of the cache tells which."""


@dataclass(frozen=True, slots=True)
class Detector:
    """One score as a detector of lost answers: wrong with the compressed cache, right with the full one.

    Attributes:
        task: Name of the task.
        over: Which compressions: all or a part of them, or a selector's name.
        signal: One of `SIGNALS`, or `CEILING`.
        answers: Answers that were judged.
        lost: Share of them that was lost.
        auroc: Probability that the cache of a lost answer scores worse than that of one that was not lost.
        interval: 95 % interval over the contexts.
        right_only: The same among the questions that the full cache answers rightly.
    """

    task: str
    over: str
    signal: str
    answers: int
    lost: float
    auroc: float
    interval: tuple[float, float]
    right_only: float


def detectors(outcomes: Sequence[Outcome], trained: Collection[str] = (), seed: int = 0) -> list[Detector]:
    """One row for each task, signal and group of compressions; needs outcomes with signals.

    Args:
        outcomes: Of `kv_needle.measure` with its guardrail.
        trained: Names of the adapters.
        seed: Of the bootstrap.
    """
    found = list[Detector]()
    for task in dict.fromkeys(o.task for o in outcomes):
        own = [o for o in outcomes if o.task == task and o.method != FULL and o.signals]
        groups = {
            "all": own,
            "all, keep <= 50 %": [o for o in own if o.keep <= 0.5],
            "training-free": [o for o in own if o.method not in trained],
            "training-free, keep <= 50 %": [o for o in own if o.method not in trained and o.keep <= 0.5],
        }
        wide = set(groups)
        groups |= {method: [o for o in own if o.method == method] for method in dict.fromkeys(o.method for o in own)}
        for over, some in groups.items():
            if some:
                found += [_detector(task, over, s, some, seed, over in wide) for s in (*SIGNALS, CEILING)]
    return found


def _detector(task: str, over: str, signal: str, outcomes: Sequence[Outcome], seed: int, interval: bool) -> Detector:
    contexts = {key: i for i, key in enumerate(dict.fromkeys((o.seed, o.context) for o in outcomes))}
    cells = dict[tuple[str, float], list[bool]]()
    for o in outcomes:
        cells.setdefault((o.method, o.keep), []).extend(_lost(o))
    shares = {cell: (sum(flags), len(flags)) for cell, flags in cells.items()}
    rows = [(contexts[o.seed, o.context], *row) for o in outcomes for row in _rows(o, signal, shares[o.method, o.keep])]
    scores, lost = [r[1] for r in rows], [r[2] for r in rows]
    roc = Roc(scores, lost)
    right = [r for r in rows if r[3]]
    ends = (math.nan, math.nan)
    if interval:
        ends = record_interval(roc.auroc, [r[0] for r in rows], seed)
    return Detector(
        task, over, signal, len(rows), sum(lost) / len(rows), roc.auroc(), ends,
        Roc([r[1] for r in right], [r[2] for r in right]).auroc() if right else float("nan"),
    )  # fmt: skip


def _lost(outcome: Outcome) -> list[bool]:
    return [full and not right for right, full in zip(outcome.right, outcome.right_full, strict=True)]


def _rows(outcome: Outcome, signal: str, cell: tuple[int, int]) -> Iterator[tuple[float, bool, bool]]:
    """Score, whether the answer was lost, and whether the full cache has it, of each question."""
    for q, (lost, full) in enumerate(zip(_lost(outcome), outcome.right_full, strict=True)):
        if signal == CEILING:
            score = (cell[0] - lost) / max(1, cell[1] - 1)
        else:
            score = outcome.signals[f"{signal} {q}" if signal.startswith("asked") else signal]
        # What is not a number is rejected by the guardrail: worse than any number.
        yield (math.inf if math.isnan(score) else score), lost, full
