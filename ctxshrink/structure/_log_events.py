"""What the lines of a log or of a program's output are worth, and which of them belong together.

A line's weight is that of its kind (an error, a test that passed, a progress line) times the rarity of its event: an
event that happened once in a long log says more than the two-hundredth of its sort.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal, TypeAlias

__all__ = ["Kind", "groups", "kind", "kinds", "shapes", "weights"]

Kind: TypeAlias = Literal["failure", "error", "warning", "summary", "frame", "passed", "noise", "blank", "plain"]
"""What a line says. A "failure" ends or heads one: an exception, an assertion, a failed test."""

WORTH: dict[Kind, float] = {
    "failure": 6.0,
    "error": 3.0,
    "warning": 1.6,
    "summary": 5.0,
    "frame": 1.0,
    "passed": 0.15,
    "noise": 0.1,
    "blank": 0.0,
    "plain": 1.0,
}
AGAIN = 0.35
"""Factor of a line that stood verbatim before, whatever it says."""
RARITY = 1.6
"""How fast an event loses weight as its sort gets frequent: power of log(n / count) / log(n)."""
LEAST_RARE = 0.06
"""Factor of the most frequent sort of event."""
EDGE = 2.0
"""Factor of the first and the last line: what was run, and how it ended."""
HEAD = 200
"""Characters of a line that its kind is read from, at either end."""

_FAILURE = re.compile(
    r"^\s{0,20}(?:[\w.]{1,120}(?:Error|Exception|Warning|Exit|Interrupt|Failure)|Error|Exception|panic|Caused by)\b"
    r"(?::|$| in | at )|^Traceback \("
    r"|^\s{0,8}E\s{1,80}\S|^(?:FAIL|ERROR|FAILED)\b[: ]|^\s{0,12}--- FAIL|^not ok\b|\b(?:FAILED|FAIL)$"
    r"|\.{3} ?(?:FAIL|ERROR|FAILED)\b|^_{3,} .{1,200} _{3,}$|^error(?:\[\w+\])?:|: (?:fatal )?error(?: \w+\d+)?:"
    r"|^npm (?:ERR|error)|^\s{0,4}[●✕✗×] |^thread '.{1,100}' .{0,20}panicked|^fatal:|^\[ERROR\]"
    r"|^make(?:\[\d+\])?: \*\*\*|BUILD FAIL"
)
_ERROR = re.compile(
    r"\b(?:error|errors|fail(?:ed|ure|ures|s|ing)?|fatal|critical|severe|panic|exception|traceback|abort(?:ed|ing)?|"
    r"denied|refused|time[ds]? ?out|unreachable|unable|cannot|can't|could ?n[o']t|corrupt(?:ed|ion)?|killed|"
    r"out of memory|oom|segfault|segmentation fault|invalid|illegal|lost|not found|no such|undefined|unexpected|"
    r"unsuccessful|rejected|conflict|deadlock|violation|emerg(?:ency)?|alert|crash(?:ed)?)\b"
    r"|Error\b|Exception\b|\b[EF]/\w",
    re.I,
)
_WARNING = re.compile(r"\bwarn(?:ing|ings)?\b|\bdeprecat(?:ed|ion)\b|Warning\b|\bretry(?:ing)?\b|\bslow\b|\bW/\w", re.I)
_NONE = re.compile(
    r"\b(?:0|no|without|zero) (?:\w+ )?(?:errors?|failures?|failed|warnings?|exceptions?)\b"
    r"|\b(?:errors?|failures?|failed|warnings?)[:=] ?0\b",
    re.I,
)
_SUMMARY = re.compile(
    r"\b\d+ (?:tests? |specs? |examples? )?(?:passed|failed|failing|passing|failures?|errors?|skipped|xfailed|"
    r"warnings?|problems?|pending)\b|^Ran \d+|^(?:Tests?|Test Suites|Snapshots|Suites)\b.{0,40}\d|BUILD \w+|"
    r"\bexit(?:ed)?\b.{0,20}\b(?:code|status|with)\b|\bcode \d+\b|^(?:OK|FAILED|PASSED|FAIL|ok|test result)\b"
    r"(?: \(|$|:|\t)|^\s{0,4}Finished\b|^Successfully |^>{3,}|^Found \d+|\btotal\b|\bsummary\b|"
    r"\breturn(?:ed)? code\b|^Process finished|^Command |tests? finished|test session starts",
    re.I,
)
_PASSED = re.compile(
    r"\.{3,} ?(?:ok|OK|skipped|passed|PASSED|expected failure|SKIPPED|xfail)\b|^(?:PASSED|SKIPPED|XFAIL|PASS:)\b"
    r"|^\S{1,300} (?:PASSED|SKIPPED)\b|\bPASSED\b\s{0,9}(?:\[|$)|^\s{0,8}\S{1,300} ok$|^ok\s"
    r"|^\s{0,20}(?:--- PASS|--- SKIP|✓|✔|√|ok \d|=== (?:RUN|PAUSE|CONT))"
    r"|^[\w/.-]{1,200}[. ]{1,3}[.sxX]{2,}(?:\s|$)|^[.sxX]{4,}(?:\s|$)"
)
_NOISE = re.compile(
    r"^\s{0,8}(?:Requirement already|Collecting |Downloading |Using cached|Installing build|Getting requirements|"
    r"Preparing (?:metadata|wheel)|Building wheel|Created wheel|Stored in directory|Attempting uninstall|Found exist|"
    r"Uninstalling|Successfully uninstalled|Compiling |Checking |Fresh |Resolving |Fetching |Updating |Unpacking |"
    r"Selecting |Setting up |Get:\d|Hit:\d|Ign:\d|Applying \S+\.\.\. OK|Creating t\w+ |Running (?:deferred|migrations)|"
    r"Destroying |Cloning |Synchroniz\w+ |Operations to|Apply all|Download(?:ed|ing)? from|remote: |Receiving |"
    r"\[\d{1,5}/\d{1,5}\]|\d{1,3}%|\[\s{0,2}\d{1,3}%\]|added \d|> Task |\x1b\[[\d;]*[A-K])|\d{1,3}%\s?\|"
)
_FRAME = re.compile(
    r'^\s{1,60}(?:File "|at |in |from )|^\s{1,20}\S{1,300}:\d{1,7}(?::\d{1,5})?: in \b'
    r"|^\S{1,300}:\d{1,7}: (?:in \w|\w{1,60}$)"
    r"|^goroutine \d|^\s{0,60}\.{3} \d{1,4} more|^\s{1,8}\d{1,3}: |^#\d{1,3} "
)
_WORD = re.compile(r"[\w./+-]+")


def kind(line: str) -> Kind:
    """What one line says, judged by its beginning and its end."""
    text = line if len(line) <= 2 * HEAD else line[:HEAD] + " " + line[-HEAD:]
    if not any(map(str.isalnum, text)):
        return "blank"
    if _PASSED.search(text) and not _FAILURE.search(text):
        return "passed"
    if _FAILURE.search(text):
        return "failure"
    if _SUMMARY.search(text):
        return "summary"
    if _FRAME.search(text):
        return "frame"
    if _NOISE.search(text):
        return "noise"
    quiet = _NONE.search(text) is not None
    if not quiet and _ERROR.search(text):
        return "error"
    if not quiet and _WARNING.search(text):
        return "warning"
    return "plain"


def kinds(lines: Sequence[str]) -> list[Kind]:
    """The kind of each line; equal lines are looked at once."""
    known: dict[str, Kind] = {}
    out: list[Kind] = []
    for line in lines:
        found = known.get(line)
        if found is None:
            found = known[line] = kind(line)
        out.append(found)
    return out


def shapes(lines: Sequence[str]) -> list[tuple[str, ...]]:
    """The sort of event of each line: its words, numbers and words that hardly any other line has masked."""
    cut: list[list[str]] = [_WORD.findall(line[:1000])[:40] for line in lines]
    df: Counter[str] = Counter()
    for words in cut:
        df.update(set(words))
    least = max(3, len(lines) // 100)
    out: list[tuple[str, ...]] = []
    for words in cut:
        shape: list[str] = []
        for w in words:
            mark = "0" if any(map(str.isdigit, w)) else w if df[w] >= least else "*"
            if mark not in ("0", "*") or not shape or shape[-1] != mark:
                shape.append(mark)
        out.append(tuple(shape))
    return out


def weights(lines: Sequence[str], times: Sequence[int], found: Sequence[Kind]) -> list[float]:
    """Weight of each line, 1 for one that is nothing special.

    Args:
        lines: The lines.
        times: How often each stands there in a row; 0 for a line that the next one writes over (a progress bar).
        found: Their kinds.
    """
    sorts = shapes(lines)
    count: Counter[tuple[str, ...]] = Counter()
    for sort, n in zip(sorts, times, strict=True):
        count[sort] += n
    total = max(2, sum(times))
    seen: set[str] = set()
    out: list[float] = []
    for line, sort, n, what in zip(lines, sorts, times, found, strict=True):
        rare = max(0.0, math.log(total / max(1, count[sort])) / math.log(total)) ** RARITY
        weight = WORTH[what if n else "noise"] * max(LEAST_RARE, rare if n else 0.0)
        out.append(weight * AGAIN if line in seen else weight)
        seen.add(line)
    return out


def groups(lines: Sequence[str], found: Sequence[Kind]) -> list[int]:
    """Number of the record of each line: a line with the indented lines behind it, a stack trace to its last line."""
    out: list[int] = []
    number = -1
    trace = False
    for line, what in zip(lines, found, strict=True):
        inside = line[:1].isspace() and what != "blank"
        if number < 0 or not (inside or (trace and what == "failure")):
            number += 1
            trace = False
        if what == "frame" or line.startswith("Traceback"):
            trace = True
        elif trace and not inside:
            trace = False
        out.append(number)
    return out
