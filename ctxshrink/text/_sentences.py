"""Sentences in English, German, French, Spanish, Chinese and Japanese, by rules."""

from __future__ import annotations

import re

from ctxshrink.text._script import CJK
from ctxshrink.types import Span

_CLOSE = "\"'”’»)\\]}*_“«›"
_CJK_CLOSE = "」』”’）】》〉\"')]"
# A full stop of the Latin script with the closing quotes behind it, before white space; or one of the CJK script, which
# needs none. Possessive repeats and look-behinds keep the search linear on runs of dots.
_STOP = re.compile(
    rf"(?<![.!?…])(?P<latin>[.!?…]++)(?P<close>(?:[{_CLOSE}]|\ ''|[ \u00a0\u202f][»)\]](?=\s|$)){{0,6}})(?=\s|$)"
    rf"|(?P<cjk>(?<![。！？｡])[。！？｡]++)(?P<cclose>[{re.escape(_CJK_CLOSE)}]{{0,6}})"
    rf"|(?P<mixed>(?<=[{CJK}])[!?]{{1,9}}+)(?P<mclose>[{re.escape(_CJK_CLOSE)}]{{0,6}})(?=[{CJK}「『“（])"
)
_QUOTED_ON = re.compile(r"[とっのはがをにもだで、，,；;：:]")  # 「…。」と言った goes on; so does “…！”，他说
_NEXT = re.compile(r"[\s\"'“‘«‹„‚»(\[{¿¡—–*_`-]{0,12}")
_WORD_BEFORE = re.compile(r"([^\s\"'“”‘’«»()\[\]{},;:/—–|*_]+)$")
_NEXT_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Never the last word of a sentence.
_TITLES = _set(
    """mr mrs ms mx dr drs prof st ste mme mlle mm hr fr frl sr sra srta dra gen col lt capt cmdr sgt rev hon gov sen
    rep pres messrs dipl ing vs cf al ca bzgl bzw vgl evtl ggf inkl exkl sog zzgl bsp anm hrsg aufl env approx eds
    trans ibid viz resp tel mio mrd geb gest verh apdo ud uds vd vds"""
)
# Not the last word where a number follows.
_NUMBERED = _set(
    """nr nos no núm num fig figs eq eqs sec ch vol pp p pág págs abs art abb tab kap bd s n c lit bl bk pt app"""
)
# May end a sentence: they do when the next word is a usual first word.
_MAY_END = _set(
    "inc corp co ltd llc bros jr dept univ est assn mt ft u.s u.k u.n e.u d.c ph.d m.d b.a m.a s.a gmbh u.s.a"
)
# End one before any capital that is not an all-capitals word (3 p.m. EST).
_ENDS = _set("etc usw u.s.w a.m p.m uvm usf u.ä o.ä")
_MONTHS = _set("""jan feb mar apr jun jul aug sep sept oct okt nov dec dez janv févr avr juil déc ene abr ago dic""")
_MONTH_WORD = re.compile(
    r"(?:Januar|Februar|März|April|Mai|Juni|Juli|August|September|Oktober|November|Dezember|Jänner|Jahrhundert|Jh)\b"
)
# Function words before a German ordinal: am 3. Mai, im 19. Jahrhundert, der 2. Weltkrieg.
_ORDINAL_BEFORE = _set(
    "am im der die das den dem des vom zum zur bis ab seit beim jeder jeden ihr ihrem seinem seinen einem einer"
)
_STARTERS = _set(
    """the this that these those it he she they we you i a an in on at by for from to of as if when while after
    before since but and or so however there here its his her their our my what why who where how not no yes all some
    many most
    der die das ein eine er sie es wir ich ihr in im am auf mit nach bei doch aber und als wenn dies diese dieser
    le la les un une il elle ils elles on nous vous je ce cette ces cela dans en pour mais et au aux des du
    el los las una ella ellos nosotros yo esto esta este estos en por para pero y con al se su sus"""
)
_ABBR_TAIL = re.compile(
    r"(?:^|[\s(\[„“\"'])(?:z\. ?B|d\. ?h|u\. ?a|u\. ?U|EE|i\. ?d\. ?R|o\. ?g|p\. ?ex|par ex"
    r"|p\. ?ej|por ej|e\. ?g|i\. ?e)$"
)
_HARD_NEXT = re.compile(
    r"[ \t]{0,40}(?:[-*+•‣◦▪–—·●○][ \t]|\(?\d{1,3}[.)][ \t]|[a-z][.)][ \t]|#{1,6}[ \t]|\||>"
    r"|```|~~~|<|=====|-----|\[\w{1,20}\])"
)
_LIST_NUMBER = re.compile(r"[ \t>#*-]{0,40}\(?(?:\d{1,3}(?:\.\d{1,3}){0,5}|[A-Za-z]|[ivxIVX]{1,6})\.$")
_HEADING = re.compile(r"[ \t]{0,3}#{1,6}[ \t]")
_ROW = re.compile(r"[ \t]{0,20}\|")
_LINE_END = re.compile(r"[.!?…:;。！？：；][\"'”’»)\]」』）*_]{0,4}$")
_FIRST_WORD = re.compile(r"\S{1,40}")
_CJK_CHAR = re.compile(f"[{CJK}]")


def sentences(text: str) -> list[Span]:
    """The sentences of a text.

    A line break ends one only where it looks like the end of a paragraph, list item, table row or heading; lines
    wrapped at a column do not. Text with spaces before its punctuation is understood too.

    Returns:
        Ordered, disjoint ranges that begin and end with a non-space character and hold all such characters.
    """
    out: list[Span] = []
    for start, end, whole in blocks(text):
        if whole:
            append_stripped(text, start, end, out)
            continue
        pos = start
        for m in _STOP.finditer(text, start, end):
            if m.end() >= end:
                break
            if _is_boundary(text, m, start, pos, end):
                append_stripped(text, pos, m.end(), out)
                pos = m.end()
        append_stripped(text, pos, end, out)
    return out


def blocks(text: str) -> list[tuple[int, int, bool]]:
    """Paragraphs, list items, headings and rows as (start, end, is one unit whatever stops it holds)."""
    out: list[tuple[int, int, bool]] = []
    for start, end in _paragraphs(text):
        lines = _lines(text, start, end)
        if len(lines) == 1:
            out.append((start, end, _whole(text, start, end)))
            continue
        width = max(e - s for s, e in lines)
        first = lines[0][0]
        for (s, e), (ns, ne) in zip(lines, [*lines[1:], (end, end)], strict=True):
            if ns == end or _hard_break(text, s, e, ns, ne, width):
                out.append((first, e, _whole(text, first, e)))
                first = ns
    return out


def _paragraphs(text: str) -> list[Span]:
    """Runs of lines that are not blank."""
    out: list[Span] = []
    start = -1
    pos, last = 0, 0
    for line in text.splitlines(keepends=True):
        if line.isspace():
            if start >= 0:
                out.append((start, last))
                start = -1
        else:
            start = pos if start < 0 else start
            last = pos + len(line)
        pos += len(line)
    if start >= 0:
        out.append((start, last))
    return out


def _lines(text: str, start: int, end: int) -> list[Span]:
    out: list[Span] = []
    for line in text[start:end].splitlines(keepends=True):
        out.append((start, start + len(line.rstrip())))
        start += len(line)
    return out


def _whole(text: str, start: int, end: int) -> bool:
    """Headings and table rows are one unit."""
    return bool(_HEADING.match(text, start, end) or _ROW.match(text, start, end))


def _hard_break(text: str, s: int, e: int, ns: int, ne: int, width: int) -> bool:
    """Whether the line break between the line [s, e) and the next, [ns, ne), ends more than a line."""
    if _HARD_NEXT.match(text, ns, ne) or _whole(text, s, e) or _LINE_END.search(text, max(s, e - 6), e):
        return True
    m = _FIRST_WORD.search(text, ns, ne)
    if m is None:
        return True
    char = text[m.start()]
    if char.islower() or char in ",;)]":
        return False
    # A wrapped line is one that its next word did not fit on; other short lines stand alone.
    word = 1 if _CJK_CHAR.match(char) else m.end() - m.start() + 1
    return not (20 <= e - s <= 130 and e - s + word > width)


def _is_boundary(text: str, m: re.Match[str], block: int, start: int, end: int) -> bool:
    if m.lastgroup == "cclose":
        return not (m.group("cclose") and _QUOTED_ON.match(text, m.end(), end))
    if m.lastgroup == "mclose":
        return not (m.group("mclose") and _QUOTED_ON.match(text, m.end(), end))
    stop = m.group("latin")
    follow = text[m.end() : m.end() + 60]
    lead = _NEXT.match(follow)
    rest = follow[lead.end() :] if lead else follow
    if not rest:
        return len(follow) < 60 or follow[0].isspace()
    char = rest[0]
    if char.islower():
        return False
    if char in ".,;:!?)]}" and stop != "!":
        return False
    if stop != ".":
        return True
    return _dot_ends(text, m.start(), block, start, rest)


def _dot_ends(text: str, dot: int, block: int, start: int, rest: str) -> bool:
    """Whether a single full stop ends a sentence, given the word before it and the text behind it."""
    left = text[max(start, dot - 40) : dot]
    m = _WORD_BEFORE.search(left)
    if m is None:
        return True
    word = m.group(1)
    low = word.lower()
    nxt = _NEXT_WORD.match(rest)
    first = nxt.group(0) if nxt else ""
    starts = first.lower() in _STARTERS
    if dot - block <= 50 and _LIST_NUMBER.match(text, block, dot + 1):
        return False
    if word.isdigit():
        before = left[: m.start()].split()
        ordinal = len(word) <= 2 and (
            bool(_MONTH_WORD.match(rest)) or (bool(before) and before[-1].lower() in _ORDINAL_BEFORE)
        )
        return not ordinal
    if rest[0].isdigit() and (low in _MONTHS or low in _NUMBERED):
        return False
    if low in _ENDS:
        return not (len(first) > 1 and first.isupper())
    if _ABBR_TAIL.search(left) or low in _TITLES or low.replace(".", "") in {"eg", "ie", "zb", "dh"}:
        return False
    if low in _MAY_END:
        return starts
    if len(word) == 1 and word.isalpha():
        # An initial (J. Smith) or half of an abbreviation (z. B.), unless a usual first word follows (vitamin C. The).
        return starts
    if "." in word and re.fullmatch(r"(?:[^\W\d_]\.)+[^\W\d_]", word):
        return starts
    return True


def append_stripped(text: str, start: int, end: int, out: list[Span]) -> None:
    """Adds the range without the white space around it, if anything is left."""
    piece = text[start:end]
    core = piece.strip()
    if core:
        start += len(piece) - len(piece.lstrip())
        out.append((start, start + len(core)))
