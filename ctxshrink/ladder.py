"""The attempt ladder: asked keep → softer keep → next compressor → original.

"Rejected by the guardrail" and "the compressor raised" are the same event: the next attempt. Every attempt is recorded.
With ``on_reject="exceed"`` the last rung is the original, whatever it costs. With ``on_reject="budget"`` the sum of the
shares binds: a softer keep is granted only from tokens that others left over, other compressors try within the same
share, and where all fails the least risky text that fits is forced through and marked so.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ._attempts import candidates_of, finite, size_errors
from ._deadline import DeadlineExceeded, describe, within_deadline
from ._references import with_reference, without_reference
from .types import Action, Attempt, Call, Candidate, Compressor, Decision, Guardrail, Job, OnReject, Trial, Verdict

_log = logging.getLogger("ctxshrink")


@dataclass
class _Climb:
    """One segment on its way up the ladder."""

    job: Job
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    rejected: list[tuple[Attempt, Candidate]] = field(default_factory=list[tuple[Attempt, Candidate]])
    decision: Decision | None = None
    taken_back: str = ""

    @property
    def claim(self) -> int:
        """Tokens of the share that it would use."""
        return min(self.job.max_tokens, max((a.tokens for a, _ in self.rejected), default=self.job.max_tokens))

    @property
    def risk(self) -> float:
        return min((a.verdict.score for a, _ in self.rejected if a.verdict), default=1.0)

    def decide(self, action: Action, reason: str, call: Call, attempt: Attempt | None, candidate: Candidate) -> None:
        segment, before = self.job.segment, call.tokens[self.job.segment.id]
        after = attempt.tokens if attempt else before
        judged = attempt or (self.attempts[-1] if self.attempts else None)
        self.decision = Decision(
            segment,
            action,
            reason,
            candidate.text,
            before,
            after,
            self.job.keep,
            tuple(self.attempts),
            candidate.spans,
            judged.verdict if judged else None,
            candidate.source,
            candidate.rewritten,
        )

    def keep_original(self, action: Action, reason: str, call: Call) -> None:
        text = self.job.segment.text
        self.decide(action, reason, call, None, Candidate(text, ((0, len(text)),)))

    def why(self) -> str:
        """Why the last attempt failed, or was taken back."""
        if self.taken_back:
            return self.taken_back
        last = self.attempts[-1] if self.attempts else None
        told = None if last is None else last.error or (last.verdict.reason if last.verdict else None)
        return told or "no compressor was tried"

    def fall_back(self, why: str, call: Call) -> None:
        self.keep_original("fallback", f"original kept: {why or self.why()}", call)


def softer(keep: float) -> float:
    """The next keep after ``keep`` was rejected: half of what was cut comes back."""
    return keep + (1.0 - keep) / 2


def _slack(climbs: Sequence[_Climb]) -> int:
    """Tokens of the decided segments' shares that they do not use; negative where they traded in more than that."""
    return sum(c.job.max_tokens - c.decision.tokens_after for c in climbs if c.decision)


def _room(climb: _Climb, climbs: Sequence[_Climb]) -> int:
    """Tokens that an undecided segment may use when the sum of all shares binds: what the others leave of the sum.

    Decided ones leave what they did not use; undecided ones claim what their largest text needs within their share.
    """
    free = sum(c.job.max_tokens for c in climbs) - sum(c.decision.tokens_after for c in climbs if c.decision)
    return max(0, free - sum(c.claim for c in climbs if c.decision is None and c is not climb))


@dataclass(frozen=True)
class Ladder:
    """Runs compressors and a guardrail over jobs until each has a decision.

    Args:
        compressors: In the order in which they are tried.
        guardrail: Judges every changed text; None accepts all.
        on_reject: What a rejection may cost, see the module.
        last_resort: Cuts to size when ``on_reject="budget"`` and no attempt produced a text that fits.
        softer_steps: Softer keeps tried per compressor.
        whole: Leaves nothing out: what falls back comes out as it renders it, where that is shorter; None: as it was.
    """

    compressors: Sequence[Compressor]
    guardrail: Guardrail | None
    on_reject: OnReject
    last_resort: Compressor
    softer_steps: int = 1
    whole: Compressor | None = None

    def run(self, jobs: Sequence[Job], call: Call) -> dict[str, Decision]:
        """Decide every job. Never raises for what a plug-in does; see `Decision.reason`."""
        climbs = [_Climb(j) for j in jobs]
        why = ""
        try:
            self._climb(climbs, call)
            self._render([c for c in climbs if c.decision is None], climbs, call)
        except DeadlineExceeded:
            why = "the deadline passed"
        for climb in climbs:
            if climb.decision is None:
                room = _room(climb, climbs)
                if self.on_reject == "exceed" or call.tokens[climb.job.segment.id] <= room:
                    climb.fall_back(why, call)
                else:
                    self._force(climb, room, call, why)
        return {c.job.segment.id: c.decision for c in climbs if c.decision}

    def restore(self, decisions: Sequence[Decision], call: Call, why: str) -> dict[str, Decision]:
        """Segments that were decided, whole again: rendered without loss where that is shorter, else as they were.

        Args:
            decisions: What is taken back.
            call: The call.
            why: Why, as the reason of the new decisions.
        """
        climbs = [
            _Climb(Job(d.segment, d.keep, call.tokens[d.segment.id]), list(d.attempts), taken_back=why)
            for d in decisions
        ]
        try:
            self._render(climbs, climbs, call)
        except DeadlineExceeded:
            why = f"the deadline passed; {why}"
        for climb in climbs:
            if climb.decision is None:
                climb.fall_back(why, call)
        return {c.job.segment.id: c.decision for c in climbs if c.decision}

    def _render(self, failed: list[_Climb], climbs: list[_Climb], call: Call) -> None:
        """The last rung before the original: all of it with fewer tokens."""
        if self.whole is None or not failed:
            return
        jobs = [replace(c.job, keep=1.0, max_tokens=call.tokens[c.job.segment.id]) for c in failed]
        candidates = candidates_of(self.whole, jobs, call)
        sizes = call.counter.count([c.text if c.error is None else "" for c in candidates])
        for climb, job, candidate, size in zip(failed, jobs, candidates, sizes, strict=True):
            fits = size < job.max_tokens and (self.on_reject == "exceed" or size <= _room(climb, climbs))
            if candidate.error is None and candidate.text != job.segment.text and fits:
                why = climb.why()
                climb.attempts.append(Attempt(self.whole.name, 1.0, size))
                reason = f"nothing left out, rendered as {candidate.form}: {why}"
                climb.decide("fallback", reason, call, climb.attempts[-1], candidate)

    def _climb(self, climbs: list[_Climb], call: Call) -> None:
        for compressor in self.compressors:
            keeps = {c.job.segment.id: c.job.keep for c in climbs}
            self._rung(compressor, self._pending(climbs, call), call)
            for _ in range(self.softer_steps):
                keeps = {i: softer(k) for i, k in keeps.items()}
                self._rung(compressor, self._grant(climbs, keeps, call), call)

    def _pending(self, climbs: list[_Climb], call: Call) -> list[tuple[_Climb, Job]]:
        """The undecided segments' jobs; all are smaller where the decided ones traded in more than their shares."""
        pending = [c for c in climbs if c.decision is None]
        slack, total = _slack(climbs), sum(c.job.max_tokens for c in pending)
        if self.on_reject == "exceed" or slack >= 0 or not total:
            return [(c, c.job) for c in pending]
        sizes = [c.job.max_tokens * max(0, total + slack) // total for c in pending]
        return [
            (c, replace(c.job, keep=n / call.tokens[c.job.segment.id], max_tokens=n))
            for c, n in zip(pending, sizes, strict=True)
        ]

    def _grant(self, climbs: list[_Climb], keeps: dict[str, float], call: Call) -> list[tuple[_Climb, Job]]:
        """Jobs for a softer attempt: free of charge with "exceed", from what is left over with "budget"."""
        slack = float(_slack(climbs)) if self.on_reject == "budget" else math.inf
        granted: dict[int, Job] = {}
        rejected = [(i, c) for i, c in enumerate(climbs) if c.decision is None and c.rejected]
        for i, climb in sorted(rejected, key=lambda ic: (-ic[1].risk, ic[0])):
            tokens = call.tokens[climb.job.segment.id]
            extra = min(math.floor(keeps[climb.job.segment.id] * tokens) - climb.job.max_tokens, slack)
            if extra > 0:
                slack -= extra
                share = climb.job.max_tokens + int(extra)
                granted[i] = replace(climb.job, keep=share / tokens, max_tokens=share)
        return [(climbs[i], granted[i]) for i in sorted(granted)]

    def _rung(self, compressor: Compressor, work: list[tuple[_Climb, Job]], call: Call) -> None:
        """One compressor, one batch: compress, check sizes, judge, record."""
        if not work:
            return
        jobs = [j for _, j in work]
        raw = candidates_of(compressor, [without_reference(j, call) for j in jobs], call)
        candidates = [with_reference(j, c) for j, c in zip(jobs, raw, strict=True)]
        sizes = call.counter.count([c.text if c.error is None else "" for c in candidates])
        errors = size_errors(jobs, candidates, sizes, call)
        judged = [i for i, j in enumerate(jobs) if errors[i] is None and candidates[i].text != j.segment.text]
        trials = [_trial(jobs[i], raw[i]) for i in judged]
        verdicts = dict(zip(judged, self._judge(trials, call), strict=True))
        for i, (climb, job) in enumerate(work):
            attempt = Attempt(compressor.name, job.keep, sizes[i], verdicts.get(i), errors[i])
            climb.attempts.append(attempt)
            if attempt.ok:
                _accept(climb, candidates[i], attempt, call)
            elif errors[i] is None:
                climb.rejected.append((attempt, candidates[i]))

    def _judge(self, trials: list[Trial], call: Call) -> Sequence[Verdict | None]:
        guardrail = self.guardrail
        if guardrail is None or not trials:
            return [None] * len(trials)
        try:
            verdicts = within_deadline(lambda: guardrail.check(trials, call), call)
            if len(verdicts) == len(trials):
                return [finite(v) for v in verdicts]
            failure = f"gave {len(verdicts)} verdicts for {len(trials)} texts"
        except DeadlineExceeded:
            raise
        except Exception as error:  # noqa: BLE001  fail open: an unchecked text is a rejected text, with this reason
            _log.warning("guardrail %s failed: %s", guardrail.name, type(error).__name__)
            failure = f"failed: {describe(error)}"
        return [Verdict(False, 1.0, f"guardrail {guardrail.name} {failure}")] * len(trials)

    def _force(self, climb: _Climb, room: int, call: Call, why: str) -> None:
        """Take the least risky text that fits; where there is none, cut to size."""
        fitting = [(a, c) for a, c in climb.rejected if a.tokens <= room]
        if fitting:
            attempt, candidate = min(fitting, key=lambda t: (t[0].verdict.score if t[0].verdict else 1.0, t[0].tokens))
            verdict = f"against the verdict: {attempt.verdict.reason}" if attempt.verdict else "unchecked"
            reason = f"forced by the budget, {verdict}"
            return climb.decide("forced", reason, call, attempt, candidate)
        why = why or (climb.attempts[-1].error if climb.attempts else None) or "no attempt fitted"
        job = replace(climb.job, max_tokens=room, keep=room / call.tokens[climb.job.segment.id])
        [raw] = candidates_of(self.last_resort, [without_reference(job, call)], replace(call, deadline=None))
        candidate = with_reference(job, raw)
        [tokens] = call.counter.count([candidate.text])
        if candidate.error is not None or tokens > room:
            return climb.fall_back(f"{why}, and nothing could be made to fit the budget", call)
        climb.attempts.append(Attempt(self.last_resort.name, job.keep, tokens))
        return climb.decide("forced", f"cut to size by the budget: {why}", call, climb.attempts[-1], candidate)


def _trial(job: Job, candidate: Candidate) -> Trial:
    return Trial(job.segment, candidate.text, candidate.spans, candidate.source, candidate.rewritten)


def _accept(climb: _Climb, candidate: Candidate, attempt: Attempt, call: Call) -> None:
    segment = climb.job.segment
    if candidate.text == segment.text or attempt.tokens >= call.tokens[segment.id]:
        return climb.keep_original("kept", f"{attempt.compressor} found nothing to leave out", call)
    if candidate.text == candidate.source:
        reason = f"rendered whole as {candidate.form or 'a shorter text'}"
        return climb.decide("compressed", reason, call, attempt, candidate)
    reason = f"{attempt.compressor} at keep {attempt.keep:.2f}"
    reason += f" of {candidate.form}" if candidate.form else ""
    if attempt.verdict is not None:
        reason += f"; {attempt.verdict.reason}"
    return climb.decide(
        "emptied" if candidate.text == segment.empty else "compressed", reason, call, attempt, candidate
    )
