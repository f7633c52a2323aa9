"""Verdicts in one sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ctxshrink.facts import facts
from ctxshrink.types import Call, Trial

from ._omission import Omission

QUOTED = 60
"""Most characters of the text that a reason quotes."""


def explain(
    omission: Omission,
    trials: Sequence[Trial],
    call: Call,
    risk: float,
    limit: float,
    terms: Mapping[str, float] | None = None,
) -> str:
    """What was lost that weighs most, what the language model says of it, and how the risk compares.

    Args:
        omission: What was left out.
        trials: The compressions it is of.
        call: The call.
        risk: The estimated risk.
        limit: The highest that is accepted.
        terms: The language model's terms, where it was asked.
    """
    told = _worst(omission, trials, call)
    said = terms or {}
    if "anchor" in said:
        told += f", the query's perplexity changes by a factor of {math.exp(said['anchor']):.2f}"
    elif "recovery" in said:
        told += f", {max(0.0, said['recovery']):.0%} of what is gone can be told from what was kept"
    return f"{told}; risk {risk:.2f} {'<=' if risk <= limit else '>'} {limit:.2f}"


def _worst(omission: Omission, trials: Sequence[Trial], call: Call) -> str:
    worst = omission.worst()
    if worst is None:
        return "drops nothing that stands alone"
    idx, unit = worst
    text = " ".join(idx.text(unit).split())
    asked = {fact for _, fact in facts(call.anchor or call.query or "")}
    kept = "\n".join(t.text for t in trials).casefold()
    gone = sorted(fact for kind, fact in facts(text) if kind != "negation" and fact not in kept)
    used = [fact for fact in gone if fact in asked]
    if used:
        who = "the question" if call.query else "a recent turn"
        return f"drops the only mention of {_quoted(used[0])}, which {who} uses"
    rank = int(omission.place[omission.source.index(worst)]) + 1
    what = f"drops {_quoted(text)}, number {rank} in the ranking"
    return what if not gone else f"{what}, with the only mention of {_quoted(gone[0])}"


def _quoted(text: str) -> str:
    return repr(text if len(text) <= QUOTED else text[: QUOTED - 1] + "…")
