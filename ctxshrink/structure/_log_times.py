"""The times of log lines, each written as far as it differs from the one before."""

from __future__ import annotations

import re

__all__ = ["STAMP", "longer", "shorter"]

STAMP = re.compile(
    r"(?:\d{4}[-/.]\d\d[-/.]\d\d[T ,_-]\d\d[:.]\d\d[:.]\d\d"
    r"|(?:[A-Z][a-z]{2} [ \d]\d (?:\d{4} )?|\d\d[-/.]\d\d(?:[-/.]\d{2,4})?[T ,]|\d{8}[-T_ ]|\d\d/[A-Z][a-z]{2}/\d{4}:"
    r"|(?<![\d.:]))\d{1,2}:\d{1,2}:\d{1,2})(?:[.,:]\d{1,9})?(?![\d.:])"
)
"""A time, with its date where one stands before it."""
_SEPARATOR = re.compile(r"[:.,]")
_TAIL = re.compile(r"=(?![^ ])|[:.,][\d:.,]*")


def shorter(stamp: str, before: str) -> str:
    """A time as far as it differs from the one before."""
    if stamp == before:
        return "="
    m = STAMP.fullmatch(stamp)
    first = _SEPARATOR.search(stamp, stamp.find(" ") if " " in stamp[6:] else 0)
    if m is None or first is None or not before:
        return stamp
    for cut in reversed([m.start() for m in _SEPARATOR.finditer(stamp, first.start())]):
        if before[: cut + 1] == stamp[: cut + 1] and longer(stamp[cut:], before)[0] == stamp:
            return stamp[cut:]
    return stamp


def longer(rest: str, before: str) -> tuple[str, str]:
    """The time at the beginning of an event's values, and the other values."""
    m = _TAIL.match(rest)
    if m is not None:
        tail, end = m.group(), m.end()
        if tail == "=":
            stamp = before
        else:
            separators = [s.start() for s in _SEPARATOR.finditer(before)]
            n = sum(c in ":.," for c in tail)
            if n > len(separators):
                raise ValueError(f"not a short form of a log: time {tail!r} behind {before!r}")
            stamp = before[: separators[-n]] + tail
    else:
        m = STAMP.match(rest)
        if m is None:
            raise ValueError(f"not a short form of a log: no time in {rest!r}")
        stamp, end = m.group(), m.end()
    return stamp, rest[end + 1 :]
