"""Texts and distillates for the store."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from ctxshrink.distill import Derived, Distillate, content_hash, recipe_key
from ctxshrink.distill.types import Setting

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)
"""Lone surrogates and NUL included."""

_SETTINGS = st.dictionaries(ANY_TEXT, st.none() | st.booleans() | st.integers() | ANY_TEXT, max_size=3)
_NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
_SPANS = st.none() | st.lists(st.tuples(st.integers(0, 99), st.integers(100, 999)), max_size=3).map(tuple)

DISTILLATES = st.builds(
    Distillate,
    text=ANY_TEXT,
    method=ANY_TEXT,
    reason=ANY_TEXT,
    tokens_before=st.integers(0, 10**9),
    tokens_after=st.integers(0, 10**9),
    scores=st.dictionaries(ANY_TEXT, _NUMBERS, max_size=3),
    spans=_SPANS,
    final=st.booleans(),
)
DERIVED = st.builds(
    lambda source, settings, made, counter, uri, original, created: Derived(
        content_hash(source), recipe_key(settings), made, settings, counter, uri, original, created
    ),
    ANY_TEXT,
    _SETTINGS,
    DISTILLATES,
    ANY_TEXT,
    ANY_TEXT,
    ANY_TEXT,
    st.floats(1, 1e12),
)

HALF: dict[str, Setting] = {"method": "extractive", "keep": 0.5}
FACTS: dict[str, Setting] = {"method": "facts", "model": "small", "version": 1, "strict": True, "seed": None}


def derived(source: str, text: str = "", *, recipe: dict[str, Setting] = HALF, uri: str = "") -> Derived:
    """What might be made of a source."""
    made = Distillate(text or source[:20], "extractive", "it fits", 9, 5, {"coverage": 0.75}, ((0, 4), (7, 20)))
    return Derived(content_hash(source), recipe_key(recipe), made, recipe, "embedded", uri, created=1_000_000.5)


def saying(one: Derived, text: str) -> Derived:
    """The same with another text."""
    return replace(one, distillate=replace(one.distillate, text=text))
