"""What a compressor and a guardrail gave, made safe: failures become candidates with an error, sizes are checked."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

from ._deadline import DeadlineExceeded, describe, within_deadline
from .types import Call, Candidate, Compressor, Job, Verdict

_log = logging.getLogger("ctxshrink")


def finite(verdict: Verdict) -> Verdict:
    """The verdict, or a rejection where its score is not a number."""
    if math.isfinite(verdict.score):
        return verdict
    return Verdict(False, 1.0, f"has the score {verdict.score}, not a number", verdict.features)


def candidates_of(compressor: Compressor, jobs: Sequence[Job], call: Call) -> list[Candidate]:
    """Run a batch; where it fails as a whole, run its jobs one by one, so that one poisoned text costs only itself."""
    try:
        candidates = list(within_deadline(lambda: compressor.compress(jobs, call), call))
        if len(candidates) == len(jobs):
            return candidates
        error = f"{compressor.name} gave {len(candidates)} candidates for {len(jobs)} jobs"
    except DeadlineExceeded:
        raise
    except Exception as failure:  # noqa: BLE001  fail open: recorded on the attempt
        _log.warning("compressor %s failed on %d segments: %s", compressor.name, len(jobs), type(failure).__name__)
        error = f"{compressor.name} failed: {describe(failure)}"
    if len(jobs) == 1:
        return [Candidate("", error=error)]
    return [c for j in jobs for c in candidates_of(compressor, [j], call)]


def size_errors(
    jobs: Sequence[Job], candidates: Sequence[Candidate], sizes: Sequence[int], call: Call
) -> list[str | None]:
    """Why a candidate is unusable by its size: larger than its original, or over its share while the batch is over."""
    used = sum(n for n, c in zip(sizes, candidates, strict=True) if c.error is None)
    over = used > sum(j.max_tokens for j in jobs)
    errors: list[str | None] = []
    for job, candidate, size in zip(jobs, candidates, sizes, strict=True):
        before, error = call.tokens[job.segment.id], candidate.error
        if error is None and size > before:
            error = f"{size} tokens are more than the original's {before}"
        if error is None and over and size > job.max_tokens:
            error = f"{size} tokens are more than its share of {job.max_tokens}"
        errors.append(error)
    return errors
