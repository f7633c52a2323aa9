"""Numbers that callers give."""

from __future__ import annotations

import math
import sys

from ctxshrink.errors import ConfigError


def check_number(value: object, name: str, what: str, *, positive: bool = False) -> float:
    """Returns a finite number that is 0 or more (or positive), or raises a `ConfigError` that names it."""
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    # Compared, not `math.isfinite`: whole numbers from JSON and TOML may be beyond every float.
    if not 0 <= number <= sys.float_info.max or (positive and not number):
        bound = "a positive number" if positive else "a number, 0 or more"
        raise ConfigError(f"{name} must be {bound} ({what}); got {value!r}")
    return float(number)


def check_whole(value: object, name: str, least: int) -> int:
    """Returns a whole number that is not below ``least``, or raises a `ConfigError` that names it."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name} must be a whole number, {least} or more; got {value!r}")
    return value
