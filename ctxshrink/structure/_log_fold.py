"""The lossless short form of a log, and the way back.

What it looks like (§ is a character that the log does not have):

    [log in short form. "§a X Y" is line §a= below with X and Y for its §s; §T is the time, …]
    §1=/home/me/project/build
    §a=§T web-1 sshd[§]: Failed password for § from § port §
    2024-05-01 08:00:01 web-1 systemd: started §1/run.sh
    §a :07 811 root 10.0.0.7 4711
    §a :09 811 admin 10.0.0.7 4712 §×3
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby

from ctxshrink.structure._log_events import kinds
from ctxshrink.structure._log_paths import directories, shorten
from ctxshrink.structure._log_templates import ENTRY, EVENT, LONGEST_LINE, SIGIL, Template, mine, tokens
from ctxshrink.structure._log_times import STAMP, longer, shorter
from ctxshrink.types import Span

__all__ = ["Composed", "Fold", "Line", "fold", "unfold"]


_STAMP_WITHIN = 80
_ALIAS = re.compile(SIGIL + r"(\d)(?=/)")
_GAP = re.compile(SIGIL + r"(?:(T)|(?!\w))")
_ENTRY = re.compile(SIGIL + r"(\d|[a-z]{1,3})=(.*)", re.S)
_EVENT = re.compile(SIGIL + r"([a-z]{1,3})(?: (.*))?", re.S)
_TIMES = re.compile(" " + SIGIL + r"×(\d+)$")
_HEAD = "[log in short form. "


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the log, or a run of equal ones.

    Attributes:
        raw: The line.
        times: How often it stands there in a row.
        body: The line with its paths shortened.
        template: Its template, or -1.
        stamp: Its time, "" where the template has none.
        values: What stands in the template's gaps.
        end: The line break behind it.
    """

    raw: str
    times: int
    body: str
    template: int = -1
    stamp: str = ""
    values: tuple[str, ...] = ()
    end: str = "\n"


@dataclass(frozen=True, slots=True)
class Composed:
    """Some lines of a fold as text.

    Attributes:
        text: The text.
        spans: Range of each picked line.
        legend: Range of each line of the legend, the explanation first.
        entries: Which template each line of the legend is, or -1.
    """

    text: str
    spans: tuple[Span, ...]
    legend: tuple[Span, ...]
    entries: tuple[int, ...]


@dataclass(frozen=True)
class Fold:
    """A log as lines, templates and shortened paths.

    Attributes:
        lines: In order.
        templates: What the lines' `Line.template` point to.
        paths: What §1, §2, … stand for.
    """

    lines: tuple[Line, ...]
    templates: tuple[Template, ...]
    paths: tuple[str, ...]

    @cached_property
    def names(self) -> dict[int, str]:
        """The name of each template that pays where all lines are kept."""
        counts = Counter(line.template for line in self.lines)
        used = dict.fromkeys(line.template for line in self.lines if line.template >= 0)
        return dict(zip((t for t in used if self._pays(t, counts[t])), _names(), strict=False))

    def _pays(self, template: int, n: int) -> bool:
        constant = self.templates[template].constant
        return n > 1 and n * (constant - EVENT) > constant + ENTRY

    def compose(self, picks: Sequence[int | str]) -> Composed:
        """The text of some lines, with what of the legend they need.

        Args:
            picks: Positions in `lines`, ascending, and texts (markers) to stand between them.
        """
        counts = Counter(self.lines[i].template for i in picks if isinstance(i, int))
        used = {t: name for t, name in self.names.items() if t in counts and self._pays(t, counts[t])}
        bodies: list[str] = []
        stamp = ""
        repeated = False
        for pick in picks:
            if isinstance(pick, str):
                bodies.append(pick)
                continue
            line = self.lines[pick]
            name = used.get(line.template)
            body = line.body
            if name is not None:
                body = " ".join([SIGIL + name, *([shorter(line.stamp, stamp)] if line.stamp else []), *line.values])
                stamp = line.stamp or stamp
            if line.times > 1:
                body += f" {SIGIL}×{line.times}"
                repeated = True
            bodies.append(body)
        written = [_written(self.templates[t]) for t in used]
        kept: set[str] = set()
        if self.paths:
            aliases = Counter(m for text in (*written, *bodies) for m in _ALIAS.findall(text))
            kept = {a for a, n in aliases.items() if n > 1}
            bodies = [_expand(text, self.paths, kept) for text in bodies]
            written = [_expand(text, self.paths, kept) for text in written]
        head = _explain(bool(kept), bool(used), any(self.templates[t].stamp >= 0 for t in used), repeated)
        legend = [head] if head else []
        legend += [f"{SIGIL}{a}={self.paths[int(a) - 1]}" for a in sorted(kept)]
        legend += [f"{SIGIL}{name}={text}" for name, text in zip(used.values(), written, strict=True)]
        entries = (*[-1] * (len(legend) - len(used)), *used)
        out = [f"{entry}\n" for entry in legend]
        ranges = _ranges(out, 0, 1)
        at = sum(map(len, out))
        spans: list[Span] = []
        for n, (pick, body) in enumerate(zip(picks, bodies, strict=True)):
            end = self.lines[pick].end if isinstance(pick, int) else "\n"
            if isinstance(pick, int):
                spans.append((at, at + len(body)))
                if n + 1 < len(picks) and isinstance(picks[n + 1], str):
                    end = "\n"
            elif n + 1 == len(picks):
                end = ""
            out.append(body + end)
            at += len(out[-1])
        return Composed("".join(out), tuple(spans), ranges, entries)


def _ranges(pieces: Sequence[str], at: int, end: int) -> tuple[Span, ...]:
    """Range of each piece without its last ``end`` characters."""
    out: list[Span] = []
    for piece in pieces:
        out.append((at, at + len(piece) - end))
        at += len(piece)
    return tuple(out)


def fold(text: str) -> Fold | None:
    """A log in its short form, or None where it has no line to share."""
    if SIGIL in text or "\n" not in text:
        return None
    runs = [(raw, sum(1 for _ in same)) for raw, same in groupby(text.split("\n"))]
    paths = directories([raw for raw, _ in runs])
    bodies = shorten([raw for raw, _ in runs], paths)
    stamps: list[str] = []
    cut: list[list[str]] = []
    for body in bodies:
        stamp = ""
        pieces: list[str] = []
        if body and len(body) <= LONGEST_LINE:
            m = STAMP.search(body, 0, _STAMP_WITHIN)
            if m is not None and SIGIL not in body[: m.end()]:
                stamp = m.group()
                pieces = [*tokens(body[: m.start()]), SIGIL + "T", *tokens(body[m.end() :])]
            else:
                pieces = tokens(body)
        stamps.append(stamp)
        cut.append(pieces)
    found = mine(cut, SIGIL + "T", [what in ("failure", "summary") for what in kinds([raw for raw, _ in runs])])
    numbers: dict[Template, int] = {}
    lines: list[Line] = []
    for (raw, times), body, stamp, f in zip(runs, bodies, stamps, found, strict=True):
        if f is None:
            lines.append(Line(raw, times, body))
        else:
            number = numbers.setdefault(f[0], len(numbers))
            if f[0].stamp >= 0:
                lines.append(Line(raw, times, body, number, stamp, f[1]))
            else:
                values = tuple(v.replace(SIGIL + "T", stamp) for v in f[1])
                lines.append(Line(raw, times, body, number, "", values))
    lines[-1] = replace(lines[-1], end="")
    return Fold(tuple(lines), tuple(numbers), tuple(paths))


def unfold(text: str) -> str:
    """The log that a short form stands for; a text that is no short form is returned as it is."""
    if not text.startswith(_HEAD):
        return text
    lines = text.split("\n")
    paths: dict[str, str] = {}
    templates: dict[str, Template] = {}
    at = 1
    while at < len(lines):
        m = _ENTRY.fullmatch(lines[at])
        if m is None:
            break
        name, entry = m.groups()
        if name.isdigit():
            paths[name] = entry
        else:
            templates[name] = _read(entry)
        at += 1
    out: list[str] = []
    stamp = ""
    for line in lines[at:]:
        m = _TIMES.search(line)
        times = int(m[1]) if m is not None else 1
        body = line[: m.start()] if m is not None else line
        m = _EVENT.fullmatch(body)
        template = templates.get(m[1]) if m is not None else None
        if m is not None and template is not None:
            rest = m[2] or ""
            if template.stamp >= 0:
                stamp, rest = longer(rest, stamp)
            gaps = len(template.parts) - 1 - (template.stamp >= 0)
            values = rest.split(" ", gaps - 1) if gaps else []
            if len(values) != gaps:
                raise ValueError(f"not a short form of a log: {line!r} has {len(values)} values for {gaps} gaps")
            body = template.fill(values, stamp)
        body = _ALIAS.sub(lambda m: paths.get(m[1], m[0]), body)
        out += [body] * times
    return "\n".join(out)


def _explain(paths: bool, templates: bool, times: bool, repeated: bool) -> str:
    parts: list[str] = []
    if paths:
        parts.append(f"{SIGIL}1, {SIGIL}2, … are the paths below.")
    if templates:
        parts.append(f'"{SIGIL}a X Y" is line {SIGIL}a= below with X and Y in the places of its {SIGIL}.')
    if times:
        parts.append(f"Its time {SIGIL}T comes first, without the beginning it shares with the time before (= same).")
    if repeated:
        parts.append(f"{SIGIL}×3: the line stood there 3 times.")
    return _HEAD + " ".join(parts) + "]" if parts else ""


def _names() -> Iterator[str]:
    letters = "abcdefghijklmnopqrstuvwxyz"
    yield from letters
    for a in letters:
        for b in letters:
            yield a + b


def _written(template: Template) -> str:
    out = [template.parts[0]]
    for i, part in enumerate(template.parts[1:]):
        out.append(SIGIL + "T" if i == template.stamp else SIGIL)
        out.append(part)
    return "".join(out)


def _read(entry: str) -> Template:
    parts: list[str] = []
    stamp = -1
    pos = 0
    for m in _GAP.finditer(entry):
        if m[1]:
            stamp = len(parts)
        parts.append(entry[pos : m.start()])
        pos = m.end()
    return Template((*parts, entry[pos:]), stamp)


def _expand(text: str, paths: Sequence[str], kept: set[str]) -> str:
    return _ALIAS.sub(lambda m: m[0] if m[1] in kept else paths[int(m[1]) - 1], text)
