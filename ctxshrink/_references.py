"""The line that a shortened text ends with, which names its original."""

from __future__ import annotations

from dataclasses import replace

from .types import Call, Candidate, Job


def without_reference(job: Job, call: Call) -> Job:
    """The job with room left for the line that says how to get the original back."""
    if not job.segment.reference:
        return job
    [line] = call.counter.count(["\n" + job.segment.reference])
    room = max(0, job.max_tokens - line)
    return replace(job, keep=room / call.tokens[job.segment.id], max_tokens=room)


def with_reference(job: Job, candidate: Candidate) -> Candidate:
    """The candidate with that line, where something was left out and something is left."""
    segment = job.segment
    whole = candidate.text in (segment.text, segment.empty) or (candidate.exact and candidate.text == candidate.source)
    if not segment.reference or candidate.error is not None or whole:
        return candidate
    return replace(candidate, text=f"{candidate.text}\n{segment.reference}")
