"""Layout of unified diffs: lines that hang on their hunk, hunks that hang on their file.

The text stays as it is. A hunk that is not kept whole says so where lines are missing, so that nobody takes the rest
for a patch that applies.
"""

from __future__ import annotations

import re

from ctxshrink.structure._gaps import line_renderer
from ctxshrink.structure.layout import Layout
from ctxshrink.text import units

FILE, HUNK, CHANGED, MOVED = 2.0, 1.5, 1.5, 1.2
"""Weights of the line that names a file, of a hunk's head, of changed lines, of lines that say that a file is new,
gone, renamed or binary."""
CONTEXT, BLANK, HEADER, GENERATED = 0.4, 0.2, 0.2, 0.05
"""Weights of context lines, of changes without content, of header lines that repeat the file, of files that no person
wrote."""
MINIFIED = 500
"""Changed lines longer than this are taken for generated ones, in characters."""

_HUNK = re.compile(r"@@@* -\d{1,9}(?:,\d{1,9})?(?: -\d{1,9}(?:,\d{1,9})?)* \+\d{1,9}(?:,\d{1,9})? @@@*(.*)", re.S)
_COUNTS = re.compile(r"@@ -\d{1,9}(?:,(\d{1,9}))? \+\d{1,9}(?:,(\d{1,9}))? @@")
_START = re.compile(r"diff --git |diff --cc |diff --combined |Index: ")
_EXTENDED = re.compile(
    r"(?:index [0-9a-f]|old mode |new mode |new file mode |deleted file mode |similarity index |dissimilarity index |"
    r"rename (?:from|to) |copy (?:from|to) |Binary files |GIT binary patch|={20,})"
)
_GENERATED = re.compile(
    r"(?:(?:package-lock|npm-shrinkwrap|composer|Pipfile|poetry|Cargo|Gemfile|yarn|uv|flake|go|pnpm-lock|bun)"
    r"\.(?:lock|json|ya?ml|sum|lockb)|\.min\.(?:js|css)|\.(?:js|css)\.map|_pb2(?:_grpc)?\.pyi?|\.pb\.go|\.snap|"
    r"(?:^|/)(?:dist|vendor|node_modules|third_party)/.{0,300})$"
)


def layout(text: str) -> Layout | None:
    """Cuts a unified diff into lines; None where no hunk is found."""
    spans = tuple(units(text, "diff"))
    lines = [text[s:e] for s, e in spans]
    if not any(_HUNK.match(line[:400]) for line in lines):
        return None
    plan = _Plan()
    for i, line in enumerate(lines):
        gap = text[spans[i - 1][1] : spans[i][0]] if i else "\n"
        breaks = gap.count("\n") or gap.count("\r")
        if breaks:
            plan.blank(breaks - 1)
            plan.read(i, line)
        else:  # a long line is several units
            plan.add(i - 1, plan.weights[i - 1], "~")

    def describe(first: int, end: int) -> str:
        gone = [plan.marks[i] for i in range(first, end)]
        parts = [f"{gone.count(mark)} {word}" for mark, word in (("+", "added"), ("-", "removed")) if mark in gone]
        if not parts and "@" not in gone and " " in gone and "#" not in gone:
            return " (context)"
        return f" ({', '.join(parts)})" if parts else ""

    return Layout(
        text,
        spans,
        tuple(plan.parents),
        weights=tuple(plan.weights),
        labels=tuple(plan.labels),
        groups=tuple(plan.groups),
        renderer=line_renderer(text, spans, describe=describe),
    )


class _Plan:
    """Reads a diff line by line."""

    def __init__(self) -> None:
        self.parents: list[int] = []
        self.weights: list[float] = []
        self.labels: list[str] = []
        self.groups: list[int] = []
        self.marks: list[str] = []
        self._file = -1  # first line of the file's header
        self._hunk = -1
        self._path = ""
        self._place = ""
        self._left = (0, 0)  # old and new lines that the hunk still has
        self._group = -1
        self._quiet = False  # a generated file

    def blank(self, n: int) -> None:
        """Takes lines without content: context, inside a hunk."""
        self._left = (self._left[0] - n, self._left[1] - n)

    def read(self, i: int, line: str) -> None:
        """Takes the next line."""
        inside = self._hunk >= 0 and (self._left[0] > 0 or self._left[1] > 0)
        if inside and line[:1] in "+- \\":
            self._body(line)
            return
        hunk = _HUNK.match(line)
        if hunk:
            counts = _COUNTS.match(line)
            self._left = (int(counts.group(1) or 1), int(counts.group(2) or 1)) if counts else (1 << 30, 1 << 30)
            self._hunk, self._place = i, hunk.group(1).strip()
            self._group += 1
            self.add(self._file, GENERATED if self._quiet else HUNK, "@")
        elif _START.match(line):
            self._begin(i, line.rpartition(" b/")[2] if " b/" in line else line.rpartition(" ")[2])
            self.add(-1, FILE, "#")
        elif line.startswith(("--- ", "+++ ")):
            self._names(i, line)
        elif self._file >= 0 and self._hunk < 0 and _EXTENDED.match(line):
            told = line.startswith(("new file", "deleted file", "rename ", "Binary", "GIT binary"))
            self.add(self._file, MOVED if told else HEADER, "#")
        elif self._hunk >= 0 and line[:1] in "+- \\":
            self._body(line)  # more lines than the head says: a cut or an edited diff
        else:
            self._hunk = -1
            if not self._path:
                self._group += 1
            self.add(-1, 1.0, "=")

    def _begin(self, i: int, path: str) -> None:
        self._file, self._hunk, self._path, self._place = i, -1, path.strip(), ""
        self._quiet = _GENERATED.search(self._path[-400:]) is not None
        self._group += 1

    def _names(self, i: int, line: str) -> None:
        path = line[4:].split("\t")[0].strip()
        path = path[2:] if path[:2] in ("a/", "b/") else path
        named = self._file >= 0 and self._hunk < 0
        if not named:
            self._begin(i, path)
            self.add(-1, FILE, "#")
            return
        if path != "/dev/null" and path != self._path:
            self._path = path
            self._quiet = _GENERATED.search(path[-400:]) is not None
        # Beside "diff --git" the two names say nothing new.
        self.add(
            self._file, HEADER if self.weights[self._file] == FILE and self.marks[self._file] == "#" else FILE, "#"
        )

    def _body(self, line: str) -> None:
        mark = line[:1]
        old, new = self._left
        self._left = (old - (mark in "- "), new - (mark in "+ "))
        changed = mark in "+-"
        weight = CHANGED if changed else CONTEXT
        if not line[1:].strip() or mark == "\\":
            weight = BLANK
        if self._quiet or (changed and len(line) > MINIFIED):
            weight = GENERATED
        self.add(self._hunk, weight, mark)

    def add(self, parent: int, weight: float, mark: str) -> None:
        """Adds a unit; `mark` is its first character in a hunk, "@", "#", "=" or "~" for the other kinds."""
        self.parents.append(parent)
        self.weights.append(weight)
        self.labels.append(f"{self._path} {self._place}".strip())
        self.groups.append(max(self._group, 0))
        self.marks.append(mark)
