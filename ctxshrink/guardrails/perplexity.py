"""`PerplexityGuardrail`: asks rankings and a causal language model what a compression lost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ctxshrink.compressors._index import index
from ctxshrink.compressors.extractive import best_dropped, lexical_shares
from ctxshrink.compressors.pruner import relevance_shares
from ctxshrink.errors import ConfigError
from ctxshrink.types import Call, Scorer, Segment, Trial, Verdict

from ._single import single_call
from .calibration import RANGES, Calibration, load_calibrations
from .likelihood import Likelihoods, dropped_text


def _unchanged(trial: Trial) -> bool:
    return trial.text.split() == trial.basis.split()


class PerplexityGuardrail:
    """Rejects a compression after which the text that matters is harder to tell.

    For a segment x compressed to y:

    - with a query q, the anchor term A = [NLL(q | y) - NLL(q | x)] / |q|, the log of the ratio of the query's
      perplexities, with the best window of each text where it is longer than one;
    - without one, the recovery term R = 1 - NLL(d | y) / NLL(d) for the dropped text d: how much of it can be told
      from what was kept;
    - with both, the share dropped and the best rank of anything that was dropped, by words and by the pruner.

    A logistic model over these, fitted on labelled data ("the answer was lost"), gives the score. `check` asks the
    language model only where its answer can change the verdict. Both terms are
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
            from ctxshrink.scorers import EmbeddedScorer

            self._scorer = EmbeddedScorer()
        return self._scorer

    def __repr__(self) -> str:
        return f"PerplexityGuardrail({self._scorer and self._scorer.name!r}, threshold={self.threshold})"

    def features(self, trials: Sequence[Trial], call: Call, /) -> list[dict[str, float]]:
        """The numbers behind the scores, by name, one dict per trial; all likelihoods in one batch.

        Returns:
            ``dropped``: share of the characters left out; ``best``: highest rank of anything that was left out, as a
            share of the highest in the call, by words alone; ``cut``: the same by the pruner; with a query ``anchor``
            (A, nats per token), without one ``recovery`` (R), both cut to `RANGES`, NaN where the scorer gave no
            number.
        """
        return self._with_likelihoods(trials, _cheap(trials, call), call.query)

    def _with_likelihoods(
        self, trials: Sequence[Trial], cheap: Sequence[Mapping[str, float]], query: str | None
    ) -> list[dict[str, float]]:
        if not trials:
            return []
        likelihoods = Likelihoods(self.scorer)
        for trial in trials:
            if query:
                likelihoods.want_anchor(trial.basis, trial.text, query)
            else:
                likelihoods.want_recovery(dropped_text(trial), trial.text)
        likelihoods.run()
        return [{**c, **_term(t, query, likelihoods)} for t, c in zip(trials, cheap, strict=True)]

    def check(self, trials: Sequence[Trial], call: Call, /) -> list[Verdict]:
        """One verdict per trial.

        Where the verdict is the same whatever the language model says (its terms are cut to `RANGES`), it is not asked:
        the score is then the bound nearest to the threshold, and the features lack the term.

        Raises:
            ModelError: The scorer was needed and cannot be loaded.
        """
        return self._check(trials, call, frugal=True)

    def _check(self, trials: Sequence[Trial], call: Call, frugal: bool) -> list[Verdict]:
        calibration = (self._calibrations or load_calibrations())["query" if call.query else "blind"]
        limit = calibration.threshold if self.threshold is None else self.threshold
        changed = [i for i, t in enumerate(trials) if not _unchanged(t)]
        found = dict(zip(changed, _cheap([trials[i] for i in changed], call), strict=True))
        verdicts = {i: v for i, f in found.items() if frugal and (v := _decided(calibration, limit, f, call.query))}
        asked = [i for i in changed if i not in verdicts]
        full = self._with_likelihoods([trials[i] for i in asked], [found[i] for i in asked], call.query)
        verdicts |= {i: _verdict(calibration, limit, f) for i, f in zip(asked, full, strict=True)}
        return [verdicts.get(i, _SAME) for i in range(len(trials))]

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
        [verdict] = self._check(
            [Trial(Segment("0", original), compressed)], single_call(original, query, anchor), False
        )
        return verdict


_SAME = Verdict(True, 0.0, "nothing but white space was left out")


def _cheap(trials: Sequence[Trial], call: Call) -> list[dict[str, float]]:
    """The features that need no language model."""
    if not trials:
        return []
    best = best_dropped(trials, call, lexical_shares(index(call), call))
    cut = best_dropped(trials, call, relevance_shares(call)) if call.query else best
    return [{"dropped": _dropped(t), "best": b, "cut": c} for t, b, c in zip(trials, best, cut, strict=True)]


def _dropped(trial: Trial) -> float:
    size = sum(map(len, trial.basis.split()))
    return round(max(0.0, 1 - sum(map(len, trial.text.split())) / size), 4) if size else 0.0


def _term(trial: Trial, query: str | None, likelihoods: Likelihoods) -> dict[str, float]:
    before, after = trial.basis, trial.text
    name = "anchor" if query else "recovery"
    value = likelihoods.anchor(before, after, query) if query else likelihoods.recovery(dropped_text(trial), after)
    low, high = RANGES[name]
    return {name: round(min(max(value, low), high), 4) if math.isfinite(value) else math.nan}


def _decided(
    calibration: Calibration, limit: float, features: Mapping[str, float], query: str | None
) -> Verdict | None:
    """The verdict where both ends of the language model's range lead to the same one."""
    name = "anchor" if query else "recovery"
    low, high = sorted(round(calibration.risk({**features, name: end}), 4) for end in RANGES[name])
    if low <= limit < high:
        return None
    ok = high <= limit
    risk = high if ok else low
    return Verdict(ok, risk, _reason(risk, limit, features, "at most" if ok else "at least"), features)


def _verdict(calibration: Calibration, limit: float, features: Mapping[str, float]) -> Verdict:
    if not all(map(math.isfinite, features.values())):
        return Verdict(False, 1.0, "the scorer gave a likelihood that is not a number", features)
    risk = round(calibration.risk(features), 4)
    return Verdict(risk <= limit, risk, _reason(risk, limit, features), features)


def _reason(risk: float, limit: float, features: Mapping[str, float], bound: str = "") -> str:
    told = f"what was dropped ranks up to {features.get('cut', features['best']):.0%} of the best in the call"
    if "anchor" in features:
        told += f", the query's perplexity changes by a factor of {math.exp(features['anchor']):.2f}"
    elif "recovery" in features:
        told += f", {max(0.0, features['recovery']):.0%} of it can be told from what was kept"
    about = f"{bound} {risk:.2f}, whatever the language model says," if bound else f"{risk:.2f}"
    return f"{told}; risk {about} {'<=' if risk <= limit else '>'} {limit:.2f}"
