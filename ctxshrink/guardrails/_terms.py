"""The language model's part: likelihood ratios of the query, of what was dropped, and of single facts."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from ctxshrink.facts import fact_spans
from ctxshrink.types import Call, Scorer, Trial

from ._omission import Omission
from .likelihood import Likelihoods, dropped_text

TERMS: Final = ("anchor", "recovery", "probe")
"""Names of the terms: `anchor` with a query, `recovery` without one, `probe` where a fact was dropped."""
RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "anchor": (-1.0, 4.0),
    "recovery": (-0.25, 1.0),
    "probe": (-0.5, 1.0),
}
"""What the language model can say at most: its terms are cut to these. The anchor term is in nats per token. Since a
term cannot leave its range, some compressions are decided by the other features, and the model is not asked."""
LEFT_CHARS: Final = 200
"""Characters before a fact that ask for it."""


def term_values(
    scorer: Scorer, trials: Sequence[Trial], found: Sequence[Omission], call: Call, names: Collection[str] = TERMS
) -> list[dict[str, float]]:
    """The terms of each trial, cut to `RANGES`; all likelihoods in one batch, shared where they are the same.

    Args:
        scorer: The language model.
        trials: Compressions.
        found: Their omissions.
        call: The call.
        names: The terms that are wanted.

    Returns:
        Values by name; a term whose likelihoods are not finite numbers is left out.
    """
    likelihoods = Likelihoods(scorer)
    anchor, recovery = bool(call.query) and "anchor" in names, not call.query and "recovery" in names
    clozes = [_cloze(omission) if "probe" in names else None for omission in found]
    for trial, cloze in zip(trials, clozes, strict=True):
        if anchor:
            likelihoods.want_anchor(trial.basis, trial.text, call.query or "")
        if recovery:
            likelihoods.want_recovery(dropped_text(trial), trial.text)
        if cloze:
            likelihoods.want_probe(*cloze, trial.text)
    likelihoods.run()
    out: list[dict[str, float]] = []
    for trial, cloze in zip(trials, clozes, strict=True):
        values: dict[str, float] = {}
        if anchor:
            values["anchor"] = likelihoods.anchor(trial.basis, trial.text, call.query or "")
        if recovery:
            values["recovery"] = likelihoods.recovery(dropped_text(trial), trial.text)
        if cloze:
            values["probe"] = likelihoods.probe(*cloze, trial.text)
        out.append({k: _cut(v, *RANGES[k]) for k, v in values.items() if math.isfinite(v)})
    return out


def _cloze(omission: Omission) -> tuple[str, str] | None:
    """A fact of the dropped unit that weighs most, and the words before it; None where it has no fact."""
    worst = omission.worst()
    if worst is None:
        return None
    text = worst[0].text(worst[1])
    spans = fact_spans(text)
    if not spans:
        return None
    start, end = spans[-1]  # with the most words before it
    return text[start:end], text[max(0, start - LEFT_CHARS) : start]


def _cut(value: float, low: float, high: float) -> float:
    return round(min(max(value, low), high), 4)
