"""Guardrails: is the compression still good for what it is needed for?

`PerplexityGuardrail` asks a causal language model; `KeepFacts` is a rule; `AllOf` joins several. The perplexity of the
short text by itself says nothing (dropping whole sentences leaves fluent text), so what is scored is how well the text
that matters, the query or what was dropped, can be told from what is left.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from .compressors.extractive import best_dropped
from .errors import ConfigError, ModelError
from .facts import FactKind, facts
from .likelihood import Likelihoods, dropped_text
from .types import Call, Goal, Scorer, Segment, Trial, Verdict

SHIPPED = Path(__file__).parent / "models" / "guardrail" / "config.json"
"""The shipped calibrations."""

_FACT_KINDS: frozenset[FactKind] = frozenset({"number", "date", "id", "name", "negation"})


@dataclass(frozen=True, slots=True)
class _NoCounter:
    """Stands in where `judge` is called outside a `Shrinker`: guardrails do not count tokens."""

    name: str = "none"
    exact: bool = False

    def count(self, texts: Sequence[str], /) -> list[int]:
        return [0] * len(texts)


def _single(original: str, query: str | None, anchor: str | None) -> Call:
    return Call((Segment("0", original),), {"0": 0}, _NoCounter(), Goal(), query, anchor or query)


def _unchanged(trial: Trial) -> bool:
    return trial.text.split() == trial.segment.text.split()


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
        [verdict] = self.check([Trial(Segment("0", original), compressed)], _single(original, query, anchor))
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


def _join(verdicts: tuple[Verdict, ...]) -> Verdict:
    told = next((v for v in verdicts if not v.ok), max(verdicts, key=lambda v: v.score))
    features = {k: x for v in verdicts for k, x in v.features.items()}
    return Verdict(all(v.ok for v in verdicts), max(v.score for v in verdicts), told.reason, features)


@dataclass(frozen=True, slots=True)
class Calibration:
    """A logistic model over the features of one compression.

    p(needed text was lost) = 1 / (1 + exp(-(bias + Σ weights[f] · feature f))).

    Attributes:
        bias: Intercept.
        weights: By feature name.
        threshold: Rejected above this probability.
    """

    bias: float
    weights: Mapping[str, float]
    threshold: float

    def risk(self, features: Mapping[str, float]) -> float:
        """Estimated probability in [0, 1] that needed text was lost."""
        z = self.bias + sum(w * features.get(f, 0.0) for f, w in self.weights.items())
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, z))))


@lru_cache(maxsize=8)
def load_calibrations(file: Path = SHIPPED) -> Mapping[str, Calibration]:
    """Fitted models by mode: ``query`` (a query is known) and ``blind`` (none is).

    Args:
        file: A ``config.json`` as ``ctxshrink train guardrail`` writes it; default the shipped one, see its CARD.md.

    Raises:
        ModelError: The file is missing or damaged.
    """
    try:
        stored = json.loads(file.read_text("utf-8"))["calibrations"]
        return {mode: _calibration(stored[mode]) for mode in ("query", "blind")}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"guardrail calibration {file.name} is missing or damaged; reinstall ctxshrink") from error


def _calibration(stored: Mapping[str, Any]) -> Calibration:
    weights = {str(k): float(w) for k, w in stored["weights"].items()}
    return Calibration(float(stored["bias"]), weights, float(stored["threshold"]))


class PerplexityGuardrail:
    """Rejects a compression after which the text that matters is harder to tell.

    For a segment x compressed to y:

    - with a query q, the anchor term A = [NLL(q | y) - NLL(q | x)] / |q|, the log of the ratio of the query's
      perplexities, with the best window of each text where it is longer than one;
    - without one, the recovery term R = 1 - NLL(d | y) / NLL(d) for the dropped text d: how much of it can be told
      from what was kept;
    - with both, the share dropped and the best lexical rank of anything that was dropped.

    A logistic model over these, fitted on labelled data ("the answer was lost"), gives the score. Both terms are
    likelihood ratios under a causal language model; query likelihood as a measure
    of relevance is from Ponte and Croft (SIGIR 1998).

    Args:
        scorer: The language model; default the embedded one, loaded at first use.
        threshold: Reject above this estimated probability of loss, in (0, 1]; default the shipped one.
        calibrations: Fitted models under ``query`` and ``blind``, see `load_calibrations`; default the shipped ones.

    Raises:
        ConfigError: The threshold is out of range.
    """

    name = "perplexity"

    def __init__(
        self,
        scorer: Scorer | None = None,
        *,
        threshold: float | None = None,
        calibrations: Mapping[str, Calibration] | None = None,
    ) -> None:
        if threshold is not None and not 0 < threshold <= 1:
            raise ConfigError(f"threshold must be a probability in (0, 1]; got {threshold!r}")
        self.threshold = threshold
        self._calibrations = calibrations
        self._scorer = scorer

    @property
    def scorer(self) -> Scorer:
        """The language model; the embedded one is shared in the process and loads at its first use."""
        if self._scorer is None:
            from .scorers import EmbeddedScorer

            self._scorer = EmbeddedScorer()
        return self._scorer

    def __repr__(self) -> str:
        return f"PerplexityGuardrail({self._scorer and self._scorer.name!r}, threshold={self.threshold})"

    def features(self, trials: Sequence[Trial], call: Call, /) -> list[dict[str, float]]:
        """The numbers behind the scores, by name, one dict per trial; all likelihoods in one batch.

        Returns:
            ``dropped``: share of the characters left out; ``best``: highest rank of anything that was left out, as a
            share of the highest in the call, by the `extractive` compressor's lexical rank; with a query ``anchor`` (A,
            nats per token), without one ``recovery`` (R, at most 1).
        """
        likelihoods = Likelihoods(self.scorer)
        query = call.query
        for trial in trials:
            if query:
                likelihoods.want_anchor(trial.segment.text, trial.text, query)
            else:
                likelihoods.want_recovery(dropped_text(trial), trial.text)
        likelihoods.run()
        best = best_dropped(trials, call)
        return [{**_features(t, query, likelihoods), "best": b} for t, b in zip(trials, best, strict=True)]

    def check(self, trials: Sequence[Trial], call: Call, /) -> list[Verdict]:
        """One verdict per trial. Raises `ModelError` where the scorer cannot be loaded or gives no numbers."""
        calibration = (self._calibrations or load_calibrations())["query" if call.query else "blind"]
        limit = calibration.threshold if self.threshold is None else self.threshold
        changed = [t for t in trials if not _unchanged(t)]
        found = iter(self.features(changed, call) if changed else [])
        verdicts: list[Verdict] = []
        for trial in trials:
            if _unchanged(trial):
                verdicts.append(Verdict(True, 0.0, "only whitespace changed"))
                continue
            features = next(found)
            risk = round(calibration.risk(features), 4)
            verdicts.append(Verdict(risk <= limit, risk, _reason(risk, limit, features), features))
        return verdicts

    def judge(self, original: str, compressed: str, query: str | None = None, anchor: str | None = None) -> Verdict:
        """Judge one compression outside a `Shrinker`.

        Args:
            original: The text before.
            compressed: The text after.
            query: The question that it shall serve, if known.
            anchor: Other text that the answer depends on; used where there is no query.

        Returns:
            The verdict; its score is the estimated probability that needed text was lost.
        """
        query = query or anchor
        [verdict] = self.check([Trial(Segment("0", original), compressed)], _single(original, query, anchor))
        return verdict


def _features(trial: Trial, query: str | None, likelihoods: Likelihoods) -> dict[str, float]:
    before, after = trial.segment.text, trial.text
    size = sum(map(len, before.split()))
    dropped = max(0.0, 1 - sum(map(len, after.split())) / size) if size else 0.0
    if not query:
        recovery = likelihoods.recovery(dropped_text(trial), after)
        return {"dropped": round(dropped, 4), "recovery": round(recovery, 4)}
    anchor = likelihoods.anchor(before, after, query)
    return {"dropped": round(dropped, 4), "anchor": round(anchor, 4)}


def _reason(risk: float, limit: float, features: Mapping[str, float]) -> str:
    told = f"what was dropped ranks up to {features['best']:.0%} of the best in the call"
    if "anchor" in features:
        told += f", the query's perplexity changes by a factor of {math.exp(min(20.0, features['anchor'])):.2f}"
    else:
        told += f", {max(0.0, features['recovery']):.0%} of it can be told from what was kept"
    return f"{told}; risk {risk:.2f} {'<=' if risk <= limit else '>'} {limit:.2f}"
