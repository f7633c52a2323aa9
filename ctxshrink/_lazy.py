"""Packages whose names are imported when they are used (PEP 562)."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def lazy(package: str, homes: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """A package's ``__getattr__``.

    The command line imports some packages for their command alone, and the store needs no more of `ctxshrink.distill`
    than its types.

    Args:
        package: Its ``__name__``.
        homes: Public names by the module that they are in.
    """

    def attribute(name: str) -> Any:
        for home, names in homes.items():
            if name in names:
                return getattr(importlib.import_module(f".{home}", package), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return attribute
