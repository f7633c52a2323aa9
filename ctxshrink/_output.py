"""The last question of a call: is the output as a whole still good enough?

Segments that each lose little can lose too much together. Where the guardrail rejects an output, the cheapest of these
is taken that it accepts: the riskiest segments whole again; or all segments at a softer keep, and of these the riskiest
whole again.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ._attempts import finite
from ._deadline import DeadlineExceeded, describe, within_deadline
from .ladder import Ladder, softer
from .types import Attempt, Call, Decision, Job, OutputGuardrail, Trial, Verdict

_log = logging.getLogger("ctxshrink")

SOFTER = 2
"""Softer keeps that are tried for a whole output."""


@dataclass(frozen=True, slots=True)
class Settled:
    """An output that stands.

    Attributes:
        decisions: By segment id.
        first: The verdict on the first attempt; None where nothing was left to judge.
        last: The verdict on the decisions; None likewise.
    """

    decisions: Mapping[str, Decision]
    first: Verdict | None
    last: Verdict | None


def settle(
    decided: Mapping[str, Decision],
    jobs: Sequence[Job],
    ladder: Ladder,
    guardrail: OutputGuardrail,
    call: Call,
    exceed: bool,
) -> Settled:
    """Judge a whole output, and soften it until it is accepted.

    Args:
        decided: What the ladder made of the jobs.
        jobs: The jobs.
        ladder: Tries softer keeps, and takes decisions back.
        guardrail: Judges whole outputs.
        call: The call.
        exceed: False keeps the texts that were decided, whatever the verdict: the budget binds. A rejection stands at
            the end of their attempts.
    """
    judge = _Judge(guardrail, call)
    first = judge(decided)
    if first is None or first.ok:
        return Settled(decided, first, first)
    if not exceed:
        return Settled({**decided, **{d.segment.id: d for d in _rejected(decided, first)}}, first, first)
    options = [_restored(decided, first, ladder, judge, call)]
    keeps = {j.segment.id: j.keep for j in jobs}
    for _ in range(SOFTER):
        if call.expired:
            break
        keeps = {i: softer(k) for i, k in keeps.items()}
        again = [
            replace(j, keep=keeps[j.segment.id], max_tokens=math.floor(keeps[j.segment.id] * call.tokens[j.segment.id]))
            for j in jobs
        ]
        made = {i: _after(decided[i], first, d) for i, d in ladder.run(again, call).items()}
        options.append(_restored(made, judge(made), ladder, judge, call))
    best, last = min(options, key=lambda o: sum(d.tokens_after for d in o[0].values()))
    return Settled(best, first, last)


class _Judge:
    """A guardrail's verdict on decisions. What it cannot judge is rejected."""

    def __init__(self, guardrail: OutputGuardrail, call: Call) -> None:
        self._guardrail, self._call = guardrail, call

    def __call__(self, decided: Mapping[str, Decision]) -> Verdict | None:
        trials: list[Trial] = [t for d in decided.values() if (t := d.trial) is not None and t.text != t.basis]
        if not trials:
            return None
        try:
            verdict = within_deadline(lambda: self._guardrail.check_output(trials, self._call), self._call)
        except DeadlineExceeded:
            return Verdict(False, 1.0, "was not judged: the deadline passed")
        except Exception as error:  # noqa: BLE001  fail open: what nobody could judge is taken back, with this reason
            _log.warning("guardrail %s failed: %s", self._guardrail.name, type(error).__name__)
            return Verdict(False, 1.0, f"was not judged: guardrail {self._guardrail.name} failed: {describe(error)}")
        return finite(verdict)


def _restored(
    decided: Mapping[str, Decision],
    verdict: Verdict | None,
    ladder: Ladder,
    judge: Callable[[Mapping[str, Decision]], Verdict | None],
    call: Call,
) -> tuple[Mapping[str, Decision], Verdict | None]:
    """The decisions with as few of the riskiest taken back as make the output acceptable, and the verdict on it."""
    if verdict is None or verdict.ok:
        return decided, verdict
    rejected = sorted(_rejected(decided, verdict), key=lambda d: -_risk_per_token(d))
    whole = ladder.restore(rejected, call, f"the whole output {verdict.reason}")

    def taken_back(count: int) -> dict[str, Decision]:
        ids = {d.segment.id for d in rejected[:count]}
        return {i: whole[i] if i in ids else d for i, d in decided.items()}

    low, high, accepted = 0, len(rejected), None  # rejected with `low` taken back, accepted with `high`
    while high - low > 1:
        middle = (low + high) // 2
        found = judge(taken_back(middle))
        if found is None or found.ok:
            high, accepted = middle, found
        else:
            low = middle
    return taken_back(high), accepted


def _rejected(decided: Mapping[str, Decision], verdict: Verdict) -> list[Decision]:
    """The decisions that left something out, the verdict on the whole output at the end of their attempts."""
    return [replace(d, attempts=_with_last(d, verdict)) for d in decided.values() if _shortened(d)]


def _shortened(decision: Decision) -> bool:
    trial = decision.trial
    return trial is not None and trial.text != trial.basis


def _with_last(decision: Decision, verdict: Verdict) -> tuple[Attempt, ...]:
    """A decision's attempts, and at the end the one that came out with the verdict on the whole output."""
    return (*decision.attempts, replace(decision.attempts[-1], verdict=verdict)) if decision.attempts else ()


def _after(before: Decision, verdict: Verdict, decision: Decision) -> Decision:
    """A decision with the attempts of the one before it, whose output was rejected."""
    earlier = _with_last(before, verdict) if _shortened(before) else before.attempts
    return replace(decision, keep=before.keep, attempts=(*earlier, *decision.attempts))


def _risk_per_token(decision: Decision) -> float:
    risk = decision.verdict.score if decision.verdict else 1.0
    return risk / max(1, decision.tokens_before - decision.tokens_after)
