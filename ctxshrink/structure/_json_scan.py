"""Reads the parts of a line of the compact form: values, bracketed values, names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from json import decoder
from typing import Any, cast

from ctxshrink.errors import FormatError
from ctxshrink.structure._fold import unfold
from ctxshrink.structure._json_words import OPEN_MARK, read_bare, tight

scan_string = cast("Callable[[str, int, bool], tuple[str, int]]", decoder.scanstring)  # type: ignore[attr-defined]

_GAP = re.compile(r"\[… ?([0-9]+)(?: [a-z]+ omitted)?\]")
_COUNT = re.compile(r"\[… ?([0-9]+)")
_RUN = re.compile(r"…([0-9]+)")
_INLINE_WORD = re.compile(r"[^,\[\]{}|\"]+")
_NAME = re.compile(r"[^:\"|=\[\]{},…]+")
_PATH_NAME = re.compile(r"[^.:\"|=\[\]{},…]+")


@dataclass(frozen=True, slots=True)
class Omitted:
    """Stands for what a pruned text leaves out.

    Attributes:
        count: Values, members, rows or sentences left out here.
        text: What is left of a string that lost sentences, its markers included; "" for other values.
    """

    count: int
    text: str = ""


def wrong(what: str, line: str, at: int = 0) -> FormatError:
    """The error for a text that is not in the compact form."""
    return FormatError(f"not a compact form of ctxshrink: {what} at {line[at : at + 30]!r}")


def gap(line: str) -> int:
    """How much the marker that is this line counts; 0 where it is none."""
    found = _GAP.fullmatch(line)
    return int(found.group(1)) if found else 0


def name(line: str, at: int) -> tuple[str, int]:
    """(the name that begins at ``at``, where it ends)."""
    if line.startswith('"', at):
        return scan_string(line, at + 1, False)
    found = _NAME.match(line, at)
    if found is None:
        raise wrong("no name", line, at)
    return found.group(), found.end()


def is_member(text: str) -> bool:
    """True where an item of an array is an object whose first member stands in its line."""
    if text[:1] in ("[", "{"):
        return False
    try:
        _, end = name(text, 0)
        while text.startswith(", ", end):
            _, end = name(text, end + 2)
    except ValueError:
        return False
    rest = text[end + 1 :]
    return text.startswith(":", end) and (not rest or rest[0] == " " or tight(rest))


def path(text: str, at: int) -> tuple[tuple[str, ...], int]:
    """(names joined by dots that begin at ``at``, where they end)."""
    out: list[str] = []
    while True:
        if text.startswith('"', at):
            key, at = scan_string(text, at + 1, False)
        else:
            found = _PATH_NAME.match(text, at)
            if found is None:
                raise wrong("no name", text, at)
            key, at = found.group(), found.end()
        out.append(key)
        if not text.startswith(".", at):
            return tuple(out), at
        at += 1


def value(line: str, at: int, end: int, folds: Mapping[str, str], *, text: bool = False) -> tuple[Any, int]:
    """(the value that begins at ``at``, where it ends).

    Args:
        line: The line.
        at: Where the value begins.
        end: Where it ends if it has neither quotes nor brackets.
        folds: The prefixes that names stand for.
        text: What looks like a number is a string here.
    """
    first = line[at : at + 1]
    if first == '"':
        found, stop = scan_string(line, at + 1, False)
        return (_partial(found) if OPEN_MARK in line[at:stop] else found), stop
    if first in ("[", "{") and not _is_cut_string(line, at):
        return inline(line, at)
    word = line[at:end]
    if OPEN_MARK in word:
        return _partial(word), end
    if first == "&":
        whole = unfold(word, folds)
        if whole is None:
            raise wrong("a name that nothing explains", line, at)
        return whole, end
    return (word if text and word != "null" else read_bare(word)), end


def inline(line: str, at: int) -> tuple[Any, int]:
    """(the bracketed value that begins at ``at``, where it ends)."""
    is_object = line[at] == "{"
    close = "}" if is_object else "]"
    members: dict[Any, Any] = {}
    items: list[Any] = []
    lost = 0
    at += 1
    while not line.startswith(close, at):
        run = _RUN.match(line, at)
        if run:
            lost += int(run.group(1))
            items.append(Omitted(int(run.group(1))))
            at = run.end()
        elif is_object:
            key, at = name(line, at)
            if not line.startswith(":", at) or key in members:
                raise wrong("no new name", line, at)
            at += 1 + line.startswith(" ", at + 1)
            members[key], at = _inline_value(line, at)
        else:
            found, at = _inline_value(line, at)
            items.append(found)
        if line.startswith(", ", at):
            at += 2
        elif not line.startswith(close, at):
            raise wrong(f"no {close}", line, at)
    if is_object and lost:
        members[...] = Omitted(lost)
    return (members if is_object else items), at + 1


def _inline_value(line: str, at: int) -> tuple[Any, int]:
    first = line[at : at + 1]
    if first in ("[", "{"):
        return inline(line, at)
    if first == '"':
        return scan_string(line, at + 1, False)
    word = _INLINE_WORD.match(line, at)
    if word is None:
        raise wrong("no value", line, at)
    return read_bare(word.group()), word.end()


def _partial(text: str) -> Omitted:
    return Omitted(sum(int(m.group(1)) for m in _COUNT.finditer(text)), text)


def _is_cut_string(line: str, at: int) -> bool:
    """True where the marker at ``at`` begins a string that lost its first sentences: a blank follows it."""
    found = _GAP.match(line, at)
    return found is not None and line.startswith(" ", found.end())
