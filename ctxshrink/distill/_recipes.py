"""Settings as values of a recipe: the same in every process, and without addresses, paths or secrets."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import cast

from ctxshrink.guardrails import PerplexityGuardrail
from ctxshrink.types import Guardrail, Policy


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


def describe_guardrail(guardrail: Guardrail | None) -> str:
    """A guardrail by its settings."""
    if guardrail is None:
        return "none"
    if not isinstance(guardrail, PerplexityGuardrail):
        return _value(guardrail) if is_dataclass(guardrail) else guardrail.name
    limit = (
        f"threshold={guardrail.threshold}"
        if guardrail.threshold is not None
        else f"max_miss_rate={guardrail.max_miss_rate}"
    )
    adjusted = "".join(f", {mode}={_value(a)}" for mode, a in sorted(guardrail.adjustments.items()))
    return f"{guardrail.name}({limit}{adjusted})"


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
