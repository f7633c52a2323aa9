"""Spans that must stay whole: URLs, numbers with their units, dates, ids, code, table rows."""

from __future__ import annotations

import re

from ctxshrink.types import Span

MAX_LINE = 1000
"""A fenced line or table row longer than this is not protected as a whole: it could not be split at all then."""

# Every pattern either starts behind a look-behind that its own characters fail, or has bounded repeats: no start
# position is scanned twice, so the search is linear even on megabytes of one character.
_W = r"0-9A-Za-z_\u00c0-\u024f"
_MONTH = (
    r"(?:jan(?:uary|uar|vier)?|feb(?:ruary|ruar)?|f[ée]v(?:rier)?|mar(?:ch|s|zo)?|märz|apr(?:il)?|avr(?:il)?|may|mai|"
    r"mayo|june?|juni|juin|junio|july?|juli|juillet|julio|aug(?:ust)?|août|agosto|sept?(?:ember|embre|iembre)?|"
    r"o[ck]t(?:ober|obre|ubre)?|nov(?:ember|embre|iembre)?|de[cz](?:ember)?|d[ée]c(?:embre)?|dic(?:iembre)?|"
    r"enero|febrero|abril)"
)
_UNIT = (
    r"(?:%|‰|°[CF]?|km/h|mph|[kKMGTP]i?[bB](?:ytes?)?(?:/s)?|[mckµμn]?m[²³]?|[mckµμ]?g|kWh?|MWh?|GWh?|[kMG]?Hz|[mkM]?[VWAJN]|km/h|mph|"
    r"ms|µs|ns|min|secs?|seconds?|hours?|hrs?|h|days?|weeks?|months?|years?|million(?:en|s)?|billion(?:en|s)?|"
    r"millones|Mio\.|Mrd\.|Milliarden|milliards?|trillion|dollars?|euros?|USD|EUR|GBP|CHF|JPY|CNY|RMB|tokens?|"
    r"Tage?|Stunden?|Jahre?|jours?|ans|heures?|días|años|horas)"
)
_NUM = r"\d{1,40}(?:[.,'’\u00a0\u202f]\d{1,40}){0,20}"
_INLINE = re.compile(
    "|".join(
        [
            # inline code
            r"(?P<code>`[^`\n]{1,300}`)",
            # URLs; trailing punctuation is trimmed below
            r"(?P<url>(?:\b(?:https?|ftp|file|s3|gs|wss?|git|ssh)://|\bwww\.)[^\s<>\"`，。！？；）】」』、]{1,4000})",
            # e-mail addresses
            rf"(?P<mail>(?<![{_W}.+%-])[{_W}.+%-]{{1,64}}@[{_W}-]{{1,63}}(?:\.[{_W}-]{{1,63}}){{1,8}})",
            # dates in words: 3 May 2024 / 3. Mai / le 3 mai / 3 de mayo de 2024 / May 3, 2024
            rf"(?P<dmy>(?<!\w)\d{{1,2}}(?:st|nd|rd|th|er|º|\.)?\ (?:of\ |de\ )?(?i:{_MONTH})\b\.?"
            r"(?:,?\ (?:de\ |del\ )?\d{4}\b)?)",
            rf"(?P<mdy>(?<!\w)(?i:{_MONTH})\b\.?\ \d{{1,2}}(?:st|nd|rd|th)?\b(?:,?\ \d{{4}}\b)?)",
            r"(?P<cjkdate>(?<!\d)(?:\d{1,4}年(?:\d{1,2}月)?(?:\d{1,2}[日号])?|\d{1,2}月\d{1,2}[日号]|\d{1,2}[时時点點](?:\d{1,2}分)?))",
            # a clock time with its half of the day
            r"(?P<time>(?<![\w:])\d{1,2}(?:[:.]\d{2}){0,2}\ ?(?:[aApP]\.?[mM]\b\.?|Uhr\b|heures\b))",
            # numbers with a currency or a unit
            rf"(?P<money>[$€£¥₹]\ ?{_NUM}(?:\ ?(?:million|billion|trillion|[kKmMbB]n?)\b)?)",
            rf"(?P<cjknum>(?<!\d){_NUM}[万亿億兆千百]{{0,3}}(?:人民币|日元|美元|欧元|元|円|人"
            r"|个|個|年|月|日|次|回|歳|岁|公里|千米|米|平方公里|吨|公斤|％|%))",
            rf"(?P<measure>(?<![\w.]){_NUM}[\ \u00a0\u202f-]?(?:{_UNIT}(?![{_W}])|[€£$¥%]))",
            # numbered references: No. 5, Nr. 7, Fig. 3, § 12
            r"(?P<ref>(?<!\w)(?:No|Nos|Nr|Fig|Abb|Tab|Eq|Sec|Ch|Vol|Art|Núm|núm|pp?|S|vol|fig|no|n°|Nº|§{1,2})"
            r"\.?\ ?\d{1,9})",
            # file paths
            rf"(?P<path>(?<![{_W}/\\.~-])(?:~|\.{{1,2}}|[A-Za-z]:)?(?:[/\\][{_W}.@+%=~-]{{1,255}}){{1,64}}[/\\]?)",
            # words joined without a space: identifiers, ids, versions, ISO dates, times, decimals, relative paths
            rf"(?P<joined>#?(?<![{_W}])[{_W}]{{1,400}}(?:(?:[.:/@#&+=~-]{{1,3}}|::|->|,(?=\d)|['’])[{_W}]{{1,400}}){{1,400}})",
            # plain numbers and single tokens that hold a digit (order ids, hex)
            rf"(?P<id>(?<![{_W}])(?=[{_W}]{{0,30}}\d)[{_W}]{{2,400}})",
        ]
    )
)
_FENCE = re.compile(r"^[ ]{0,3}(`{3,}+|~{3,}+)", re.M)
_ROW = re.compile(r"^[ \t]{0,20}\|[^\n]*", re.M)


def fences(text: str) -> list[Span]:
    """Ranges of fenced code blocks (fence lines included). A fence that is never closed runs to the end."""
    out: list[Span] = []
    start, mark = -1, ""
    for m in _FENCE.finditer(text):
        ticks = m.group(1)
        if start < 0:
            start, mark = m.start(), ticks
        elif ticks[0] == mark[0] and len(ticks) >= len(mark):
            end = text.find("\n", m.end())
            end = len(text) if end < 0 else end
            if text[m.end() : end].strip():  # a closing fence has nothing behind it
                continue
            out.append((start, end))
            start = -1
    if start >= 0:
        out.append((start, len(text)))
    return out


def protected_spans(text: str) -> list[Span]:
    """Spans that a compressor must keep or drop as a whole.

    These are: lines of fenced code blocks, Markdown table rows, inline code, URLs, e-mail addresses, paths, numbers
    with their unit or currency, dates and times, ids (UUIDs, hex, ``INV-2291``), dotted and hyphenated identifiers.

    Returns:
        Ordered, disjoint character ranges.
    """
    lines: list[Span] = []
    for s, e in fences(text):
        pos = s
        while pos < e:
            nl = text.find("\n", pos, e)
            end = e if nl < 0 else nl
            if 0 < end - pos <= MAX_LINE and text[pos:end].strip():
                lines.append((pos, end))
            pos = end + 1
    lines += [m.span() for m in _ROW.finditer(text) if m.end() - m.start() <= MAX_LINE]
    inline: list[Span] = []
    for m in _INLINE.finditer(text):
        s, e = m.span()
        if m.lastgroup == "url":
            e = s + len(text[s:e].rstrip(".,;:!?'"))
            while e > s and text[e - 1] in ")]}" and not any(c in text[s:e] for c in "([{"):
                e -= 1
        if e - s > 1:
            inline.append((s, e))
    return _union(lines, inline)


def _union(lines: list[Span], inline: list[Span]) -> list[Span]:
    """Ordered and disjoint: overlapping spans become one."""
    out: list[Span] = []
    for s, e in sorted(lines + inline):
        if out and s < out[-1][1]:
            out[-1] = (out[-1][0], max(e, out[-1][1]))
        else:
            out.append((s, e))
    return out
