"""How single values and keys are written: bare where nothing else could be meant, as JSON strings otherwise."""

from __future__ import annotations

import json
import re

from ctxshrink.structure._json_tree import Literal

MARK = "…"
OPEN_MARK = "[…"
SAME = "same as "
CONSTANT = "all rows: "

_LITERAL = re.compile(
    r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null|NaN|-?Infinity",
)
_RESERVED = re.compile(r"[\"\[{&…#]|same as |all rows: |[0-9]+ (?:rows|pairs)")
"""What a bare string must not start with."""
_INLINE = re.compile(r"[,\[\]{}|\"]")
_KEY = re.compile(r"[:\"|=\[\]{},…]")
_OPAQUE = 12
_WORD = re.compile(r"[^0-9]*")
_DIGITS = frozenset("0123456789")
_TIGHT = _DIGITS | frozenset('"[{')
_ESCAPED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def is_literal(text: str) -> bool:
    """True for what reads as a number, true, false or null."""
    return _LITERAL.fullmatch(text) is not None


def quote(text: str) -> str:
    """A JSON string in which only what must be is escaped. No `OPEN_MARK` stands in it: that means an omission."""
    out = json.dumps(text, ensure_ascii=False)
    if OPEN_MARK in out:
        out = out.replace(OPEN_MARK, "[\\u2026")
    if not text.isprintable():
        out = _ESCAPED.sub(lambda m: f"\\u{ord(m.group()):04x}", out)
    return out


def bare(text: str) -> bool:
    """True where a string may stand without quotes at the end of a line."""
    return (
        bool(text)
        and text.isprintable()
        and text[0] != " "
        and text[-1] != " "
        and not _RESERVED.match(text)
        and OPEN_MARK not in text
    )


def line_value(text: str) -> str:
    """A string behind ``key: `` or ``- ``, up to the end of the line."""
    return text if bare(text) and not is_literal(text) else quote(text)


def cell_value(text: str, column_of_text: bool) -> str:
    """A string in a row."""
    if bare(text) and "|" not in text:
        if column_of_text:
            return text if text != "null" else quote(text)
        if not is_literal(text):
            return text
    return quote(text)


def inline_value(text: str) -> str:
    """A string inside brackets."""
    if bare(text) and not is_literal(text) and not _INLINE.search(text):
        return text
    return quote(text)


def key_text(key: str) -> str:
    """A member's name before ``: ``."""
    return key if key and key[0] not in "-*@ " and bare(key) and not _KEY.search(key) else quote(key)


def tight(written: str) -> bool:
    """True for what follows a colon without a blank: most tokenizers join blanks to letters, not to digits."""
    return written[:1] in _TIGHT or (written[:1] == "-" and written[1:2] in _DIGITS)


def named(key: str, written: str) -> str:
    """A member: its name and its value."""
    return f"{key_text(key)}:{'' if tight(written) else ' '}{written}"


def opaque(key: str) -> bool:
    """True for names that are identifiers rather than words, and may stand before a blank."""
    return len(key) >= _OPAQUE and " " not in key and not _WORD.fullmatch(key) and key_text(key) == key


def column_text(path: tuple[str, ...]) -> str:
    """A column's name: the names on the way to it, joined by dots."""
    return ".".join(
        key if key and key[0] not in "-*@ " and bare(key) and "." not in key and not _KEY.search(key) else quote(key)
        for key in path
    )


def heading(path: tuple[str, ...], *, text: bool) -> str:
    """A column in the header: its last name in quotes where its cells are text whatever they look like.

    Where the name needs quotes for itself and the cells are no such text, ``~`` follows.
    """
    plain = column_text(path)
    if not text:
        return plain + "~" if plain.endswith('"') else plain
    return ".".join([*(column_text((key,)) for key in path[:-1]), quote(path[-1])])


def read_bare(word: str) -> Literal | str:
    """The value of a word without quotes."""
    return Literal(word) if is_literal(word) else word
