"""From fits and figures to the settings of a policy file."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from ctxshrink._environment import version
from ctxshrink.drift import rejected_nothing
from ctxshrink.guardrails import PerplexityGuardrail
from ctxshrink.policyfile import (
    AdjustmentSettings,
    CalibrationSettings,
    GuardrailSettings,
    ModeFigures,
    PolicySettings,
    Settings,
)
from ctxshrink.shrinker import Shrinker

from .examples import MODES, Data, Example, Mode
from .fit import ModeFit
from .floors import Floors
from .validate import Validation

LIVE_RECORDS: Final = 150
"""Most records of a mode that are shrunk once more, with the calibrated guardrail, to count what it rejects."""


def make_settings(
    data: Data,
    max_miss_rate: float,
    fits: Mapping[Mode, ModeFit],
    validations: Mapping[Mode, Validation],
    floors: Floors,
) -> Settings:
    """The settings, with acceptance rates as on held-out folds; see `with_rates`."""
    adjustments = {
        mode: AdjustmentSettings(f.adjustment.slope, f.adjustment.intercept, f.adjustment.threshold)
        for mode, f in fits.items()
    }
    figures = {mode: _figures(v) for mode, v in validations.items()}
    today = datetime.datetime.now(datetime.UTC).date()
    found = CalibrationSettings(today, version("ctxshrink") or "", data.name, data.labels)
    return Settings(
        PolicySettings(_best_keep(validations), kind_floors=floors.kinds, type_floors=floors.types),
        GuardrailSettings(max_miss_rate, query=adjustments.get("query"), blind=adjustments.get("blind")),
        calibration=replace(found, query=figures.get("query"), blind=figures.get("blind")),
    )


def _best_keep(validations: Mapping[Mode, Validation]) -> float:
    """The keep at which the calibrated guardrail saves most, the largest of equals; the default where none saves."""
    totals: dict[float, float] = {}
    for validation in validations.values():
        for keep, (calibrated, _, _) in validation.by_keep.items():
            totals[keep] = totals.get(keep, 0.0) + calibrated.savings.value * validation.records
    best = max(totals, key=lambda k: (round(totals[k], 9), k))
    return best if totals[best] > 0 else PolicySettings().keep


def _figures(validation: Validation) -> ModeFigures:
    def pair(low: float, high: float) -> tuple[float, float]:
        return round(max(0.0, low), 4), round(max(0.0, high), 4)

    ours, shipped = validation.calibrated, validation.shipped
    keeps = tuple(validation.by_keep)
    return ModeFigures(
        validation.records,
        validation.needed,
        keeps,
        tuple(round(validation.by_keep[k][0].acceptance.value, 4) for k in keeps),
        validation.records,
        round(ours.miss_rate.value, 4),
        pair(ours.miss_rate.low, ours.miss_rate.high),
        round(max(0.0, ours.savings.value), 4),
        pair(ours.savings.low, ours.savings.high),
        round(shipped.miss_rate.value, 4),
        round(max(0.0, shipped.savings.value), 4),
    )


def live_rates(
    examples: Sequence[Example], guardrail: PerplexityGuardrail, keeps: Sequence[float]
) -> dict[Mode, tuple[tuple[float, ...], int]]:
    """In what share of real calls the calibrated guardrail rejects nothing, at each keep: what drift is told from.

    Held-out folds do not tell that: in a call, segments that are rejected are replaced before the whole is judged.
    """
    shrinker = Shrinker(guardrail=guardrail)
    rates: dict[Mode, tuple[tuple[float, ...], int]] = {}
    for mode in MODES:
        of_mode = [e for e in examples if e.mode == mode]
        count = min(LIVE_RECORDS, len(of_mode))
        sample = [of_mode[i * len(of_mode) // count] for i in range(count)]
        judged = [[rejected_nothing(e.shrink(shrinker, k).decisions) for e in sample] for k in keeps]
        told = [[ok for ok in row if ok is not None] for row in judged]
        if told and all(told):
            rates[mode] = tuple(round(sum(row) / len(row), 4) for row in told), min(map(len, told))
    return rates


def with_rates(settings: Settings, rates: Mapping[Mode, tuple[tuple[float, ...], int]]) -> Settings:
    """The settings with other acceptance rates."""
    found = settings.calibration
    if found is None:
        return settings

    def updated(old: ModeFigures | None, mode: Mode) -> ModeFigures | None:
        if old is None or mode not in rates:
            return old
        return replace(old, acceptance=rates[mode][0], calls=rates[mode][1])

    query, blind = updated(found.query, "query"), updated(found.blind, "blind")
    return replace(settings, calibration=replace(found, query=query, blind=blind))
