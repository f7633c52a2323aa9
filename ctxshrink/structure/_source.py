"""Source code as it comes in tool results: line numbers before the lines, a header, the language."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

from ctxshrink.types import Span

Language: TypeAlias = Literal["python", "javascript", "typescript", "tsx", "java", "go", "rust", "c", "cpp", ""]
"""A language that is told apart from the others; "" for any other or an unknown one."""

SAMPLE_LINES = 400
"""Lines that are looked at to tell the language."""

NUMBER = re.compile(r"[ \t]{0,8}\d{1,7}(?::|\t|→| ?\| ?|-(?=\s|$)| (?=\s|$))")
_PATH = re.compile(r"[\w./~+@-]{0,300}[\w~+@-]\.(\w{1,5})\b")
_SUFFIXES: dict[str, Language] = {
    "py": "python", "pyi": "python", "js": "javascript", "jsx": "javascript", "mjs": "javascript", "cjs": "javascript",
    "ts": "typescript", "mts": "typescript", "tsx": "tsx", "java": "java", "go": "go", "rs": "rust", "c": "c",
    "h": "cpp", "cc": "cpp", "cpp": "cpp", "cxx": "cpp", "hpp": "cpp", "hh": "cpp",
}  # fmt: skip
_SIGNS: tuple[tuple[Language, re.Pattern[str]], ...] = (
    (
        "python",
        re.compile(
            r"\s{0,40}(?:(?:async )?def \w+\(|class \w+[^{;]{0,200}:$|elif |from [\w.]+ import |import [\w.]+$|"
            r"except\b[^;{]{0,99}:$|@\w+|self\.\w+)"
        ),
    ),
    (
        "javascript",
        re.compile(
            r"\s{0,40}(?:const |let |var |function\b|export |module\.exports|import .{1,200} from ['\"]|async function|"
            r".{0,80}=> ?[{(])"
        ),
    ),
    (
        "typescript",
        re.compile(
            r"\s{0,40}(?:export )?(?:interface \w+|type \w+ ?=|(?:private|public|readonly) \w+[?(:]|"
            r"(?:const|let|function) \w{1,60}.{0,80}: ?(?:string|number|boolean|void|Promise<))"
        ),
    ),
    (
        "java",
        re.compile(
            r"\s{0,40}(?:import [\w.]+\*?;|package [\w.]+;|@Override|"
            r"(?:public|private|protected) (?:static |final |abstract |class |interface |"
            r"[\w<>\[\], ?]{1,80} \w+ ?[(=;]))"
        ),
    ),
    (
        "go",
        re.compile(
            r"(?:package \w+$|func (?:\(\w+ \*?\w+\) )?\w+\(|type \w+ (?:struct|interface)|\s{1,40}if err != nil|"
            r"\s{0,40}\w+(?:, \w+)? := )"
        ),
    ),
    (
        "rust",
        re.compile(
            r"\s{0,40}(?:(?:pub(?:\(\w+\))? )?(?:async )?(?:unsafe )?fn \w+|impl\b|use [\w:]+(?:::|;)|let mut |"
            r"pub (?:struct|enum|mod)|#\[\w+|match .{1,120}\{$|mod \w+;)"
        ),
    ),
    (
        "cpp",
        re.compile(
            r"\s{0,40}(?:#include\s*[<\"]|#(?:pragma|ifn?def|define|endif)|namespace\b|template ?<|"
            r"using (?:namespace )?\w+|std::|\w+::~?\w+\(|(?:public|private|protected):$|virtual |inline |extern )"
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Source:
    """The lines of a source text.

    Attributes:
        bodies: The lines without their line numbers, one for each unit.
        frame: For each unit whether it stands around the source (a header, a prompt) and not in it.
        path: A path that the text names as its own, or "".
        language: The language, as far as it can be told.
    """

    bodies: tuple[str, ...]
    frame: tuple[bool, ...]
    path: str
    language: Language


def read_source(text: str, spans: Sequence[Span]) -> Source:
    """Tells line numbers, frame, path and language of a text that is cut into lines. Time is linear."""
    lines = [text[s:e] for s, e in spans]
    found = [NUMBER.match(line) for line in lines]
    numbered = sum(1 for m in found if m)
    if lines and numbered > 0.6 * len(lines) and _ascending(lines):
        bodies = tuple(line[m.end() :] if m else line for line, m in zip(lines, found, strict=True))
        frame = tuple(m is None for m in found)
    else:
        bodies, frame = tuple(lines), (False,) * len(lines)
    path, language = _path(lines, frame)
    return Source(bodies, frame, path, language or _guess([b for b, f in zip(bodies, frame, strict=True) if not f]))


def _ascending(lines: Sequence[str]) -> bool:
    """Whether the numbers before the lines mostly go up: line numbers, not data."""
    numbers = [int(m.group(0)) for line in lines if (m := re.match(r"[ \t]{0,8}(\d{1,7})", line))]
    up = sum(1 for a, b in pairwise(numbers) if a < b)
    return up >= 0.9 * (len(numbers) - 1)


def _path(lines: Sequence[str], frame: Sequence[bool]) -> tuple[str, Language]:
    for line, outside in list(zip(lines, frame, strict=True))[:3]:
        head = line[:400]
        if not outside and not head.lstrip().startswith(("#", "//", "/*", "==>", "---", "File:", "[File")):
            continue
        for m in _PATH.finditer(head):
            language = _SUFFIXES.get(m.group(1).lower())
            if language:
                return m.group(0), language
    return "", ""


def _guess(bodies: Sequence[str]) -> Language:
    step = max(1, len(bodies) // SAMPLE_LINES)
    sample = [body[:300] for body in bodies[::step]]
    votes: dict[Language, int] = {name: sum(1 for line in sample if sign.match(line)) for name, sign in _SIGNS}
    language = max(votes, key=lambda name: votes[name])
    best = votes[language]
    if language == "javascript" and votes["typescript"] >= 0.15 * best:
        language = "typescript"
    return language if best >= 2 and best >= 0.02 * len(sample) else ""
