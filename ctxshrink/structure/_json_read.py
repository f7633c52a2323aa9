"""Reads compact forms back: whole ones exactly, pruned ones with what they say was left out."""

from __future__ import annotations

import re
from copy import copy
from itertools import islice
from typing import Any, cast

from ctxshrink.errors import FormatError
from ctxshrink.structure._json_scan import Omitted, gap, is_member, name, path, value, wrong
from ctxshrink.structure._json_table_read import Heads, rebuild
from ctxshrink.structure._json_words import SAME

_TABLE = re.compile(r"([0-9]+) rows( by |(?=[: ]))")
_PAIRS = re.compile(r"([0-9]+) pairs:")
_REST = re.compile(r"(?: in groups of ([0-9,]+))?( of text)?: ")
_FOLD = re.compile(r"&([1-9])=(.*)")


def read(text: str) -> Any:
    """The value of a compact form: `Literal`, strings, lists and dicts, and `Omitted` for what is not there.

    In an object the members left out stand under the key ``...`` (`Ellipsis`).

    Raises:
        FormatError: The text is not in the compact form.
    """
    try:
        return _Reader(text).document()
    except FormatError:
        raise
    except (ValueError, IndexError, TypeError, RecursionError) as error:
        raise FormatError(f"not a compact form of ctxshrink: {error}") from error


class _Reader:
    def __init__(self, text: str) -> None:
        self.lines = text.split("\n")
        self.at = 0
        self.folds: dict[str, str] = {}
        self.known: dict[tuple[str, ...], Any] = {}
        self.path: list[str | None] = []

    def document(self) -> Any:
        while self.at < len(self.lines) and (found := _FOLD.fullmatch(self.lines[self.at])):
            self.folds[found.group(1)] = found.group(2)
            self.at += 1
        out = self.block(0)
        if self.at < len(self.lines):
            raise wrong("a line that belongs to nothing above it", self.lines[self.at])
        return out

    def content(self, indent: int, ahead: int = 0) -> str | None:
        """The current line without its indentation; None where that is less than ``indent`` or there is no line."""
        if self.at + ahead >= len(self.lines):
            return None
        line = self.lines[self.at + ahead]
        return line[indent:] if line.startswith(" " * indent) else None

    def block(self, indent: int) -> Any:
        """The value whose first line is the current one, at ``indent``."""
        line = self.content(indent)
        if not line:
            raise wrong("nothing", self.lines[min(self.at, len(self.lines) - 1)])
        table = _TABLE.match(line)
        if table:
            return self.table(table, indent)
        pairs = _PAIRS.fullmatch(line)
        if pairs:
            return self.pairs(int(pairs.group(1)), indent)
        if line[0] in "[{" and indent == 0 and not gap(line):
            return self.line_value(line, indent)
        below = self.content(indent, 1)
        if line.startswith("- ") or (gap(line) and below is not None and below.startswith("- ")):
            return self.items(indent)
        if gap(line) and below is None:
            self.at += 1
            return Omitted(gap(line))
        return self.members(indent)

    def members(self, indent: int) -> dict[Any, Any]:
        out: dict[Any, Any] = {}
        while (line := self.content(indent)) is not None:
            if gap(line):
                out[...] = Omitted(gap(line))
                self.at += 1
                break
            key, end = name(line, 0)
            others: list[str] = []
            while line.startswith(", ", end):
                other, end = name(line, end + 2)
                others.append(other)
            rest = line[end + 1 :]
            names = {key, *others}
            if (
                not line.startswith(":", end)
                or len(names) <= len(others)
                or not names.isdisjoint(out)
                or line[0] == " "
            ):
                raise wrong("no new name", line)
            self.path.append(key)
            if rest:
                found = self.line_value(rest[1:] if rest[0] == " " else rest, indent + 1)
            else:
                self.at += 1
                found = self.block(indent + 1)
            if isinstance(found, dict | list) and None not in self.path:
                self.known[tuple(cast("list[str]", self.path))] = found
            self.path.pop()
            out[key] = found
            out.update((other, copy(cast("Any", found))) for other in others)
        return out

    def items(self, indent: int) -> list[Any]:
        out: list[Any] = []
        self.path.append(None)
        while (line := self.content(indent)) is not None:
            if gap(line):
                out.append(Omitted(gap(line)))
                self.at += 1
            elif line.startswith("- "):
                text = line[2:]
                self.lines[self.at] = " " * (indent + 2) + text
                nested = text.startswith("- ") or gap(text) or (is_member(text) and not _TABLE.match(text))
                out.append(self.block(indent + 2) if nested else self.line_value(text, indent + 2))
            else:
                break
        self.path.pop()
        return out

    def line_value(self, text: str, indent: int) -> Any:
        """The value that ends the current line, or begins in it and goes on below, at ``indent``."""
        table = _TABLE.match(text)
        if table:
            return self.table(table, indent)
        pairs = _PAIRS.fullmatch(text)
        if pairs:
            return self.pairs(int(pairs.group(1)), indent)
        self.at += 1
        if text.startswith(SAME):
            target, end = path(text, len(SAME))
            if end != len(text):
                raise wrong("no path", text)
            return self.known.get(target, Omitted(1))
        found, end = value(text, 0, len(text), self.folds)
        if end != len(text):
            raise wrong("more than a value", text)
        return found

    def pairs(self, count: int, indent: int) -> dict[Any, Any]:
        """The members of an object of names and values without colons; the current line counts them."""
        self.at += 1
        out: dict[Any, Any] = {}
        have = lost = 0
        while have < count:
            line = self.content(indent) or ""
            omitted = gap(line)
            if not omitted:
                key, _, text = line.partition(" ")
                if not key or not text or key in out:
                    raise wrong("no new pair", line)
                out[key] = value(text, 0, len(text), self.folds)[0]
            lost += omitted
            have += omitted or 1
            self.at += 1
        if have > count:
            raise wrong("too many pairs", str(count))
        if lost:
            out[...] = Omitted(lost)
        return out

    def table(self, intro: re.Match[str], indent: int) -> Any:
        """The records of a table; the current line is its first."""
        self.at += 1
        line, at = intro.string, intro.end()
        by: tuple[str, ...] | None = None
        if intro.group(2):
            by, at = ((), at + 1) if line.startswith("*", at) else path(line, at)
        rest = _REST.match(line, at)
        if rest is None:
            raise wrong("no header", line)
        header = line[rest.end() :]
        heads = Heads(header, by, all_text=rest.group(2) is not None)
        line = self.content(indent)
        if line is not None and heads.constants(line, self.folds):
            self.at += 1
        count = int(intro.group(1))
        rows: list[Any] = []
        have = 0
        for line in islice(self.lines, self.at, None):
            if have >= count:
                break
            if not line.startswith(" " * indent):
                raise wrong("a row", line)
            line = line[indent:]
            omitted = gap(line)
            rows.append(Omitted(omitted) if omitted else heads.row(line, self.folds))
            have += omitted or 1
            self.at += 1
        if have != count:
            raise wrong(f"{have} rows in place of {count}", header)
        sizes = [int(size) for size in rest.group(1).split(",")] if rest.group(1) else None
        return rebuild(heads, rows, sizes, count)
