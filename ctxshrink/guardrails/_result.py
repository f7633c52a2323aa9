"""A guardrail's judgement of what a call returned."""

from __future__ import annotations

from typing import Any

from ctxshrink.result import ShrinkResult
from ctxshrink.tokens import EmbeddedCounter
from ctxshrink.types import Call, OutputGuardrail, Verdict


def judge_result(guardrail: OutputGuardrail, result: ShrinkResult[Any], query: str | None = None) -> Verdict:
    """`check_output` for what a call returned.

    Args:
        guardrail: What judges.
        result: The call's result.
        query: The question that the call was given.
    """
    decisions = result.decisions
    tokens = {d.segment.id: d.tokens_before for d in decisions}
    call = Call(
        tuple(d.segment for d in decisions), tokens, EmbeddedCounter(), result.goal, query or None, query or None
    )
    return guardrail.check_output([t for d in decisions if (t := d.trial) is not None], call)
