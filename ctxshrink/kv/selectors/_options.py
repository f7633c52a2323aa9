"""Checks of the selectors' settings."""

from __future__ import annotations

from ctxshrink.errors import ConfigError

__all__ = ["at_least", "one_of"]


def at_least(selector: str, option: str, value: int, least: int) -> None:
    """Refuses what is no whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(
            f"{option} of the selector {selector} must be a whole number of at least {least}, not {value!r}"
        )


def one_of(selector: str, option: str, value: str, known: tuple[str, ...]) -> None:
    """Refuses a word that is not known."""
    if value not in known:
        raise ConfigError(f"{option} of the selector {selector} must be one of {', '.join(known)}, not {value!r}")
