"""Units of selection: what an extractive compressor keeps or drops as a whole."""

from __future__ import annotations

import re
from bisect import bisect_right

from ctxshrink.text._protected import fences, protected_spans
from ctxshrink.text._sentences import append_stripped, sentences
from ctxshrink.types import ContentType, Span

MAX_UNIT = 1000
"""Longest unit in characters, where the text has a boundary at all."""
FLAT = 200
"""A JSON object or array without others inside is one unit up to this many characters (a record)."""
MAX_DEPTH = 64
"""Objects and arrays that the parents of a unit are told for; real JSON is not nested deeper."""

_LINE = re.compile(r"[^\r\n]+")
_TAG_BREAK = re.compile(
    r"(?=<(?:p|div|li|tr|h[1-6]|table|ul|ol|dl|dt|dd|"
    r"section|article|nav|header|footer|form|head|body|script|style|main|"
    r"blockquote|pre|option)\b)|(?<=</p>)|(?<=</li>)|(?<=</tr>)|(?<=</h\d>)|(?<=<br>)|(?<=<br/>)|"
    r"(?<=<br />)|(?<=</div>)",
    re.I,
)
_JSON = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|$)|[{}\[\],]', re.S)
_CLAUSE = re.compile(r"[;:,、，；：](?=\s)|[、，；：。！？]|\s[–—-](?=\s)|[)\]}>](?=\s)")
_SPACE = re.compile(r"\s+")


def units(text: str, content_type: ContentType) -> list[Span]:
    """The units of a text.

    They are sentences of prose (list items, headings and table rows apart, fenced code by the line), lines of
    logs, code, diffs and tables, members and records of JSON, block elements of HTML.

    A unit longer than `MAX_UNIT` characters is split at a clause, else at white space, never inside a protected span;
    a run without any boundary stays whole.

    Returns:
        Ordered, disjoint ranges that hold every non-space character. Lines keep their indentation.
    """
    if content_type == "prose":
        raw = _prose(text)
    elif content_type == "json":
        raw = [span for span, _ in _json(text)]
    elif content_type == "html":
        raw = [piece for s, e in _lines(text) for piece in _tags(text, s, e)]
    else:
        raw = _lines(text)
    out: list[Span] = []
    for span in raw:
        if span[1] - span[0] > MAX_UNIT:
            out += _split(text, *span)
        else:
            out.append(span)
    return out


def json_parents(text: str, spans: list[Span]) -> list[int]:
    """For each unit of a JSON text the index of the unit that opens the object or array it stands in, or -1.

    What is nested deeper than `MAX_DEPTH` hangs on its ancestor there: chains of parents are walked for each unit.
    """
    opener: dict[int, int] = {}  # start of a raw unit -> start of the unit that opens its container
    for (start, _), parent in _json(text):
        opener[start] = parent
    index = {s: i for i, (s, _) in enumerate(spans)}
    out: list[int] = []
    depth: list[int] = []
    current = -1
    for s, _ in spans:
        if s in opener:
            current = index.get(opener[s], -1)
        parent = out[current] if current >= 0 and depth[current] >= MAX_DEPTH else current
        depth.append(depth[parent] + 1 if parent >= 0 else 0)
        out.append(parent)
    return out


def _lines(text: str) -> list[Span]:
    out: list[Span] = []
    for m in _LINE.finditer(text):
        s = m.start()
        line = m.group(0).rstrip()
        if line:
            out.append((s, s + len(line)))
    return out


def _prose(text: str) -> list[Span]:
    out: list[Span] = []
    pos = 0
    for s, e in [*fences(text), (len(text), len(text))]:
        out += [(a + pos, b + pos) for a, b in sentences(text[pos:s])]
        out += [(a + s, b + s) for a, b in _lines(text[s:e])]
        pos = e
    return out


def _tags(text: str, start: int, end: int) -> list[Span]:
    out: list[Span] = []
    pos = start
    for cut in [*(m.start() for m in _TAG_BREAK.finditer(text, start, end)), end]:
        if cut > pos:
            piece = text[pos:cut].rstrip()
            if piece.strip():
                out.append((pos, pos + len(piece)))
            pos = cut
    return out


def _json(text: str) -> list[tuple[Span, int]]:
    """Members, records and brackets as (range, start of the unit that opens the container, or -1).

    Any text is accepted: brackets that do not match are taken as they come.
    """
    out: list[tuple[Span, int]] = []
    stack: list[int] = []  # starts of the open containers' units
    pos = 0  # where the unit at hand begins
    flat_start = -1  # position of the innermost open bracket while nothing is nested in it

    def emit(end: int, parent: int) -> None:
        nonlocal pos
        piece = text[pos:end]
        core = piece.strip()
        if core:
            s = pos + len(piece) - len(piece.lstrip())
            out.append(((s, s + len(core)), parent))
        pos = end

    pending: list[Span] = []  # the members of the innermost container, in case it is long or turns out to be nested

    def flush(parent: int) -> None:
        nonlocal pos
        end = pos
        for s, e in pending:
            pos = s
            emit(e, parent)
        pos = end
        pending.clear()

    for m in _JSON.finditer(text):
        mark = text[m.start()]
        end = m.end()
        if mark in "{[":
            flush(stack[-1] if stack else -1)
            start = _skip_space(text, pos, end)
            emit(end, stack[-1] if stack else -1)
            stack.append(start)
            flat_start = len(out) - 1
        elif mark in "}]":
            opener = stack.pop() if stack else -1
            parent = stack[-1] if stack else -1
            comma = end + 1 if text[end : end + 1] == "," else end
            unit_start = out[flat_start][0][0] if flat_start >= 0 else pos
            if flat_start == len(out) - 1 and flat_start >= 0 and stack and comma - unit_start <= FLAT:
                pending.clear()
                out.pop()
                pos = unit_start
                emit(comma, parent)
            else:
                flush(opener)
                # A bracket closes with the member before it unless it stands on its own line.
                emit(comma, opener)
            flat_start = -1
        elif mark == "," and end > pos:
            if flat_start >= 0:
                pending.append((pos, end))
                pos = end
            else:
                emit(end, stack[-1] if stack else -1)
    flush(stack[-1] if stack else -1)
    emit(len(text), stack[-1] if stack else -1)
    return _split_closers(text, out)


def _split_closers(text: str, items: list[tuple[Span, int]]) -> list[tuple[Span, int]]:
    """Gives brackets that close on a line of their own a unit of their own."""
    out: list[tuple[Span, int]] = []
    for (s, e), parent in items:
        body = text[s:e].rstrip("}],")
        cut = s + len(body.rstrip())
        if body.strip() and cut < e and "\n" in text[cut:e] and text[s:e].count("\n") == text[cut:e].count("\n"):
            nl = text.find("\n", cut, e)
            tail = _skip_space(text, nl, e)
            out.append(((s, cut), parent))
            out.append(((tail, e), parent))
        else:
            out.append(((s, e), parent))
    return out


def _skip_space(text: str, pos: int, end: int) -> int:
    m = _SPACE.match(text, pos, end)
    return m.end() if m else pos


def _split(text: str, start: int, end: int) -> list[Span]:
    """Splits one long unit: at sentences, else clauses, else white space, outside protected spans."""
    clauses = [m.end() for m in _CLAUSE.finditer(text, start, end)]
    spaces = [m.start() for m in _SPACE.finditer(text, start, end)]
    if not clauses and not spaces:
        return [(start, end)]
    spans = protected_spans(text[start:end])
    starts = [s + start for s, _ in spans]
    ends = [e + start for _, e in spans]

    def free(cut: int) -> bool:
        i = bisect_right(starts, cut) - 1
        return i < 0 or cut <= starts[i] or cut >= ends[i]

    clauses = [cut for cut in clauses if free(cut)]
    spaces = [cut for cut in spaces if free(cut)]
    out: list[Span] = []
    pos = start
    i = j = 0
    while end - pos > MAX_UNIT:
        low, high = pos + MAX_UNIT // 3, pos + MAX_UNIT
        i, best = _last_within(clauses, i, low, high)
        if best < 0:
            j, best = _last_within(spaces, j, low, high)
        else:
            while j < len(spaces) and spaces[j] <= best:
                j += 1
        if best < 0:  # no boundary in reach: the next one there is
            later = [c[k] for c, k in ((clauses, i), (spaces, j)) if k < len(c)]
            if not later:
                break
            best = min(later)
        append_stripped(text, pos, best, out)
        pos = best
    append_stripped(text, pos, end, out)
    return out


def _last_within(cuts: list[int], i: int, low: int, high: int) -> tuple[int, int]:
    """The last cut in (low, high] and the index behind it; -1 when there is none."""
    best = -1
    while i < len(cuts) and cuts[i] <= high:
        if cuts[i] > low:
            best = cuts[i]
        i += 1
    return i, best
