"""What a text looks like."""

from __future__ import annotations

import json
import re

from ctxshrink.types import ContentType

SAMPLE = 8_000
"""Characters that are looked at: a longer text is judged by its beginning and a piece of its middle."""

_HUNK = re.compile(r"^@@ -\d{1,9}(?:,\d{1,9})? \+\d", re.M)
_DIFF = re.compile(r"^(?:diff --git |Index: \S|\*\*\* \S+ )", re.M)
_DIFF_FILES = re.compile(r"^--- \S[^\n]{0,300}\n\+\+\+ \S", re.M)
_TAG = re.compile(
    r"</?(?:html|head|body|div|p|span|a|table|thead|tbody|tr|td|th|ul|ol|li|h[1-6]|section|article|nav|script|style|br|"
    r"img|meta|link|form|input|button|header|footer|main|title|b|i|strong|em|pre|code)\b[^<>\n]{0,300}>",
    re.I,
)
_INLINE = re.compile(r"</?(?:span|a|b|i|u|em|strong|code|small|sub|sup|mark)\b", re.I)
_HTML_START = re.compile(r"\s{0,200}(?:<!doctype\s+html|<html\b|<\?xml\b|<head\b|<body\b)", re.I)
_LOG = re.compile(
    r"^\W{0,3}\d{4}[-/.]\d{2}[-/.]\d{2}[T ,]"
    r"|^\W{0,3}\d{1,2}[/.]\d{1,2}[/.]\d{2,4} \d{1,2}:\d{2}"
    r"|^(?:<\d{1,3}>)?[A-Z][a-z]{2} {1,2}\d{1,2} \d{2}:\d{2}:\d{2}"
    r"|^\W{0,3}(?:\d{2}[-.]\d{2} )?\d{1,2}:\d{2}:\d{2}|^\W{0,3}\d{8}[-T ]\d{1,2}:\d{1,2}:\d{1,2}"
    r"|^\W{0,3}\d{6} \d{6} |^\W{0,3}\d{9,13}(?:\.\d{1,9})? "
    r"|^.{0,80}\b(?:INFO|WARN|WARNING|ERROR|DEBUG|FATAL|CRITICAL|TRACE|NOTICE)\b"
    r"|^\s{0,20}at [\w$.<>]{1,200}\(|^\s{0,8}File \"[^\"\n]{1,300}\", line \d|^Traceback \(most recent"
    r"|\.{3,}\s?(?:ok|PASSED|FAILED|ERROR|FAIL|skipped)\b|^(?:PASSED|FAILED|ERROR|FAIL|OK|ok|not ok)\b"
    r"|^[\w/.-]{1,200}::\w|^[-=_*#]{8,}|^\s{0,8}E  {1,6}\S|^(?:\$|>>>|bash-\$|%) ?\S|^[d-][rwx-]{9}"
    r"|^(?:Collecting|Requirement already|Downloading|Installing|Successfully|npm |\[\w{1,12}\])"
)
_STAMP = re.compile(
    r"\W{0,3}\d{4}[-/.]\d{2}[-/.]\d{2}[T ]\d{2}:\d{2}:\d{2}|[A-Z][a-z]{2} {1,2}\d{1,2} \d{2}:\d{2}:\d{2}"
    r"|\d{8}[-T ]\d{1,2}:\d{1,2}:\d{1,2}|\d{2}[-.]\d{2} \d{2}:\d{2}:\d{2}"
)
_DOING = re.compile(r"^\s{0,8}[A-Z][a-z]{2,12}ing [^\n]{1,100}(?:\.{3}|[^.?!,;:\s])\s{0,8}$")
_CODE = re.compile(
    r"^\s{0,40}(?:def |class |import |from \S{1,80} import |return\b|if .{1,200}:$|for .{1,200}:$|while .{1,100}[:{]$|"
    r"else\b.{0,20}[:{]$|"
    r"elif |try\b.{0,3}[:{]$|except\b|finally\b|with .{1,200}:$|@\w|"
    r"public |private |protected |static |fn |pub |let |const |var |"
    r"function\b|func |package |use |impl |struct |enum |#include|#define|//|/\*|\*/|\* @|"
    r"namespace |using |template|async |await |"
    r"export |switch\b|case .{1,80}:$|SELECT |INSERT |CREATE |UPDATE )"
    r"|[;{}]\s{0,3}$|^\s{0,40}[)}\]]{1,4}[,;)]{0,3}$"
    r"|^\s{0,40}[\w.\[\]\"'*]{1,80} [-+*/|&]?:?= \S"
    r"|^\s{0,40}[\w.]{1,80}\(.{0,200}\)[;,:]?$"
    r"|^\s{4,40}[\w.\"'*]{1,60}(?:\(|=|: ).{0,200}[,(]$|=>|\)\s->\s"
)
_NUMBERED = re.compile(r"^\s{0,8}\d{1,6}(?::|\t|\|| \|)")


def content_type(text: str) -> ContentType:
    """What a text looks like, judged by its line shapes in a bounded sample.

    Returns:
        "prose" wherever nothing else is clearly the case; Markdown is prose.
    """
    sample = _sample(text)
    stripped = sample.lstrip()
    if not stripped:
        return "prose"
    if stripped[0] in "{[" and _is_json(text, stripped):
        return "json"
    lines = [line for line in sample.splitlines() if line.strip()]
    if _HUNK.search(sample) or _DIFF_FILES.search(sample) or (_DIFF.match(stripped) is not None):
        return "diff"
    if _is_html(sample, lines):
        return "html"
    stamped = sum(1 for line in lines if _STAMP.match(line)) / max(1, len(lines))
    if _is_table(lines) and (stamped < 0.5 or lines[0].lstrip().startswith("|")):
        return "table"
    if len(lines) >= 3 and "```" not in sample:
        doing = len(lines) >= 12
        log = sum(1 for x in lines if _LOG.search(x[:400]) or (doing and _DOING.search(x[:400]))) / len(lines)
        bare = [_NUMBERED.sub("", line[:400]) for line in lines]
        code = sum(1 for line in bare if _CODE.search(line)) / len(lines)
        numbered = sum(1 for a, b in zip(lines, bare, strict=True) if len(b) < len(a[:400])) / len(lines)
        if (code >= 0.4 and code >= log) or (numbered > 0.6 and code >= 0.2):
            return "code"
        if log >= 0.3:
            return "log"
        if _unlike_prose(lines):
            return "code" if code >= 0.25 else "log"
    return "prose"


def _sample(text: str) -> str:
    if len(text) <= SAMPLE:
        return text
    mid = len(text) // 2
    head, middle = text[: SAMPLE * 3 // 4], text[mid : mid + SAMPLE // 4]
    # Whole lines only, where there are lines.
    head = head[: head.rfind("\n") + 1] or head
    cut = middle.find("\n")
    return head + (middle[cut + 1 :] if 0 <= cut < len(middle) - 1 else "")


def _is_json(text: str, stripped: str) -> bool:
    if len(text) <= SAMPLE:
        try:
            return isinstance(json.loads(text), (dict, list))
        except (ValueError, RecursionError):
            pass
    head = stripped[:400]
    if not re.match(r"\{\s*[\"}]|\[\s*(?:\{\s*[\"}]|\[|\"|-?\d{1,30}\s*[,\]]|true|false|null)", head):
        return False
    # Truncated, concatenated or line-delimited JSON; a long one is not parsed.
    pairs = len(re.findall(r'"\s{0,9}:', stripped))
    return pairs >= 2 or (head[0] == "[" and stripped.count(",") >= 2 and "](" not in head)


def _is_html(sample: str, lines: list[str]) -> bool:
    if _HTML_START.match(sample):
        return True
    found = [m.group(0) for m in _TAG.finditer(sample)]
    if all(_INLINE.match(tag) for tag in found):
        return False  # Prose with marks in it has sentences, and no blocks to choose from.
    tags, inside = len(found), sum(map(len, found))
    return tags >= 4 and (inside / max(1, len(sample)) > 0.08 or tags / max(1, len(lines)) >= 1.5)


def _is_table(lines: list[str]) -> bool:
    if len(lines) < 2:
        return False
    if sum(1 for line in lines if line.lstrip().startswith("|") and line.count("|") >= 2) >= 0.7 * len(lines):
        return True
    if len(lines) < 3:
        return False
    for mark in "\t,;|":
        counts = [line.count(mark) for line in lines]
        usual = sorted(counts)[len(counts) // 2]
        if usual < 1:
            continue
        same = sum(1 for c in counts if abs(c - usual) <= (1 if usual >= 3 else 0)) / len(counts)
        if same < 0.8:
            continue
        if mark == "\t" or mark == "|":
            return usual >= 1
        # Commas in prose and code come with spaces behind them and full stops at the line's end.
        tight = sum(line.count(mark) - line.count(mark + " ") for line in lines) / max(1, sum(counts))
        ends = sum(1 for line in lines if line.rstrip()[-1:] in ".!?;{}(,:") / len(lines)
        if (tight > 0.6 or usual >= 3) and ends < 0.3:
            return True
    return False


def _unlike_prose(lines: list[str]) -> bool:
    """Many lines of symbols and digits without sentences: the output of some program."""
    if len(lines) < 6:
        return False
    body = "".join(lines)
    letters = sum(1 for c in body if c.isalpha())
    marks = sum(1 for c in body if not c.isalnum() and not c.isspace())
    return marks > 0.22 * max(1, letters) and letters < 0.72 * len(body)
