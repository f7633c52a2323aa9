"""Definitions in source code, found by keywords and indentation alone: any language, any cut, never an error."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ctxshrink.structure._source import Language

HEAD_LINES = 30
"""Most lines that a signature may run over."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A class, function or the like. Lines count from 0 among the lines that were given.

    Attributes:
        head: First line of the signature.
        body: First line behind the signature.
        end: Line after the last.
        name: What is defined.
    """

    head: int
    body: int
    end: int
    name: str


_KEYWORD = re.compile(
    r"\s{0,80}(?:(?:export|default|public|private|protected|internal|static|final|abstract|async|pub|unsafe|extern|const|"
    r"inline|virtual|sealed|open|data|partial|declare|readonly|override|suspend|typedef|local|constexpr|case)"
    r"(?:\([\w ]{0,40}\))?[ \t]{1,4}){0,6}"
    r"(class|def|fn|func|function|interface|struct|enum|trait|impl|module|mod|namespace|object|record|protocol|"
    r"extension|sub|proc|type)(?=[ \t(<*])[ \t*]{0,4}(?:\([^()]{0,120}\)[ \t]{0,4}|<[^<>]{0,120}>[ \t]{0,4})?"
    r"([A-Za-z_$~][\w$.:~]{0,200})"
)
_CALLABLE = re.compile(
    r"\s{0,80}(?:[\w$<>\[\],.:&*?@~]{1,120}[ \t]{1,4}){0,8}?[&*]{0,2}"
    r"((?:operator[^\s(]{1,3}|[\w$~]{1,120}(?:::~?[\w$]{1,120}){0,6})) ?(?:<[^<>()]{0,80}>)?\("
)
_ARROW = re.compile(
    r"\s{0,80}(?:export[ \t]{1,4})?(?:default[ \t]{1,4})?(?:const|let|var)[ \t]{1,4}([\w$]{1,120})\s{0,4}"
    r"(?::[^=]{0,200})?=\s{0,4}"
    r"(?:async\b\s{0,4})?(?:function\b|\([^()]{0,400}\)(?:\s{0,4}:[^=]{0,120})?\s{0,4}=>|[\w$]{1,80}\s{0,4}=>)"
)
_CONTROL = frozenset((
    "if", "for", "while", "switch", "catch", "else", "elif", "do", "return", "try", "using", "with", "lock",
    "synchronized", "throw", "new", "await", "yield", "match", "assert", "sizeof", "typeof", "delete", "case",
    "when", "unless", "until", "foreach", "not", "and", "or", "in", "print", "raise", "except", "loop", "go",
    "defer", "select", "static_assert", "constexpr",
))  # fmt: skip
_CLOSER = re.compile(r"\s*(?:[)}\]]|end\b|fi\b|done\b)")
_LABEL = re.compile(r"\s*(?:public|private|protected|default|case\b.{0,200}|[A-Za-z_]\w{0,80}):$")
_STATEMENT = re.compile(
    r"\s{0,80}(?:(?:async )?def \w+\(|class \w+[(:]|return\b|import \w|from \S{1,80} import |@\w|self\.\w+)"
)
_QUOTES = re.compile(r'"""|\'\'\'')


def outline(lines: Sequence[str], language: Language) -> list[Definition]:
    """The definitions, in order of their heads; inner ones lie within outer ones.

    A definition lasts for as long as lines are indented deeper than its head; closing brackets belong to it.
    """
    text = in_strings(lines, language)
    depth = [_indent(line) for line in lines]
    found: list[Definition] = []
    open_: list[tuple[int, Definition]] = []
    skip = 0
    for i, line in enumerate(lines):
        if text[i] or not line.strip():
            continue
        if i >= skip and not _stands_out(line, language):
            closer = _CLOSER.match(line) is not None
            while open_ and (depth[i] < open_[-1][0] or (depth[i] == open_[-1][0] and not closer)):
                found.append(_ended(open_.pop()[1], i, lines))
            if closer and open_ and depth[i] == open_[-1][0] and line.strip()[:1] in "}e":
                found.append(_ended(open_.pop()[1], i + 1, lines))
        if i < skip:
            continue
        head = _head(lines, i, language)
        if head is not None:
            name, body = head
            open_.append((depth[i], Definition(i, body, len(lines), name)))
            skip = body
    while open_:
        found.append(_ended(open_.pop()[1], len(lines), lines))
    return sorted(found, key=lambda d: (d.head, -d.end))


def _stands_out(line: str, language: Language) -> bool:
    """Preprocessor lines and labels stand further left than what they are part of."""
    return language != "python" and (line.lstrip()[:1] == "#" or _LABEL.match(line[:400]) is not None)


def _ended(d: Definition, end: int, lines: Sequence[str]) -> Definition:
    while end > d.body and not lines[end - 1].strip():
        end -= 1
    return Definition(d.head, d.body, max(end, d.body), d.name)


def _indent(line: str) -> int:
    width = 0
    for c in line:
        if c == " ":
            width += 1
        elif c == "\t":
            width += 4
        else:
            break
    return width


def _head(lines: Sequence[str], at: int, language: Language) -> tuple[str, int] | None:
    """Name and first line behind the signature of the definition that begins here, if one does."""
    line = lines[at][:1000]
    keyword = _KEYWORD.match(line)
    name = keyword.group(2).rstrip(".:") if keyword else None
    if keyword and keyword.group(1) == "impl" and " for " in line:
        name = line.partition(" for ")[2].split("{")[0].strip() or name
    if name is None and language in ("javascript", "typescript", "tsx", ""):
        arrow = _ARROW.match(line)
        name = arrow.group(1) if arrow else None
    sure = name is not None
    if name is None and language not in ("python", "rust", "go"):
        call = _CALLABLE.match(line)
        words = line.replace("(", " ").split(None, 8)
        if call and call.group(1) not in _CONTROL and words[0] not in _CONTROL and not _CONTROL.intersection(words[:2]):
            name = call.group(1)
    if name is None:
        return None
    level = 0
    for i in range(at, min(len(lines), at + HEAD_LINES)):
        piece = lines[i][:1000].rstrip()
        level += _brackets(piece)
        if level > 0:
            continue
        if piece.endswith((":", "{")) or (sure and piece.endswith("=>")):
            return name, i + 1
        after = lines[i + 1].strip() if i + 1 < len(lines) else ""
        if after.startswith((":", "throws ", "where", "->", "const ")) or after in ("const", "override"):
            continue
        if after.startswith("{"):
            return name, i + 2 if after == "{" else i + 1
        if piece.endswith(";") and "{" not in piece:
            return None  # declared here, defined elsewhere
        if sure and (piece.endswith((";", "}")) or "{" in piece or i + 1 == len(lines)):
            return name, i + 1
        if piece.endswith((";", "}")) or not after or not sure:
            return (name, i + 1) if sure else None
    return (name, at + 1) if sure else None


def _brackets(piece: str) -> int:
    return piece.count("(") + piece.count("[") - piece.count(")") - piece.count("]")


def in_strings(lines: Sequence[str], language: Language) -> list[bool]:
    """For each line whether it begins inside a Python string of three quotes.

    A text may begin in the middle of such a string: where more definitions and statements would lie inside strings
    than outside, inside and outside change places.
    """
    out: list[bool] = []
    quote = ""
    if language != "python":
        return [False] * len(lines)
    seen = [0, 0]
    for line in lines:
        out.append(bool(quote))
        seen[bool(quote)] += _STATEMENT.match(line) is not None
        for m in _QUOTES.finditer(line):
            if not quote:
                quote = m.group(0)
            elif quote == m.group(0):
                quote = ""
    return [not inside for inside in out] if seen[1] > seen[0] else out
