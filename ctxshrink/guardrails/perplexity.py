"""`PerplexityGuardrail`: estimates from rankings, facts and a causal language model what a compression lost."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from ctxshrink.errors import ConfigError
from ctxshrink.types import Call, Scorer, Trial, Verdict

from ._needs import mode_of
from ._omission import FEATURES, Omission, cuts_units, output_omission, segment_omissions
from ._reasons import explain
from ._single import single_call
from ._terms import RANGES, TERMS, term_values
from .detector import Adjustment, Detector, Level, check_miss_rate, load_detector
from .fidelity import check_trial, verbatim

_log = logging.getLogger("ctxshrink")

MAX_MISS_RATE = 0.05
"""Share of the needed strings that may be lost unless the caller says otherwise."""


class PerplexityGuardrail:
    """Rejects a compression that probably lost text which is needed.

    Two questions, asked for each segment and then once for the whole output:

    - Does what is left still say the same? Texts that are not verbatim are aligned with the original: numbers that are
      altered, exchanged or cut, negations that are gone, words that the original does not have (`fidelity`).
    - Was something left out that is needed? Each unit of the call has an estimated probability of being needed, from
      its relevance for the query, or its salience without one, its place in the ranking, its facts and its size. What
      was left out weighs by that and by the share of its words that stand nowhere in what was kept. For segments, a
      causal language model adds likelihood ratios: with a query q the anchor term A = [NLL(q | y) - NLL(q | x)] / |q|
      of a text x compressed to y, the log of the ratio of the query's perplexities (query likelihood as relevance:
      Ponte and Croft, SIGIR 1998); without one the recovery term R = 1 - NLL(d | y) / NLL(d) of the dropped text d; in
      both cases a cloze probe, the same for a fact of what was dropped after the words before it.

    Logistic models over these, fitted on labelled data (`load_detector`), give the score. The language model is asked
    only where it can change the verdict, and where it fails the models do without it.

    Args:
        scorer: The language model; default the embedded one, loaded at first use.
        max_miss_rate: Largest share of the needed strings that what is accepted may have lost on average, in (0, 1):
            it picks the operating point on the curve that was measured when the detector was fitted.
        threshold: Reject above this estimated risk instead, in (0, 1].
        detector: The fitted models; default the shipped ones.
        adjustments: How your own traffic differs, by mode (``query``, ``blind``), see ``ctxshrink calibrate``.

    Raises:
        ConfigError: A setting is out of range.
        ModelError: The shipped models are missing or damaged.
    """

    name = "perplexity"

    def __init__(
        self,
        scorer: Scorer | None = None,
        *,
        max_miss_rate: float = MAX_MISS_RATE,
        threshold: float | None = None,
        detector: Detector | None = None,
        adjustments: Mapping[str, Adjustment] = MappingProxyType({}),
    ) -> None:
        if threshold is not None and not 0 < threshold <= 1:
            raise ConfigError(f"threshold must be a probability in (0, 1]; got {threshold!r}")
        unknown = set(adjustments) - {"query", "blind"}
        if unknown:
            raise ConfigError(f'adjustments are by mode, "query" or "blind"; got {sorted(unknown)}')
        self.max_miss_rate = check_miss_rate(max_miss_rate)
        self.threshold = threshold
        self.adjustments = dict(adjustments)
        self._detector = detector
        self._scorer = scorer

    @property
    def scorer(self) -> Scorer:
        """The language model; the embedded one is shared in the process and loads at its first use."""
        if self._scorer is None:
            from ctxshrink.scorers import EmbeddedScorer

            self._scorer = EmbeddedScorer()
        return self._scorer

    @property
    def detector(self) -> Detector:
        """The fitted models; the shipped ones are read at the first use."""
        if self._detector is None:
            self._detector = load_detector()
        return self._detector

    def __repr__(self) -> str:
        told = f"threshold={self.threshold}" if self.threshold is not None else f"max_miss_rate={self.max_miss_rate}"
        return f"PerplexityGuardrail({self._scorer and self._scorer.name!r}, {told}, adjustments={self.adjustments})"

    def limit(self, mode: str, level: Level = "output") -> float:
        """The highest estimated risk that is accepted.

        Args:
            mode: ``query`` or ``blind``.
            level: ``segment`` or ``output``; of outputs it is the risk after the mode's adjustment.
        """
        if self.threshold is not None:
            return self.threshold
        adjusted, rate = self.adjustments.get(mode), self.max_miss_rate
        if adjusted is not None and adjusted.threshold is not None:
            if level == "output":
                return adjusted.threshold
            # Segments are let through as the shipped curve would at the outputs' limit.
            rate = self.detector.miss_rate(mode, adjusted.revert(adjusted.threshold))
        return self.detector.limit(mode, level, rate)

    def check(self, trials: Sequence[Trial], call: Call, /) -> list[Verdict]:
        """One verdict per trial; the score is the estimated probability that needed text of its segment was lost.

        Where the verdict is the same whatever the language model says (its terms are cut to `RANGES`), it is not asked:
        the score is then the bound nearest to the limit, and the features lack the terms.
        """
        return self._check(trials, call, frugal=True)

    def check_output(self, trials: Sequence[Trial], call: Call, /) -> Verdict:
        """The whole output; the score is the estimated share of the needed strings that it lost.

        Of a text in other words a unit of the original counts as kept where some units of the text have its values, its
        names and nearly all of its words, or as many new ones in their stead: the score then means what it means for
        extracts. One that says something else is rejected here too.

        Args:
            trials: The segments that came out changed.
            call: The call.
        """
        changed = [t for t in trials if not _unchanged(t)]
        if not changed:
            return _SAME
        if (altered := _altered(changed, call)) is not None:
            return altered
        mode = mode_of(call)
        omission = output_omission(changed, call, self.detector)
        features = omission.features()
        raw = float(self.detector.output[mode].risk(features[None])[0])
        adjusted = self.adjustments.get(mode)
        risk = max(_LEAST, round(raw if adjusted is None else adjusted.apply(raw), 4))
        limit = self.limit(mode)
        return Verdict(
            risk <= limit, risk, explain(omission, changed, call, risk, limit), _named(features, {"raw": round(raw, 4)})
        )

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
        call = single_call(original, query, anchor)
        trial = Trial(call.segments[0], compressed)
        [verdict] = self._check([trial], call, frugal=False)
        whole = self.check_output([trial], call)
        return verdict if not verdict.ok or whole.ok else Verdict(False, whole.score, whole.reason, verdict.features)

    def _check(self, trials: Sequence[Trial], call: Call, frugal: bool) -> list[Verdict]:
        out: dict[int, Verdict] = {}
        for i, trial in enumerate(trials):
            if _unchanged(trial):
                out[i] = _SAME
            elif (changed := _changed(trial, call)) is not None:
                out[i] = changed
        pending = [i for i in range(len(trials)) if i not in out]
        if pending:
            judged = self._omissions([trials[i] for i in pending], call, frugal)
            out |= dict(zip(pending, judged, strict=True))
        return [out[i] for i in range(len(trials))]

    def _omissions(self, trials: Sequence[Trial], call: Call, frugal: bool) -> list[Verdict]:
        mode, detector = mode_of(call), self.detector
        limit, weights = self.limit(mode, "segment"), detector.terms.get(mode, {})
        found = segment_omissions(trials, call, detector)
        features = np.stack([o.features() for o in found])
        cheap = detector.segment[mode].risk(features)
        low, high = zip(*(_ends(float(r), weights) for r in cheap), strict=True)
        open_ = [i for i in range(len(trials)) if weights and (not frugal or low[i] <= limit < high[i])]
        terms = self._terms([trials[i] for i in open_], [found[i] for i in open_], call, weights)
        told = dict(zip(open_, terms, strict=True))
        verdicts: list[Verdict] = []
        for i, (trial, omission) in enumerate(zip(trials, found, strict=True)):
            said = told.get(i, {})
            risk = round(_shifted(float(cheap[i]), weights, said), 4)
            if weights and i not in told:
                risk = high[i] if high[i] <= limit else low[i]
            reason = explain(omission, [trial], call, risk, limit, said)
            verdicts.append(Verdict(risk <= limit, risk, reason, _named(features[i], said)))
        return verdicts

    def _terms(
        self, trials: Sequence[Trial], found: Sequence[Omission], call: Call, names: Collection[str]
    ) -> list[dict[str, float]]:
        """The language model's terms; none where it fails: the models do without them."""
        if not trials:
            return []
        try:
            return term_values(self.scorer, trials, found, call, names)
        except Exception as error:  # noqa: BLE001  fail open: rankings and facts judge without the language model
            _log.warning("scorer failed (%s): judged without the language model", type(error).__name__)
            return [{} for _ in trials]


_LEAST = 1e-4
"""Scores have four decimals; that of an output which left something out is never rounded to 0: a limit of 0 rejects
it."""
_CHANGED = "ctxshrink.guardrails.changed"
_SAME = Verdict(True, 0.0, "nothing but white space was left out")


def _unchanged(trial: Trial) -> bool:
    return trial.text.split() == trial.basis.split()


def _altered(trials: Sequence[Trial], call: Call) -> Verdict | None:
    """The first rejection of a text in other words that says something else; extracts are judged in `check` alone."""
    return next((v for t in trials if t.rewritten and (v := _changed(t, call)) is not None), None)


def _changed(trial: Trial, call: Call) -> Verdict | None:
    """A rejection where what is left says something else; None where it is whole units or says the same."""
    if trial.rewritten:  # judged in `check`, and again with each whole output that it is a part of
        known: dict[tuple[str, str], Verdict | None] = call.cache.setdefault(_CHANGED, {})
        key = trial.segment.id, trial.text.removesuffix(trial.segment.reference).rstrip("\n")
        if key not in known:
            found = check_trial(trial, call.query)
            known[key] = None if found.ok else Verdict(False, 1.0, f"the compression {found.reason}", found.features)
        return known[key]
    spans = trial.spans if trial.source is None else None
    if spans is not None and verbatim(trial.basis, trial.text, spans) and not cuts_units(trial, call):
        return None
    found = check_trial(trial, call.query)
    return None if found.ok else Verdict(False, 1.0, f"the compression {found.reason}", found.features)


def _ends(cheap: float, weights: Mapping[str, float]) -> tuple[float, float]:
    """The lowest and the highest risk that the language model's terms can lead to."""
    ends = [sorted((weights[t] * RANGES[t][0], weights[t] * RANGES[t][1])) for t in TERMS if t in weights]
    low, high = (_moved(cheap, sum(e[side] for e in ends)) for side in (0, 1))
    return round(low, 4), round(high, 4)  # as scores are, so that the bounds decide as the score would


def _shifted(cheap: float, weights: Mapping[str, float], terms: Mapping[str, float]) -> float:
    known = [t for t in TERMS if t in weights and math.isfinite(terms.get(t, math.nan))]
    return _moved(cheap, sum(weights[t] * terms[t] for t in known)) if known else cheap


def _moved(risk: float, by: float) -> float:
    inside = min(max(risk, 1e-9), 1 - 1e-9)
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, math.log(inside / (1 - inside)) + by))))


def _named(features: np.ndarray[tuple[int, ...], np.dtype[np.float64]], more: Mapping[str, float]) -> dict[str, float]:
    named = {name: round(float(value), 4) for name, value in zip(FEATURES, features, strict=True)}
    return named | {k: v for k, v in more.items() if math.isfinite(v)}
