"""Shows what a calibration found."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console

from ctxshrink.bench.report import table

from .intervals import Estimate
from .run import Calibration
from .validate import Outcome, Validation

_WAYS = ("calibrated", "as shipped", "no guardrail")


def show(found: Calibration, out: Console) -> None:
    """Tables of outcomes and floors, the settings, and the notes."""
    for mode, validation in found.validations.items():
        out.print(_outcomes(mode, validation))
        a = found.fits[mode].adjustment
        limit = 1.0 if a.threshold is None else a.threshold
        out.print(
            f"{mode}: risk' = sigmoid({a.slope:.3f} · logit(risk) {a.intercept:+.3f}), accepted up to {limit:.4f} "
            f"(as shipped: {found.fits[mode].shipped:.4f})\n"
        )
    if found.floors.losses:
        out.print(_floors(found))
    if any(v.calibrated.savings.value > 0 for v in found.validations.values()):
        out.print(f"keep = {found.settings.policy.keep:g} saves most with the calibrated guardrail")
    for note in found.notes:
        out.print(f"[yellow]note:[/yellow] {note}")


def _outcomes(mode: str, validation: Validation) -> object:
    shown = table(
        f"{mode}: {validation.records} records, {validation.needed} needed strings; on held-out folds",
        ["keep", "guardrail", "needed strings lost", "tokens saved", "outputs accepted"],
        left=2,
        caption="95 % intervals; what is rejected counts as not compressed",
    )
    rows: Mapping[str, tuple[Outcome, Outcome, Outcome]] = {
        **{f"{keep:g}": outcomes for keep, outcomes in validation.by_keep.items()},
        "all": (validation.calibrated, validation.shipped, validation.unguarded),
    }
    for name, outcomes in rows.items():
        for way, found in zip(_WAYS, outcomes, strict=True):
            shown.add_row(name, way, _percent(found.miss_rate), _percent(found.savings), _percent(found.acceptance))
        shown.add_section()
    return shown


def _percent(estimate: Estimate) -> str:
    return f"{estimate.value:.1%} [dim]{estimate.low:.1%}–{estimate.high:.1%}[/dim]"


def _floors(found: Calibration) -> object:
    keeps = sorted({k for rows in found.floors.losses.values() for k in rows})
    shown = table(
        "lost without a guardrail, by keep", ["segment", *(f"{k:g}" for k in keeps), "smallest under the limit"]
    )
    floors: dict[str, float] = {**found.floors.kinds, **found.floors.types}
    for name, rows in found.floors.losses.items():
        shown.add_row(name, *(f"{rows[k]:.1%}" for k in keeps), f"{floors[name]:g}")
    return shown
