"""Fits the thresholds of `PerplexityGuardrail` to labelled data.

Every development record is compressed at several keeps by good and by bad compressors, without a guardrail. A
compression of one segment counts as a loss when a string that the record's questions need stood in the segment and
stands nowhere in the whole output. A logistic regression on `PerplexityGuardrail.features` then estimates the
probability of a loss; the threshold is the lowest at which at most a stated share of the harmless compressions is
rejected. Figures are cross-validated by source: each set is judged by a model fitted on the others.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctxshrink.bench.data import load_sets
from ctxshrink.bench.scoring import Haystack
from ctxshrink.bench.stats import auroc
from ctxshrink.bench.tasks import TASKS
from ctxshrink.errors import ConfigError
from ctxshrink.guardrails import Calibration, PerplexityGuardrail
from ctxshrink.shrinker import Shrinker
from ctxshrink.types import Call, Trial

METHODS = ("pruner", "random")
FEATURES: Mapping[str, tuple[str, ...]] = {
    "query": ("anchor", "best", "cut", "dropped"),
    "blind": ("best", "dropped", "recovery"),
}


@dataclass(frozen=True, slots=True)
class Example:
    """One compression of one segment.

    Attributes:
        source: The set it is from.
        mode: ``query`` or ``blind``.
        features: As `PerplexityGuardrail.features` gives them.
        lost: True when needed text was lost.
        weight: Compressions that this one stands for: all losses are taken, and a sample of the harmless ones.
    """

    source: str
    mode: str
    features: Mapping[str, float]
    lost: bool
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Fit:
    """A calibration and how it does on sources that it was not fitted on.

    Attributes:
        calibration: Bias, weights and threshold.
        examples: Compressions that it was fitted on.
        losses: How many of them lost something.
        auroc: Cross-validated, pooled.
        auroc_by_source: Cross-validated, for each source that has both classes.
        caught: Share of the losses that are rejected, cross-validated, at the threshold.
        false_fallbacks: Share of the harmless compressions that are rejected.
        auroc_by_feature: Of each feature alone, the better of its two directions.
    """

    calibration: Calibration
    examples: int
    losses: int
    auroc: float
    auroc_by_source: Mapping[str, float]
    caught: float
    false_fallbacks: float
    auroc_by_feature: Mapping[str, float]


def examples(
    data: Path,
    *,
    keeps: Sequence[float] = (0.5, 0.25, 0.1),
    methods: Sequence[str] = METHODS,
    limit: int = 20,
    harmless: int = 6,
    guardrail: PerplexityGuardrail | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Example]:
    """Labelled compressions of the development half.

    Args:
        data: A folder with ``rag``, ``chat`` and ``tools`` as ``ctxshrink bench`` reads them, or some of these.
        keeps: Kept shares.
        methods: Compressors by name.
        limit: Records per set.
        harmless: Most harmless compressions per record, keep and method that are scored: they are many and alike.
        guardrail: Its scorer is used; default the embedded one.
        progress: Called with the name of each set.
    """
    guardrail = guardrail or PerplexityGuardrail()
    found: list[Example] = []
    for task in TASKS.values():
        if not (data / task.name).is_dir():
            continue
        for name, records in load_sets(data / task.name, task.parse, split="dev", limit=limit).items():
            progress(f"{task.name}/{name}")
            for record in records:
                query = getattr(record, "query", None)
                for method in methods:
                    shrinker = Shrinker(compressors=[method], guardrail=None)
                    for keep in keeps:
                        shrunk = task.shrink(shrinker, record, keep)
                        found += _label(task, name, record, shrunk, query, guardrail, harmless)
    return found


def _label(
    task: Any, source: str, record: Any, shrunk: Any, query: str | None, guardrail: PerplexityGuardrail, harmless: int
) -> list[Example]:
    result = shrunk.result
    changed = [d for d in result.decisions if d.action in ("compressed", "emptied", "forced")]
    kept = task.needed(record, shrunk.haystack)
    lost = [
        any(a and not b for a, b in zip(task.needed(record, Haystack(d.segment.text)), kept, strict=True))
        for d in changed
    ]
    quiet = [i for i, loss in enumerate(lost) if not loss]
    picked = {quiet[i * len(quiet) // harmless] for i in range(min(harmless, len(quiet)))} if quiet else set[int]()
    chosen = [i for i, loss in enumerate(lost) if loss or i in picked]
    if not chosen:
        return []
    trials = [Trial(changed[i].segment, changed[i].text, changed[i].spans) for i in chosen]
    tokens = {d.segment.id: d.tokens_before for d in result.decisions}
    segments = tuple(d.segment for d in result.decisions)
    call = Call(segments, tokens, Shrinker(guardrail=None).counter, query=query, anchor=query)
    mode = "query" if query else "blind"
    return [Example(source, mode, f, lost[i]) for i, f in zip(chosen, guardrail.features(trials, call), strict=True)]


def fit(found: Iterable[Example], mode: str, *, false_fallbacks: float = 0.1, ridge: float = 1.0) -> Fit:
    """Fit one mode.

    Args:
        found: Labelled compressions.
        mode: ``query`` or ``blind``.
        false_fallbacks: Share of the harmless compressions that the threshold may reject.
        ridge: L2 penalty on the weights of standardised features.

    Raises:
        ConfigError: There are no losses, or nothing else.
    """
    used = [e for e in found if e.mode == mode]
    names = FEATURES[mode]
    x = np.array([[e.features[n] for n in names] for e in used], dtype=np.float64).reshape(-1, len(names))
    y = np.array([e.lost for e in used], dtype=np.float64)
    if not 0 < y.sum() < len(y):
        raise ConfigError(f"data: {int(y.sum())} losses in {len(y)} {mode} examples; both classes are needed")
    w = np.array([e.weight for e in used])
    sources = np.array([e.source for e in used])
    crossed = np.zeros(len(y))
    for source in sorted(set(sources)):
        held = sources == source
        if 0 < y[~held].sum() < (~held).sum():
            crossed[held] = _predict(_logistic(x[~held], y[~held], w[~held], ridge), x[held])
    weights = _logistic(x, y, w, ridge)
    lost = y > 0
    threshold = float(np.quantile(crossed[~lost], 1 - false_fallbacks))
    by_source = {str(s): auroc(list(crossed[sources == s]), list(lost[sources == s])) for s in sorted(set(sources))}
    alone = {n: auroc(list(x[:, i]), list(lost)) for i, n in enumerate(names)}
    return Fit(
        Calibration(
            round(float(weights[0]), 4),
            {n: round(float(w), 4) for n, w in zip(names, weights[1:], strict=True)},
            round(threshold, 4),
        ),
        len(y),
        int(y.sum()),
        auroc(list(crossed), list(lost)),
        {s: a for s, a in by_source.items() if a == a},
        float((crossed[lost] > threshold).mean()),
        float((crossed[~lost] > threshold).mean()),
        {n: max(a, 1 - a) for n, a in alone.items()},
    )


def _logistic(
    x: NDArray[np.float64], y: NDArray[np.float64], weight: NDArray[np.float64], ridge: float
) -> NDArray[np.float64]:
    """Ridge logistic regression by Newton's method.

    Iteratively reweighted least squares (Hastie, Tibshirani and
    Friedman, The Elements of Statistical Learning, section 4.4.1).

    Returns:
        Bias and weights for the raw features, shape (1 + features,).
    """
    mean, scale = x.mean(0), x.std(0)
    scale[scale == 0] = 1.0
    z = np.hstack([np.ones((len(x), 1)), (x - mean) / scale])
    penalty = np.diag([1e-6] + [ridge] * x.shape[1])
    w = np.zeros(z.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(z @ w, -30, 30)))
        gradient = z.T @ (weight * (p - y)) + penalty @ w
        hessian = (z * (weight * p * (1 - p))[:, None]).T @ z + penalty
        step = np.linalg.solve(hessian, gradient)
        w = w - step
        if float(np.abs(step).max()) < 1e-8:
            break
    raw = w[1:] / scale
    return np.concatenate([[w[0] - float(raw @ mean)], raw])


def _predict(weights: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-np.clip(weights[0] + x @ weights[1:], -30, 30)))


def save(fits: Mapping[str, Fit], folder: Path) -> None:
    """Write ``config.json`` with the calibrations and the figures behind them."""
    stored = {
        mode: {"bias": f.calibration.bias, "weights": dict(f.calibration.weights), "threshold": f.calibration.threshold}
        for mode, f in fits.items()
    }
    figures = {mode: _figures(f) for mode, f in fits.items()}
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"calibrations": stored, "figures": figures}, indent=1)
    (folder / "config.json").write_text(text + "\n", "utf-8")


def _figures(fitted: Fit) -> dict[str, Any]:
    return {
        "examples": fitted.examples,
        "losses": fitted.losses,
        "auroc": round(fitted.auroc, 3),
        "auroc_by_source": {s: round(a, 3) for s, a in fitted.auroc_by_source.items()},
        "auroc_by_feature": {n: round(a, 3) for n, a in fitted.auroc_by_feature.items()},
        "caught": round(fitted.caught, 3),
        "false_fallbacks": round(fitted.false_fallbacks, 3),
    }
