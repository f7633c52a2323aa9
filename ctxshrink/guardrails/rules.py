"""Guardrails that are rules, and `AllOf`, which joins several."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ctxshrink.errors import ConfigError
from ctxshrink.facts import FactKind, facts
from ctxshrink.types import Call, OutputGuardrail, Segment, Trial, Verdict

from ._single import single_call

_FACT_KINDS: frozenset[FactKind] = frozenset({"number", "date", "id", "name", "negation"})


class KeepFacts:
    """Rejects a compression that loses a fact which the query or the recent turns use, or alters one.

    A fact of the original is needed when it also stands in the anchor. A number, date or id in the compressed text that
    the original does not have was altered or invented: extractive compressors never do that, language models may.

    Args:
        kinds: Which facts to watch: number, date, id, name, negation. Negations count only with ``scope="all"``.
        scope: ``"anchor"``, or ``"all"``: every fact of the original must survive.
    """

    name = "facts"

    def __init__(self, kinds: Iterable[FactKind] = ("number", "date", "id", "name"), scope: str = "anchor") -> None:
        self.kinds = frozenset(kinds)
        if not self.kinds <= _FACT_KINDS:
            unknown = sorted(self.kinds - _FACT_KINDS)
            raise ConfigError(f"kinds has unknown facts {unknown}; known are {sorted(_FACT_KINDS)}")
        if scope not in ("anchor", "all"):
            raise ConfigError(f'scope must be "anchor" or "all"; got {scope!r}')
        self.scope = scope

    def check(self, trials: Sequence[Trial], call: Call, /) -> list[Verdict]:
        """One verdict per trial; the score is 0 or 1."""
        anchored = facts(call.anchor or call.query or "", self.kinds)
        return [self._verdict(t, anchored) for t in trials]

    def _verdict(self, trial: Trial, anchored: frozenset[tuple[FactKind, str]]) -> Verdict:
        before, after = facts(trial.segment.text, self.kinds), facts(trial.text, self.kinds)
        needed = before if self.scope == "all" else before & anchored
        lost = sorted(needed - after)
        strange = sorted(f for f in after - before if f[0] in ("number", "date", "id"))
        # A name at the start of a kept sentence is not told from a plain capitalised word: look it up in the text.
        lost = [f for f in lost if f[1] not in trial.text.casefold()]
        if strange and trial.spans is None:
            return Verdict(False, 1.0, f"has {strange[0][0]} {strange[0][1]!r}, which the original does not have")
        if lost:
            more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
            return Verdict(False, 1.0, f"drops {lost[0][0]} {lost[0][1]!r}{more}", {"facts_lost": float(len(lost))})
        return Verdict(True, 0.0, "no needed fact was lost", {"facts_lost": 0.0})

    def judge(self, original: str, compressed: str, query: str | None = None, anchor: str | None = None) -> Verdict:
        """Judge one compression outside a `Shrinker`."""
        [verdict] = self.check([Trial(Segment("0", original), compressed)], single_call(original, query, anchor))
        return verdict


class AllOf:
    """Accepts what every one of its guardrails accepts. The score is the highest of theirs."""

    def __init__(self, *guardrails: Any) -> None:
        if not guardrails or not all(hasattr(g, "check") for g in guardrails):
            raise ConfigError("AllOf needs one guardrail or more, each with a check method")
        self.guardrails = guardrails
        self.name = "+".join(g.name for g in guardrails)

    def check(self, trials: Sequence[Trial], call: Call, /) -> list[Verdict]:
        """One verdict per trial: the first rejection, else the highest score."""
        each = [g.check(trials, call) for g in self.guardrails]
        return [_join(verdicts) for verdicts in zip(*each, strict=True)]

    def check_output(self, trials: Sequence[Trial], call: Call, /) -> Verdict:
        """The verdicts of those that judge whole outputs, joined; accepted where none does."""
        judging = [g for g in self.guardrails if isinstance(g, OutputGuardrail)]
        verdicts = tuple(g.check_output(trials, call) for g in judging)
        return _join(verdicts) if verdicts else Verdict(True, 0.0, "none of the guardrails judges whole outputs")


def _join(verdicts: tuple[Verdict, ...]) -> Verdict:
    told = next((v for v in verdicts if not v.ok), max(verdicts, key=lambda v: v.score))
    features = {k: x for v in verdicts for k, x in v.features.items()}
    return Verdict(all(v.ok for v in verdicts), max(v.score for v in verdicts), told.reason, features)
