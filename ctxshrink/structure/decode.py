"""Turns compact forms back into values."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from ctxshrink.structure._json_read import read
from ctxshrink.structure._json_scan import Omitted
from ctxshrink.structure._json_tree import Literal, to_python

__all__ = ["Omitted", "decode"]

_WORDS = {"true": True, "false": False, "null": None}


def decode(text: str) -> Any:
    """The value that a compact form says, as ``json.loads`` would give it.

    Args:
        text: A text that `ctxshrink.structure.json.layout` or its renderer wrote.

    Returns:
        dicts, lists, strings, numbers, True, False, None. JSON lines come back as the list of their values. A number
        with a point or an exponent is a float, other numbers are ints of any size. Where a pruned text leaves something
        out there is an `Omitted` in its place; in a dict it stands under the key ``...`` (`Ellipsis`).

    Raises:
        FormatError: The text is not in the compact form.
    """
    return to_python(read(text), _literal)


def _literal(word: Literal) -> Any:
    if word in _WORDS:
        return _WORDS[word]
    if word.lstrip("-").isdigit():
        # int() refuses very long numbers.
        return int(word) if len(word) < 4000 else int(Decimal(word))
    return float(word)
