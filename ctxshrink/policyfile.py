"""The policy file, ``ctxshrink.toml``: what ``ctxshrink calibrate`` found, and what every seat loads.

One description, the dataclasses below, serves reading, checking and writing: their docstrings and their fields'
metadata are the file's comments and ranges. Reading is strict: a key that is not known, a value of another type or out
of range, or a file of a newer format is a `ConfigError` that names the file, the key and what to do.
"""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ._tables import build, describe, render
from .drift import DriftMonitor, Expected
from .errors import ConfigError
from .guardrails import MAX_MISS_RATE, Adjustment, PerplexityGuardrail
from .policies import RECENT_TURNS, Adaptive
from .types import ContentType, Kind

VERSION: Final = 1
"""Format of the files that this version reads and writes."""

FILE: Final = "ctxshrink.toml"
"""The usual name."""

_SHARE: Final = (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """How hard text is compressed: the settings of `Adaptive`."""

    keep: float = field(
        default=0.5, metadata=describe("share of the unlocked tokens to keep where a call names no goal", (1e-6, 1.0))
    )
    recent_turns: int = field(default=RECENT_TURNS, metadata=describe("newest turns that stay exact", (0, 10**6)))
    kind_floors: Mapping[Kind, float] = field(
        default_factory=dict[Kind, float], metadata=describe("least share kept of a segment, by its kind", _SHARE)
    )
    type_floors: Mapping[ContentType, float] = field(
        default_factory=dict[ContentType, float],
        metadata=describe("least share kept of a segment, by what its text looks like", _SHARE),
    )


@dataclass(frozen=True, slots=True)
class AdjustmentSettings:
    """risk' = sigmoid(slope * logit(risk) + intercept); an output is accepted up to the threshold."""

    slope: float = field(default=1.0, metadata=describe("1 leaves the shipped risk as it is", (1e-3, 1e3)))
    intercept: float = field(
        default=0.0, metadata=describe("above 0: more is lost here than the shipped risk says", (-50.0, 50.0))
    )
    threshold: float | None = field(default=None, metadata=describe("without it, max_miss_rate decides", _SHARE))


@dataclass(frozen=True, slots=True)
class GuardrailSettings:
    """What `PerplexityGuardrail` accepts, where a query is known and where none is."""

    max_miss_rate: float = field(
        default=MAX_MISS_RATE, metadata=describe("most of the needed strings that may be lost", (1e-6, 1 - 1e-6))
    )
    query: AdjustmentSettings | None = None
    blind: AdjustmentSettings | None = None


@dataclass(frozen=True, slots=True)
class DriftSettings:
    """When to warn that the live acceptance rate is not the calibrated one."""

    window: int = field(default=500, metadata=describe("newest outputs that are looked at", (10, 10**7)))
    least: float = field(default=0.05, metadata=describe("smallest difference that counts", (1e-6, 1 - 1e-6)))
    confidence: float = field(default=0.9999, metadata=describe("of one comparison", (0.500001, 1 - 1e-9)))


@dataclass(frozen=True, slots=True)
class ModeFigures:
    """On held-out folds. Rejected outputs count as not compressed; intervals are of 95 %."""

    records: int = field(metadata=describe("records that it was fitted on", (1, 10**12)))
    needed: int = field(metadata=describe("needed strings in them", (1, 10**12)))
    keeps: tuple[float, ...] = field(metadata=describe("shares asked for, rising", (1e-6, 1 - 1e-6)))
    acceptance: tuple[float, ...] = field(metadata=describe("share of calls in which nothing was rejected", _SHARE))
    calls: int = field(metadata=describe("calls at each of them that this was counted on", (1, 10**12)))
    miss_rate: float = field(metadata=describe("share of the needed strings that was lost", _SHARE))
    miss_rate_interval: tuple[float, ...] = field(metadata=describe("", _SHARE))
    savings: float = field(metadata=describe("share of the tokens that was saved", _SHARE))
    savings_interval: tuple[float, ...] = field(metadata=describe("", _SHARE))
    shipped_miss_rate: float = field(metadata=describe("the same without calibration", _SHARE))
    shipped_savings: float = field(metadata=describe("", _SHARE))


@dataclass(frozen=True, slots=True)
class CalibrationSettings:
    """Where the values above are from. Only the acceptance rates are read again, to notice drift."""

    date: datetime.date = field(metadata=describe(""))
    ctxshrink: str = field(metadata=describe("version that wrote this file"))
    data: str = field(metadata=describe("name of the file or folder"))
    labels: str = field(
        metadata=describe("answers: what the data names; reuse: what later turns took from earlier ones")
    )
    query: ModeFigures | None = None
    blind: ModeFigures | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """A policy file.

    Attributes:
        policy: For `Adaptive`.
        guardrail: For `PerplexityGuardrail`.
        drift: For `DriftMonitor`.
        calibration: What they rest on; None in a file that was written by hand.
    """

    policy: PolicySettings = PolicySettings()
    guardrail: GuardrailSettings = GuardrailSettings()
    drift: DriftSettings = DriftSettings()
    calibration: CalibrationSettings | None = None


def load_policy_file(path: str | Path) -> Settings:
    """Read a policy file.

    Args:
        path: A TOML file as `write_policy_file` writes it; every table and key but ``version`` may be missing.

    Raises:
        ConfigError: It cannot be read, is not TOML, is of a newer format, or holds a key or value that is not known.
    """
    file = Path(path)
    try:
        table: dict[str, Any] = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"policy file {file}: no such file; `ctxshrink calibrate` writes one") from None
    except (OSError, ValueError, RecursionError) as error:  # ValueError: not UTF-8, not TOML, a number too long
        raise ConfigError(f"policy file {file}: cannot be read as TOML: {error}") from error
    where = f"policy file {file}"
    version = table.pop("version", None)
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ConfigError(f"{where}: version must be {VERSION}, on a line of its own above all tables; got {version!r}")
    if version > VERSION:
        raise ConfigError(
            f"{where}: version {version} was written by a newer ctxshrink; this one reads up to {VERSION}. "
            "Upgrade ctxshrink, or run `ctxshrink calibrate` again with this one"
        )
    settings = build(Settings, table, where)
    for mode, figures in _figures(settings).items():
        if len(figures.keeps) != len(figures.acceptance) or list(figures.keeps) != sorted(set(figures.keeps)):
            raise ConfigError(
                f"{where}: calibration.{mode}.keeps must rise, and have as many entries as acceptance; got "
                f"{list(figures.keeps)} and {list(figures.acceptance)}"
            )
    return settings


def policy_text(settings: Settings) -> str:
    """A policy file's text: TOML with comments."""
    head = (
        "# Settings of ctxshrink: Shrinker.from_file, or --config on the command line.\n"
        "# Every value may be changed by hand; `ctxshrink calibrate` writes the file anew.\n"
    )
    return f"{head}version = {VERSION}  # of this format\n" + render(settings)


def write_policy_file(path: str | Path, settings: Settings) -> None:
    """Write a policy file; `load_policy_file` gives equal settings back.

    Raises:
        ConfigError: It cannot be written.
    """
    try:
        Path(path).write_text(policy_text(settings), "utf-8")
    except OSError as error:
        raise ConfigError(f"policy file {path}: cannot be written: {error.strerror or error}") from error


@dataclass(frozen=True, slots=True)
class Parts:
    """What a `Shrinker` is made of according to a policy file.

    Attributes:
        policy: Its policy.
        guardrail: Its guardrail.
        monitor: Notices drift; None where the file holds no acceptance rates.
    """

    policy: Adaptive
    guardrail: PerplexityGuardrail
    monitor: DriftMonitor | None


def shrinker_settings(path: str | Path) -> Parts:
    """The parts of a `Shrinker` that a policy file describes.

    Raises:
        ConfigError: As `load_policy_file`.
    """
    settings = load_policy_file(path)
    policy, guard = settings.policy, settings.guardrail
    adjustments = {
        mode: Adjustment(a.slope, a.intercept, a.threshold)
        for mode, a in (("query", guard.query), ("blind", guard.blind))
        if a is not None
    }
    expected = {m: Expected(f.keeps, f.acceptance, f.calls) for m, f in _figures(settings).items()}
    drift = settings.drift
    return Parts(
        Adaptive(
            policy.keep,
            policy.recent_turns,
            kind_floors=policy.kind_floors,
            type_floors=policy.type_floors,
        ),
        PerplexityGuardrail(max_miss_rate=guard.max_miss_rate, adjustments=adjustments),
        DriftMonitor(expected, window=drift.window, least=drift.least, confidence=drift.confidence)
        if expected
        else None,
    )


def _figures(settings: Settings) -> dict[str, ModeFigures]:
    found = settings.calibration
    if found is None:
        return {}
    return {mode: f for mode, f in (("query", found.query), ("blind", found.blind)) if f is not None}
