"""One record under one peer, measured as every other method is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..data import Record
from ..scoring import Haystack
from ..tasks import Task
from .runner import PeerRunner

if TYPE_CHECKING:
    from ..run import Observation


def measure_peer(task: Task[Any], set_name: str, runner: PeerRunner, record: Record, keep: float) -> Observation:
    """Run a peer on a record under the budget that every method gets, and count what came out with the same counter.

    What is locked is paid for before: the peer may use as many tokens as the locked text and the budget have together,
    and ``free_after`` is what it used beyond those of the locked text. Locked texts that it changed or left out are
    ``broken``. A peer that fails leaves the record whole, which is over the budget, and counts as ``failed``.

    Args:
        task: What the record is.
        set_name: Its set.
        runner: The peer.
        record: The record.
        keep: Share to keep.
    """
    from ..run import Observation, at_risk

    reference = task.shrink(runner.shrinker, record, keep)
    decisions = reference.result.decisions
    before = sum(d.tokens_before for d in decisions)
    free = sum(d.tokens_before for d in decisions if not d.segment.locked)
    room = before - free + reference.budget

    def size(fields: Mapping[str, Any]) -> int:
        return sum(runner.shrinker.counter.count(list(task.returned(reference, fields).counted)))

    answer = runner.run(task.name, task.request(record), keep, room, size)
    returned = task.returned(reference, answer.fields)
    after = sum(runner.shrinker.counter.count(list(returned.counted)))
    haystack = Haystack("\n".join(returned.texts))
    risked = at_risk(task, record, [d.segment for d in decisions])
    still = task.needed(record, haystack)
    return Observation(
        set_name,
        record.lang,
        runner.method,
        keep,
        task.scores(record, haystack),
        before,
        after,
        free,
        max(0, after - (before - free)),
        max(0, after - room),
        returned.broken,
        answer.seconds,
        failed=int(bool(answer.failure)),
        at_risk=sum(risked),
        lost=sum(r and not s for r, s in zip(risked, still, strict=True)),
        setting=f"{answer.setting} (asked {answer.calls} times)" if answer.calls > 1 else answer.setting,
        failure=answer.failure,
    )
