"""Settings as values of a recipe: the same in every process, and without addresses, paths or secrets."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, cast

from ctxshrink.guardrails import PerplexityGuardrail
from ctxshrink.types import Compressor, Guardrail, Policy

_SPEED: Final = frozenset({"threads", "batch_size", "device", "cache"})
"""Settings that say how fast something is made, not what."""


def package_version() -> str:
    """The version of this package; outputs may differ between two of them."""
    try:
        return version("ctxshrink")
    except PackageNotFoundError:
        return "0+unknown"


def last_part(name: str) -> str:
    """A name without the folders before it: counters and models may be named by their path."""
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2]


def describe_policy(policy: Policy) -> str:
    """A policy by its settings where it is a value, by its name where it is a function."""
    return _value(policy)


def describe_compressors(compressors: Sequence[Compressor]) -> str:
    """Compressors by their names and settings, in order."""
    return ",".join(_plugin(c) for c in compressors)


def describe_guardrail(guardrail: Guardrail | None) -> str:
    """A guardrail by its settings."""
    if guardrail is None:
        return "none"
    if not isinstance(guardrail, PerplexityGuardrail):
        return _plugin(guardrail)
    limit = (
        f"threshold={guardrail.threshold}"
        if guardrail.threshold is not None
        else f"max_miss_rate={guardrail.max_miss_rate}"
    )
    scorer = last_part(guardrail.scorer.name)
    limit += "" if scorer == _embedded() else f", scorer={scorer}"
    adjusted = "".join(f", {mode}={_value(a)}" for mode, a in sorted(guardrail.adjustments.items()))
    return f"{guardrail.name}({limit}{adjusted})"


@cache
def _embedded() -> str:
    """The name of the scorer that a guardrail has by default, which recipes leave out."""
    from ctxshrink.scorers import EmbeddedScorer

    return EmbeddedScorer().name


def _plugin(plugin: Compressor | Guardrail) -> str:
    """A plug-in by its name and what it was made with, as far as it keeps that under the names of its arguments."""
    if is_dataclass(plugin):
        return _value(plugin)
    kept = vars(plugin) if hasattr(plugin, "__dict__") else {}
    told: list[str] = []
    for name, parameter in inspect.signature(type(plugin)).parameters.items():
        value = kept.get(name, kept.get(f"_{name}"))
        if name in _SPEED or value is None or value == parameter.default:
            continue
        said = value if isinstance(value, str | Path) else getattr(value, "name", None)
        told.append(f"{name}={last_part(str(said)) if isinstance(said, str | Path) else _value(value)}")
    return f"{plugin.name}({', '.join(told)})" if told else plugin.name


def _value(value: object) -> str:
    """A value in the form of its constructor. A function's ``repr`` holds its address, which is new in each process."""
    if is_dataclass(value) and not isinstance(value, type):
        parts = ", ".join(f"{f.name}={_value(getattr(value, f.name))}" for f in fields(value) if f.repr)
        return f"{type(value).__name__}({parts})"
    if isinstance(value, str | int | float | bool | None):
        return repr(value)
    if callable(value):
        return str(getattr(cast(object, value), "__qualname__", type(value).__qualname__))
    return repr(value) if type(value).__repr__ is not object.__repr__ else type(value).__qualname__
