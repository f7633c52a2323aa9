"""Verdicts in one sentence."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from ctxshrink.facts import fact_spans, facts, folded
from ctxshrink.types import Call, Trial

from ._omission import Omission

QUOTED = 60
"""Most characters of the text that a reason quotes."""
_ASKED = "ctxshrink.guardrails.asked"
_FOLDED = "ctxshrink.guardrails.folded"


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
    left_out = omission.need * omission.out
    weight = left_out * omission.new
    repeats = not weight.any()  # of all that is dropped, nothing is new
    at = int(np.argmax(left_out if repeats else weight)) if left_out.any() else None
    if at is None:
        return _repeated(trials, call)
    idx, unit = omission.source[at]
    text = " ".join(idx.text(unit).split())
    asked = _asked(call)
    left = {**_folded(call), **{t.segment.id: folded(t.text) for t in trials}}
    found = sorted(fact for kind, fact in facts(text) if kind != "negation")
    if used := _first_gone([fact for fact in found if fact in asked], left.values()):
        who = "the question" if call.query else "a recent turn"
        return f"drops the only mention of {_quoted(_as_written(used, text))}, which {who} uses"
    gone = _first_gone(found, left.values())
    if repeats and gone is None:
        return _repeated(trials, call)
    what = f"drops {_quoted(text)}, number {int(omission.place[at]) + 1} in the ranking"
    return what if gone is None else f"{what}, with the only mention of {_quoted(_as_written(gone, text))}"


def _repeated(trials: Sequence[Trial], call: Call) -> str:
    """What is said where all that is dropped is repetition: how much, and where its words still stand."""
    where = "what was kept or in the question" if call.query else "what was kept"
    before, after = sum(len(t.basis) for t in trials), sum(len(t.text) for t in trials)
    share = f"{1 - after / before:.0%}" if before else "0%"
    if share == "0%" or after >= before:
        return f"drops only words that also stand in {where}"
    return f"drops {share} of the text, only words that also stand in {where}"


def _asked(call: Call) -> frozenset[str]:
    """The facts that the question or the recent turns use."""
    if _ASKED not in call.cache:
        call.cache[_ASKED] = frozenset(fact for _, fact in facts(call.anchor or call.query or ""))
    return call.cache[_ASKED]


def _folded(call: Call) -> Mapping[str, str]:
    """The call's texts by segment id, in the form that facts are compared in."""
    if _FOLDED not in call.cache:
        call.cache[_FOLDED] = {s.id: folded(s.text) for s in call.segments}
    return call.cache[_FOLDED]


def _first_gone(found: Sequence[str], texts: Collection[str]) -> str | None:
    """The first fact that stands in none of these texts."""
    return next((fact for fact in found if not any(fact in text for text in texts)), None)


def _as_written(fact: str, text: str) -> str:
    """A fact in normal form as it stands in a text."""
    spans = ((text[start:end].rstrip(".,"), facts(text[start:end])) for start, end in fact_spans(text))
    return next((written for written, normal in spans if any(f == fact for _, f in normal)), fact)


def _quoted(text: str) -> str:
    return repr(text if len(text) <= QUOTED else text[: QUOTED - 1] + "…")
