"""From data to a policy file's settings, with the figures behind them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from ctxshrink.errors import ConfigError
from ctxshrink.guardrails import PerplexityGuardrail
from ctxshrink.policyfile import Settings
from ctxshrink.shrinker import Shrinker

from .examples import MODES, Data, Mode
from .fit import ModeFit, fit_mode, records_to_loosen
from .floors import Floors, Trial, keep_floors, try_floors
from .observations import Observation, Observed, by_record, observe
from .settings import live_rates, make_settings, with_rates
from .validate import Outcome, Validation, held_out, validate

KEEPS: Final = (0.1, 0.25, 0.5)
STAGES: Final = ("compressing and judging", "trying keep floors", "shrinking with the calibrated guardrail")
"""What `calibrate` does, in order."""
LEAST_RECORDS: Final = 10
"""Records of a mode below which nothing is fitted: ten without a loss may still lose a quarter of all."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What ``ctxshrink calibrate`` found.

    Attributes:
        settings: For the policy file.
        fits: Adjustments by mode.
        validations: How they do on held-out folds, by mode.
        floors: The smallest keeps at which each kind of text of a conversation loses little.
        trial: Whether these help as floors of `Adaptive`; they are in the settings only if they do.
        observed: What they rest on.
        notes: What the user should know: few records, no losses, modes left as shipped.
    """

    settings: Settings
    fits: Mapping[Mode, ModeFit]
    validations: Mapping[Mode, Validation]
    floors: Floors
    trial: Trial | None
    observed: Observed
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything but the observations, for JSON."""
        return {
            "modes": {mode: _mode_dict(self.fits[mode], v) for mode, v in self.validations.items()},
            "floors": {
                name: {str(k): round(x, 5) for k, x in rows.items()} for name, rows in self.floors.losses.items()
            },
            "keep": self.settings.policy.keep,
            "absent": self.observed.absent,
            "unscored": self.observed.unscored,
            "notes": list(self.notes),
        }


def _mode_dict(fit: ModeFit, validation: Validation) -> dict[str, Any]:
    def named(outcomes: tuple[Outcome, Outcome, Outcome]) -> dict[str, Any]:
        return dict(zip(("calibrated", "shipped", "unguarded"), (o.to_dict() for o in outcomes), strict=True))

    a = fit.adjustment
    return {
        "records": validation.records,
        "needed": validation.needed,
        "adjustment": {"slope": a.slope, "intercept": a.intercept, "threshold": a.threshold},
        "shipped_threshold": fit.shipped,
        "all": named((validation.calibrated, validation.shipped, validation.unguarded)),
        "keeps": {str(keep): named(outcomes) for keep, outcomes in validation.by_keep.items()},
    }


def calibrate(
    data: Data,
    max_miss_rate: float = 0.02,
    *,
    keeps: Sequence[float] = KEEPS,
    guardrail: PerplexityGuardrail | None = None,
    shrinker: Shrinker | None = None,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> Calibration:
    """Fit the guardrail and the keep floors to data.

    Args:
        data: See `read_labelled` and `read_traces`.
        max_miss_rate: Most of the needed strings that may be lost, in (0, 1).
        keeps: Shares to keep that are tried, in (0, 1).
        guardrail: The one to adjust; default the shipped one at this ``max_miss_rate``.
        shrinker: Compresses; default `Shrinker` without a guardrail.
        seed: Of the bootstrap.
        progress: Called with the stage that begins, or goes on with the next example.

    Raises:
        ConfigError: An argument is out of range, or there is too little data.
    """
    check_limit(max_miss_rate)
    tried = check_keeps(keeps)
    if len(data.examples) < LEAST_RECORDS:
        raise ConfigError(_too_few(data, len(data.examples), max_miss_rate))
    guardrail = guardrail or PerplexityGuardrail(max_miss_rate=max_miss_rate)
    observed = observe(data, guardrail, tried, shrinker=shrinker, progress=lambda _: progress(STAGES[0]))
    limits: dict[Mode, float] = {mode: guardrail.limit(mode) for mode in MODES}
    progress(STAGES[1])
    trial = try_floors(data.examples, observed.observations, max_miss_rate, tried) if shrinker is None else None
    found = from_observations(data, observed, max_miss_rate, limits, trial, seed=seed)
    adjusted = PerplexityGuardrail(
        guardrail.scorer,
        max_miss_rate=guardrail.max_miss_rate,
        detector=guardrail.detector,
        adjustments={mode: fit.adjustment for mode, fit in found.fits.items()},
    )
    progress(STAGES[2])
    settings = with_rates(found.settings, live_rates(data.examples, adjusted, tried))
    return replace(found, settings=settings)


def from_observations(
    data: Data,
    observed: Observed,
    max_miss_rate: float,
    limits: Mapping[Mode, float],
    trial: Trial | None = None,
    *,
    seed: int = 0,
) -> Calibration:
    """`calibrate` after the work: the fits, their figures and the settings.

    Args:
        data: What was observed.
        observed: At every keep.
        max_miss_rate: As in `calibrate`.
        limits: The shipped thresholds.
        trial: Whether keep floors help.
        seed: As in `calibrate`.

    Raises:
        ConfigError: There is too little data.
    """
    fits: dict[Mode, ModeFit] = {}
    validations: dict[Mode, Validation] = {}
    notes = _data_notes(data, observed)
    for mode in MODES:
        rows = [o for o in observed.observations if o.mode == mode]
        records = len(by_record(rows))
        if records < LEAST_RECORDS:
            if records:
                notes.append(f"{mode}: {records} records are too few ({LEAST_RECORDS} are needed); left as shipped")
            continue
        if not any(math.isfinite(o.risk) for o in rows):
            raise ConfigError(
                "the guardrail's scores are no numbers for any record: check its scorer (ctxshrink doctor)"
            )
        fits[mode] = fit_mode(rows, max_miss_rate, limits[mode])
        accepted = held_out(rows, max_miss_rate, limits[mode], certified=fits[mode].certified)
        validations[mode] = validate(rows, accepted, seed)
        notes += _mode_notes(mode, rows, fits[mode], max_miss_rate)
    if not fits:
        raise ConfigError(_too_few(data, len(by_record(observed.observations)), max_miss_rate))
    floors = keep_floors(observed.observations, max_miss_rate)
    if trial is not None:
        verdict = "written" if trial.helped else "not written: they do not help"
        notes.append(
            "keep floors by kind, fitted on half of the conversations and tried on the others, lose "
            f"{trial.lost_with:.1%} instead of {trial.lost:.1%} at {trial.kept_with:.0%} instead of {trial.kept:.0%} "
            f"of the tokens: {verdict}"
        )
    used = floors if trial is not None and trial.helped else Floors({}, {}, {})
    settings = make_settings(data, max_miss_rate, fits, validations, used)
    return Calibration(settings, fits, validations, floors, trial, observed, tuple(notes))


def check_limit(max_miss_rate: float) -> None:
    """Raise a `ConfigError` unless it is a share in (0, 1)."""
    if not 1e-6 <= max_miss_rate <= 1 - 1e-6:
        raise ConfigError(f"max_miss_rate must be a share of the needed strings in (0, 1); got {max_miss_rate!r}")


def check_keeps(keeps: Sequence[float]) -> list[float]:
    """The keeps, rising, each once, or a `ConfigError`."""
    if not keeps or not all(1e-6 <= k <= 1 - 1e-6 for k in keeps):
        raise ConfigError(f"keeps must be shares in (0, 1), at least one; got {list(keeps)}")
    return sorted({float(k) for k in keeps})


def _too_few(data: Data, usable: int, limit: float) -> str:
    held = f"{data.name} holds {usable} usable records"
    rest = f" ({data.unlabelled} more name nothing that is needed)" if data.unlabelled else ""
    return (
        f"{held}{rest}: at least {LEAST_RECORDS} of one mode are needed to calibrate, and "
        f"{records_to_loosen(limit)} or more to accept more than as shipped"
    )


def _data_notes(data: Data, observed: Observed) -> list[str]:
    notes: list[str] = []
    if data.unlabelled:
        notes.append(f"{data.unlabelled} records name nothing that is needed: not used")
    if observed.absent:
        notes.append(
            f"{observed.absent} records have nothing that could be lost: what they need is not in their input, or "
            "in its exact part: not used"
        )
    if observed.unscored:
        notes.append(f"{observed.unscored} outputs got no finite risk from the guardrail: counted as rejected")
    return notes


def _mode_notes(mode: Mode, rows: Sequence[Observation], fit: ModeFit, limit: float) -> list[str]:
    notes: list[str] = []
    lost = sum(o.lost > 0 for o in rows)
    if not lost:
        notes.append(f"{mode}: everything needed was kept at every keep; the data says nothing about higher risks")
    elif all(o.lost == 1 for o in rows):
        notes.append(f"{mode}: everything needed was lost at every keep")
    if not any(fit.accepts(o.risk) for o in rows if not o.risk <= 0):
        notes.append(
            f"{mode}: no compression is accepted at a miss rate of {limit:g}; try larger keeps, or a "
            "larger --max-miss-rate"
        )
    if not fit.certified:
        notes.append(
            f"{mode}: {fit.records} records are few: wide intervals, and nothing is accepted that the shipped "
            f"threshold rejects; {records_to_loosen(limit)} are needed for that at a miss rate of {limit:g}"
        )
    return notes
