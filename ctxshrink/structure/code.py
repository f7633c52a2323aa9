"""Layout of source code: lines that hang on the signature of what they are part of.

The text stays as it is, line numbers included. Where the extra ``code`` is installed, tree-sitter finds the definitions
of the languages it has; everywhere else keywords and indentation do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from ctxshrink.structure._gaps import line_renderer
from ctxshrink.structure._grammars import definitions
from ctxshrink.structure._outline import Definition, in_strings, outline
from ctxshrink.structure._source import Source, read_source
from ctxshrink.structure.layout import Layout
from ctxshrink.text import units

SIGNATURE, DOCSTRING, CONSTANT, ERROR, FRAME = 1.3, 1.2, 1.15, 1.1, 2.5
"""Weights above neutral: signatures, the first line of their documentation, top-level assignments, raised errors, the
header that names the file."""
IMPORT, COMMENT, CLOSER, PROMPT, LICENCE = 0.85, 0.85, 0.45, 0.45, 0.3
"""Weights below neutral."""
STATEMENT = 30
"""Most lines that a statement may run over, where brackets do not close."""

_IMPORT = re.compile(
    r"\s{0,40}(?:import\b|from\s+[\w.]+\s+import\b|use\s+[\w:{]|using\s|#\s{0,4}include\b|package\s|require\b|.{0,80}=\s*require\()"
)
_COMMENT = re.compile(r"\s{0,200}(?:#(?!include|define|if|endif|pragma|\[)|//|/\*|\*(?:\s|/|$)|--\s|<!--|%\s|;;)")
_ERROR = re.compile(
    r"\s{0,200}(?:raise\b|throws?\b|panic!?\(|assert\b|except\b|catch\b|return\s+(?:Err\(|errors?\b|-\d)|"
    r"(?:sys\.|os\.)?_?exit\(|abort\(|.{0,40}\berrno\b|if err != nil)"
)
_CLOSER = re.compile(
    r"\s{0,200}(?:[)}\]]{1,6}[;,.)]{0,3}|\{|else:?|try:?|finally:?|\}\s?else\s?\{|pass|\.\.\.|end|fi|done|begin|do)$"
)
_CONSTANT = re.compile(
    r"(?:(?:export |pub |public |static |final |const |let |var |#define ){0,4}[A-Z_a-z]\w{0,80}\s{0,4}"
    r"(?::[^=]{1,80})?=(?!=)|#\s?define\s+\w)"
)
_DECORATOR = re.compile(r"\s{0,200}(?:@\w|#!?\[)")
_QUOTE = re.compile(r"\s{0,200}(?:[rRbBuUfF]{0,2})(\"\"\"|''')")


def layout(text: str) -> Layout | None:
    """Cuts source code into lines and says what each is part of; None when there is nothing to cut."""
    spans = tuple(units(text, "code"))
    if len(spans) < 3:
        return None
    source = read_source(text, spans)
    inner = [i for i, outside in enumerate(source.frame) if not outside]
    bodies = [source.bodies[i] for i in inner]
    found = definitions(bodies, source.language)
    if found is None:
        found = outline(bodies, source.language)
    plan = _Plan(source, inner, found)
    plan.build()
    return Layout(
        text,
        spans,
        tuple(plan.parents),
        weights=tuple(plan.weights),
        labels=tuple(plan.labels),
        groups=tuple(plan.groups),
        renderer=line_renderer(text, spans, indent=lambda i: plan.indent[i]),
    )


@dataclass(slots=True)
class _Plan:
    """What every line is, worked out in one pass over the definitions and one over the lines."""

    source: Source
    inner: Sequence[int]
    found: Sequence[Definition]
    parents: list[int] = field(default_factory=list[int])
    weights: list[float] = field(default_factory=list[float])
    labels: list[str] = field(default_factory=list[str])
    groups: list[int] = field(default_factory=list[int])
    indent: list[str] = field(default_factory=list[str])
    _header: int = -1  # the line around the source that names the file

    def build(self) -> None:
        """Fills the lists."""
        n = len(self.source.bodies)
        frame = self.source.frame
        self._header = next((i for i in range(min(n, 3)) if frame[i] and self.source.path in self.source.bodies[i]), -1)
        self.parents = [-1] * n
        self.weights = [1.0] * n
        self.labels = [self.source.path] * n
        self.indent = [self._indent(body) for body in self.source.bodies]
        starts = [True] * n  # whether a line begins a statement
        self._definitions(starts)
        self._lines(starts)
        count = -1
        for start in starts:
            count += 1 if start or count < 0 else 0
            self.groups.append(count)

    def _definitions(self, starts: list[bool]) -> None:
        inner = self.inner
        stack: list[Definition] = []
        place = 0
        for d in [*self.found, None]:
            stop = d.head if d else len(inner)
            while place < stop:
                while stack and stack[-1].end <= place:
                    stack.pop()
                self._owned(place, stack)
                place += 1
            if d is None:
                break
            while stack and stack[-1].end <= place:
                stack.pop()
            outer = inner[max(stack[-1].body - 1, stack[-1].head)] if stack else -1
            stack.append(d)
            name = self._name(stack)
            for k in range(max(place, d.head), d.body):
                i = inner[k]
                first = k == d.head
                self.parents[i] = outer if first else inner[k - 1]
                self.weights[i] = SIGNATURE
                self.labels[i] = name
                starts[i] = first
            self._decorators(d)
            place = max(place, d.body)

    def _decorators(self, d: Definition) -> None:
        k = d.head - 1
        while k >= 0 and d.head - k <= 8 and _DECORATOR.match(self.source.bodies[self.inner[k]]):
            i, head = self.inner[k], self.inner[d.head]
            self.parents[i], self.labels[i] = head, self.labels[head]
            k -= 1

    def _owned(self, place: int, stack: Sequence[Definition]) -> None:
        if stack:
            i = self.inner[place]
            self.parents[i] = self.inner[max(stack[-1].body - 1, stack[-1].head)]
            self.labels[i] = self._name(stack)

    def _name(self, stack: Sequence[Definition]) -> str:
        inside = ".".join(d.name for d in stack[-4:])
        return f"{self.source.path} {inside}" if self.source.path else inside

    def _lines(self, starts: list[bool]) -> None:
        bodies, frame = self.source.bodies, self.source.frame
        signature = {self.inner[k] for d in self.found for k in range(d.head, d.body)}
        first = {self.inner[d.body] for d in self.found if d.body < d.end} | set(self.inner[:1])
        quoted = [False] * len(bodies)  # whether a line begins inside a string of three quotes
        for i, flag in zip(self.inner, in_strings([bodies[i] for i in self.inner], self.source.language), strict=True):
            quoted[i] = flag
        header = True  # nothing but comments so far
        document = described = False
        level = run = 0
        for i, body in enumerate(bodies):
            if frame[i]:
                self.weights[i] = FRAME if i == self._header else PROMPT
                continue
            if self.parents[i] < 0:
                self.parents[i] = self._header
            if quoted[i]:
                starts[i] = False
                fresh = document and not described and body.strip(" \t\"'")
                described = described or bool(fresh)
                self.weights[i] = DOCSTRING if fresh else COMMENT if document else 1.0
                continue
            document = i in first and _QUOTE.match(body) is not None
            if document:
                self.weights[i] = DOCSTRING
                described = bool(body.strip(" \t\"'rRbBuUfF"))
            elif _COMMENT.match(body):
                self.weights[i] = LICENCE if header and (i < 4 or self.weights[i - 1] == LICENCE) else COMMENT
                continue
            header = False
            if i in signature:
                level = 0
                continue
            starts[i] = level <= 0 or run >= STATEMENT
            if document:
                continue
            self.weights[i] = self._weight(body, self.parents[i] in (-1, self._header))
            if not starts[i] and self.weights[i - 1] == IMPORT:
                self.weights[i] = IMPORT
            run = 0 if starts[i] else run + 1
            level = _level(0 if starts[i] else level, body)

    def _weight(self, body: str, top: bool) -> float:
        if not body.strip() or _CLOSER.match(body):
            return CLOSER
        if _IMPORT.match(body):
            return IMPORT
        if _ERROR.match(body):
            return ERROR
        return CONSTANT if top and _CONSTANT.match(body) else 1.0

    def _indent(self, body: str) -> str:
        return body[: len(body) - len(body.lstrip())][:80]


def _level(level: int, body: str) -> int:
    """Open brackets behind a line, as far as counting tells; a statement runs on while there are any."""
    piece = body[:1000]
    level += piece.count("(") + piece.count("[") - piece.count(")") - piece.count("]")
    return min(max(level, 0), 40)
