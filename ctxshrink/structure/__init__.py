"""What a text is made of: units that are kept or left out, and where possible a shorter rendering that loses nothing.

Every content type has a module with one function, ``layout(text) -> Layout | None``; None means that the text is best
taken as it stands. A new type is one module and one line in `_MODULES`.
"""

from __future__ import annotations

import logging
from importlib import import_module

from ctxshrink._lru import LruCache, digest
from ctxshrink.structure.layout import Layout, plain
from ctxshrink.types import ContentType

__all__ = ["Layout", "lay_out", "plain"]

_log = logging.getLogger("ctxshrink")

_MODULES: dict[ContentType, str] = {
    "json": "ctxshrink.structure.json",
    "table": "ctxshrink.structure.table",
    "log": "ctxshrink.structure.log",
    "code": "ctxshrink.structure.code",
    "diff": "ctxshrink.structure.diff",
    "html": "ctxshrink.structure.html",
}
_CACHED_CHARS = 500
"""Shorter texts are laid out again rather than kept."""

_cache: LruCache[Layout] = LruCache(32_000_000)


def lay_out(text: str, content_type: ContentType) -> Layout:
    """The layout of a text: its own type's, or the text as it stands, cut into its units.

    Never raises for what the text holds: a text that its type's module cannot take is logged and taken as it stands.
    """
    module = _MODULES.get(content_type)
    if module is None:
        return plain(text, content_type)
    key = digest(content_type, text) if len(text) >= _CACHED_CHARS else None
    found = _cache.get(key) if key is not None else None
    if found is not None:
        return found
    try:
        made = import_module(module).layout(text)
    except Exception as error:  # noqa: BLE001  fail open: somebody's text must not end a call
        _log.warning("a %s text is taken as it stands: %s", content_type, type(error).__name__)
        made = None
    made = plain(text, content_type) if made is None else made
    if key is not None:
        _cache.put(key, made)
    return made
