"""Compressors by name: the built-in ones and those that other packages register.

A package registers one under the entry point group ``ctxshrink.compressors``: the entry's value is a class or a
function that returns a `Compressor` when called without arguments.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from ctxshrink.errors import ConfigError
from ctxshrink.types import Compressor

GROUP = "ctxshrink.compressors"
"""The entry point group."""

_BUILT_IN = {
    "pruner": "ctxshrink.compressors.pruner:PrunerCompressor",
    "extractive": "ctxshrink.compressors.extractive:ExtractiveCompressor",
    "structural": "ctxshrink.compressors.structural:StructuralCompressor",
    "surprisal": "ctxshrink.compressors.surprisal:SurprisalCompressor",
    "llmlingua2": "ctxshrink.compressors.llmlingua:LLMLingua2Compressor",
    "bm25": "ctxshrink.compressors.baselines:BM25Compressor",
    "lead": "ctxshrink.compressors.baselines:LeadCompressor",
    "random": "ctxshrink.compressors.baselines:RandomCompressor",
    "truncate": "ctxshrink.compressors.baselines:TruncateCompressor",
}

BUILT_IN = tuple(_BUILT_IN)
"""Names of the compressors of this package."""


def available() -> tuple[str, ...]:
    """The names that `get_compressor` knows, built-in ones first."""
    return (*_BUILT_IN, *sorted(name for name in _registered() if name not in _BUILT_IN))


def get_compressor(which: str | Compressor) -> Compressor:
    """A compressor by name, or the one that was given.

    Args:
        which: A name from `available`, or an object with `name` and `compress`.

    Raises:
        ConfigError: No compressor has this name, its package cannot be imported, or the object is none.
    """
    if not isinstance(which, str):
        _check(which)
        return which
    if which in _BUILT_IN:
        module, _, attribute = _BUILT_IN[which].partition(":")
        return cast(Compressor, getattr(import_module(module), attribute)())
    entry = _registered().get(which)
    if entry is None:
        raise ConfigError(f"unknown compressor {which!r}; known: {', '.join(available())}")
    try:
        made: object = entry.load()()
    except Exception as error:  # a third party's import or constructor may raise anything
        raise ConfigError(f"compressor {which!r} ({entry.value}) could not be loaded: {error}") from error
    if not isinstance(made, Compressor):
        raise ConfigError(f"entry point {which!r} ({entry.value}) made {made!r}, which has no `name` and `compress`")
    return made


def _check(given: object) -> None:
    if isinstance(given, type) or not isinstance(given, Compressor):
        raise ConfigError(f"a compressor is a name or an object with `name` and `compress`, not {given!r}")


def _registered() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


__all__ = ["BUILT_IN", "GROUP", "available", "get_compressor"]
