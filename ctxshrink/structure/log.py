"""Layout of logs, test and build output: templates written once, rare and failing lines first."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from ctxshrink.structure._log_events import EDGE, Kind, groups, kinds, weights
from ctxshrink.structure._log_fold import Fold, Line, fold, unfold
from ctxshrink.structure._log_templates import SIGIL
from ctxshrink.structure.layout import Layout
from ctxshrink.types import Span

__all__ = ["layout", "unfold"]

PAYS = 0.92
"""The short form is used where its characters are at most this share of the text's."""
BURST = 4
"""From this many left-out lines of one kind on a marker says which kind."""
SAMPLE = 60
"""Most characters that a marker quotes."""

PASSED = "passed or started tests"
"""What lines of the kind "passed" tell of. A line may tell of many tests (pytest's dots) or of half a one (=== RUN)."""

_PIECE = re.compile(r"[^\r\n]+[\r\n]*|[\r\n]+")
_NUMBER = re.compile(r"\b(?=\w{0,30}\d)\w{1,40}\b")


def layout(text: str) -> Layout | None:
    """The lines of a log, in a short form that loses nothing where that pays.

    `unfold` gives the text back from the layout's text where the layout has a ``form``.

    Returns:
        None for a text without any line.
    """
    folded = _short(text)
    view = _View(text, folded) if folded is not None else _View(text, _plain(text))
    return view.layout() if view.spans else None


def _short(text: str) -> Fold | None:
    """The short form where it pays and comes back as the text, else None."""
    found = fold(text) if _loose_returns(text) < 3 else None
    if found is None:
        return None
    short = found.compose(range(len(found.lines))).text
    if len(short) > PAYS * len(text):
        return None
    try:
        return found if unfold(short) == text else None
    except ValueError:
        return None


def _loose_returns(text: str) -> int:
    return text.count("\r") - text.count("\r\n")


def _plain(text: str) -> Fold:
    """The text as it stands; what a progress bar writes over is a line of its own."""
    lines: list[Line] = []
    for m in _PIECE.finditer(text):
        piece = m.group()
        body = piece.rstrip("\r\n")
        lines.append(Line(body, 1, body, end=piece[len(body) :]))
    return Fold(tuple(lines), (), ())


class _View:
    """A fold as a layout: the lines of its legend are units that the lines which use them hang on."""

    def __init__(self, text: str, folded: Fold) -> None:
        self._fold = folded
        whole = folded.compose(range(len(folded.lines)))
        self._text = whole.text
        self._legend = whole.legend
        self._entry = {t: unit for unit, t in enumerate(whole.entries) if t >= 0}
        self._lines = [i for i, line in enumerate(folded.lines) if line.raw.strip()]
        self._kinds: list[Kind] = kinds([line.raw for line in folded.lines])
        self._unit_spans = [_stripped(whole.text, whole.spans[i]) for i in self._lines]
        self._original = text
        self.spans: tuple[Span, ...] = (*whole.legend, *self._unit_spans)

    def layout(self) -> Layout:
        """The layout."""
        folded, legend = self._fold, len(self._legend)
        lines = [folded.lines[i] for i in self._lines]
        raws = [line.raw for line in lines]
        found: list[Kind] = [self._kinds[i] for i in self._lines]
        worth = weights(raws, [0 if _written_over(line) else line.times for line in lines], found)
        for edge in {0, len(worth) - 1} if worth else ():
            worth[edge] = max(worth[edge], EDGE)
        numbers = groups(raws, found)
        return Layout(
            self._text,
            self.spans,
            (*self._legend_parents(), *(self._entry.get(line.template, -1) for line in lines)),
            weights=(*[0.0] * legend, *worth),
            labels=(*[""] * legend, *(self._label(line) for line in lines)) if legend else (),
            groups=(*range(legend), *(legend + n for n in numbers)),
            form=self._form(),
            renderer=self._render,
        )

    def _legend_parents(self) -> list[int]:
        return [-1, *[0] * (len(self._legend) - 1)] if self._legend else []

    def _label(self, line: Line) -> str:
        return " ".join(self._fold.templates[line.template].parts) if line.template in self._entry else ""

    def _form(self) -> str:
        if not self._legend:
            return ""
        n = len(self._fold.names)
        return f"a log of {len(self._fold.lines)} lines" + (f" by {n} templates" if n else "")

    def _render(self, kept: Sequence[int], short: bool) -> str:
        legend = len(self._legend)
        lines = [self._lines[u - legend] for u in kept if u >= legend]
        if len(lines) == len(self._lines) and not short:
            return self._text
        shown = {_sample(self._fold.lines[i].raw) for i in lines}
        picks: list[int | str] = []
        before = -1
        for i in (*lines, len(self._fold.lines)):
            gap = [k for k in range(before + 1, i) if self._fold.lines[k].raw.strip()]
            if gap:
                picks.append("…" if short else self._marker(gap, shown))
            else:
                picks += range(before + 1, i)
            if i < len(self._fold.lines):
                picks.append(i)
            before = i
        return self._fold.compose(picks).text

    def _marker(self, gap: Sequence[int], shown: set[str]) -> str:
        """What is left out: how many lines, and of which sort where one sort prevails and nothing else shows it."""
        lines = [self._fold.lines[i] for i in gap]
        total = sum(line.times for line in lines)
        passed = sum(line.times for line, i in zip(lines, gap, strict=True) if self._kinds[i] == "passed")
        some = ""
        if passed == total:
            some = f" of {PASSED}"
        elif passed >= BURST:
            some = f" ({passed} of {PASSED})"
        elif len(lines) >= BURST:
            sort, n = Counter(_sample(line.raw) for line in lines).most_common(1)[0]
            if n >= 0.8 * len(lines) and sort not in shown:
                return f'[… {total} lines like "{sort}" omitted]'
        return f"[… {total} line{'s' if total > 1 else ''}{some} omitted]"


def _written_over(line: Line) -> bool:
    return line.end.startswith("\r") and not line.end.startswith("\r\n")


def _stripped(text: str, span: Span) -> Span:
    start, end = span
    return start, start + len(text[start:end].rstrip())


def _sample(line: str) -> str:
    """A line with its numbers masked, cut short."""
    text = _NUMBER.sub("<n>", line[: 2 * SAMPLE]).strip().replace(SIGIL, " ")
    return text if len(text) <= SAMPLE else text[:SAMPLE].rstrip() + "…"
