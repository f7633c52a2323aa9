"""Layout of code texts."""

from __future__ import annotations

from ctxshrink.structure.layout import Layout


def layout(text: str) -> Layout | None:
    """None: a code text is taken as it stands."""
    return None
