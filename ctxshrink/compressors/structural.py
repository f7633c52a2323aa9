"""The `structural` compressor: renderings with fewer tokens that lose nothing, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from ctxshrink.compressors._index import index
from ctxshrink.types import Call, Candidate, Job


class StructuralCompressor:
    """Writes JSON, tables, logs and the like with fewer tokens; leaves nothing out.

    A text that no rendering makes smaller comes back as it is. What does not fit a job's share is refused by size, so
    that the next compressor gets it. The renderings are those of `ctxshrink.structure`.
    """

    name = "structural"

    def compress(self, jobs: Sequence[Job], call: Call, /) -> list[Candidate]:
        """The whole text of each job, rendered."""
        idx = index(call)
        out: list[Candidate] = []
        for job in jobs:
            made = idx.layouts[idx.position[job.segment.id]]
            if made.form and made.exact:
                out.append(Candidate(made.text, ((0, len(made.text)),), source=made.text, form=made.form))
            else:
                text = job.segment.text
                out.append(Candidate(text, ((0, len(text)),)))
        return out
