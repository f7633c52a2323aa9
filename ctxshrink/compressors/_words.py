"""The words of a text: what a compressor below the level of sentences keeps or drops as a whole."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ctxshrink.facts import fact_spans
from ctxshrink.text import CJK, protected_spans, units
from ctxshrink.text.wordlists import GERMAN, LIMITS, NEGATIONS, OTHERS
from ctxshrink.types import Span

_OPENING = "「『（《【〈〔［｛"
_CJK_MARK = (
    "\u3001-\u3003\u3009\u300b\u300d\u300f\u3011\u3015\uff01-\uff07\uff09-\uff0f\uff1a-\uff20\uff3d-\uff40\uff5c-\uff65"
)
# A run of Chinese or Japanese with the marks around it, or a run of other characters without white space.
_RUN = re.compile(rf"(?P<cjk>[{_OPENING}]*+[{CJK}]++[{_CJK_MARK}]*+)|[^\s{CJK}{_OPENING}]++|[{_OPENING}]++")
# Nothing but a dictionary finds the words of these scripts. Phrases end at a mark, behind 的, and behind a Japanese
# particle that a kanji or katakana follows (behind other hiragana a word may go on: 食べ物).
_PHRASE = re.compile(
    rf"[{_CJK_MARK}]++(?![{_CJK_MARK}])|的(?=[{CJK}])|[はがをにでともへやの](?=[\u30a0-\u30ff\u4e00-\u9fff])"
)
_END = re.compile(r"[.!?…。！？｡]{1,9}[\"'”’»)\]」』）】》〉]{0,6}$")
_NO_SPACE = re.compile(f"[{CJK}{_CJK_MARK}]")
_SPACE = re.compile(r"\s")
_BREAK = re.compile("[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_COMMAS = ",;:，、；："
_LETTERS = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_TELLING = NEGATIONS | LIMITS
_TELLING_CJK = re.compile("|".join(sorted((w for w in _TELLING if ord(w[0]) > 0x3000), key=lambda w: (-len(w), w))))
_PRONOUNS = frozenset("AIOYÀÉ")
"""Words of one letter, which have a capital at the start of a sentence or always."""
_SHOUTED = 0.3
"""Above this share of words in capitals, capitals tell nothing."""
_PLAIN = re.compile(r"[^\d_/@#]*")


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one text.

    Attributes:
        text: The text.
        spans: Ranges of the words: ordered, disjoint, holding every non-space character. Punctuation belongs to the
            word that it touches, but the mark that ends a sentence is a word of its own. Protected spans
            (`ctxshrink.text.protected_spans`) are single words.
        unit: Sentence of each word (`ctxshrink.text.units`), ascending from 0 without holes, shape (words,).
        must: True for words that stay when anything of their sentence does: numbers, dates, ids, names, negations,
            conditions, the mark at the end; shape (words,).
        end: True for the marks that end a sentence, shape (words,).
    """

    text: str
    spans: list[Span]
    unit: NDArray[np.int64]
    must: NDArray[np.bool_]
    end: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.spans)

    def overlapping(self, spans: list[Span]) -> NDArray[np.int64]:
        """The word that each of some ordered spans (a tokenizer's offsets, say) has the most characters of.

        Returns:
            Shape (spans,); -1 for spans that touch no word: white space and empty ones.
        """
        starts = [s for s, _ in self.spans]
        out = np.full(len(spans), -1, dtype=np.int64)
        for i, (start, end) in enumerate(spans):
            best = 0
            for k in range(max(0, bisect_right(starts, start) - 1), len(starts)):
                s, e = self.spans[k]
                if s >= end:
                    break
                common = min(e, end) - max(s, start)
                if common > best:
                    best, out[i] = common, k
        return out


def split_words(text: str) -> Words:
    """The words of a text of prose; linear in its length."""
    sentences = units(text, "prose")
    spans = _cut(text, sentences)
    starts = [s for s, _ in sentences]
    place = np.array([max(0, bisect_right(starts, s) - 1) for s, _ in spans], dtype=np.int64)
    end = np.zeros(len(spans), dtype=np.bool_)
    for i, (s, e) in enumerate(spans):
        last = i + 1 == len(spans) or place[i + 1] != place[i]
        end[i] = last and e - s <= 16 and i > 0 and place[i - 1] == place[i] and bool(_END.fullmatch(text, s, e))
    unit = np.unique(place, return_inverse=True)[1].astype(np.int64)
    return Words(text, spans, unit, _telling(text, spans) | end, end)


def _cut(text: str, sentences: list[Span]) -> list[Span]:
    """Pieces between white space, script boundaries and sentence boundaries, whole over protected spans."""
    cuts = [edge for span in sentences for edge in span]
    pieces: list[Span] = []
    for m in _RUN.finditer(text):
        cuts += m.span()
        pieces.append(m.span())
        if m["cjk"]:
            cuts += [p.end() for p in _PHRASE.finditer(text, *m.span())]
    for s, e in sentences:
        ending = _END.search(text, max(s, e - 16), e)
        if ending is not None and ending.start() > s:
            cuts.append(ending.start())
    for s, e in (guarded := protected_spans(text)):
        cuts += (s, e)
    places = sorted(set(cuts))
    firsts = [s for s, _ in guarded]
    inside = [bisect_left(firsts, cut) - 1 for cut in places]
    places = [cut for cut, i in zip(places, inside, strict=True) if i < 0 or cut >= guarded[i][1]]
    bounds = frozenset(edge for span in sentences for edge in span)
    ends = frozenset(e for _, e in sentences)
    out: list[Span] = []
    for s, e in pairwise(places):
        core = text[s:e].strip()
        if not core:
            continue
        s += len(text[s:e]) - len(text[s:e].lstrip())
        e = s + len(core)
        ending = e in ends and bool(_END.fullmatch(core))
        if out and out[-1][1] == s and s not in bounds and not ending and _belongs(text, out[-1], (s, e)):
            out[-1] = (out[-1][0], e)
        else:
            out.append((s, e))
    return out


def _belongs(text: str, left: Span, right: Span) -> bool:
    """Whether two pieces that touch are one word: marks belong to what they touch, and so do two halves of a word."""
    a, b = text[left[1] - 1], text[right[0]]
    if _NO_SPACE.match(a) and a not in _OPENING:
        return not any(c.isalnum() for c in text[right[0] : right[1]][:40]) and b not in _OPENING
    if _NO_SPACE.match(b) and b.isalnum():
        return a in _OPENING
    return b not in _OPENING


def _telling(text: str, spans: list[Span]) -> NDArray[np.bool_]:
    """Words without which their sentence says something else."""
    out = np.zeros(len(spans), dtype=np.bool_)
    said = [w for s, e in spans for w in _LETTERS.findall(text[s : min(e, s + 200)].casefold())]
    german = sum(w in GERMAN for w in said) > sum(w in OTHERS for w in said)
    shouted = sum(len(w) > 1 and w.isupper() for w in _LETTERS.findall(text)) > _SHOUTED * len(said)
    starts = [s for s, _ in spans]
    names: set[str] = set()
    for s, e in fact_spans(text):
        value = text[s:e]
        if _PLAIN.fullmatch(value):
            if german or shouted:  # where every noun has a capital, a capital makes no name
                continue
            names.update(_LETTERS.findall(value.casefold()))
        i = max(0, bisect_right(starts, s) - 1)
        while i < len(spans) and spans[i][0] < e:
            out[i] |= spans[i][1] > s
            i += 1
    for i, (s, e) in enumerate(spans):
        if out[i]:
            continue
        value = text[s:e]
        if not value.isascii() and _TELLING_CJK.search(value):
            out[i] = True
            continue
        for word in _LETTERS.findall(value):
            low = word.casefold().replace("’", "'")
            acronym = not shouted and word.isupper() and word not in _PRONOUNS  # FDA, hepatitis B, NBA球队
            if acronym or low in names or low in _TELLING or low.endswith("n't") or low in ("cannot", "can't"):
                out[i] = True
            elif "'" in low:
                out[i] |= any(part in _TELLING for part in low.split("'"))
    return out


def render_words(words: Words, kept: NDArray[np.bool_]) -> tuple[str, tuple[Span, ...]]:
    """The kept words as text.

    Neighbours keep the white space between them. A gap is a line break where the text left out has one, nothing before
    the mark that ends a sentence and between Chinese or Japanese characters, else a space.

    Args:
        words: All words.
        kept: Shape (words,).

    Returns:
        The text, and the ranges that it consists of. All of the text where all words are kept.
    """
    text, spans = words.text, words.spans
    places = np.flatnonzero(kept)
    if len(places) == len(spans):
        return (text, ((0, len(text)),)) if text else ("", ())
    if not len(places):
        return "", ()
    breaks = np.flatnonzero(np.diff(places) > 1)
    firsts: list[int] = places[np.append(0, breaks + 1)].tolist()
    lasts: list[int] = places[np.append(breaks, len(places) - 1)].tolist()
    ranges = [(spans[a][0], spans[b][1]) for a, b in zip(firsts, lasts, strict=True)]
    for i, first in enumerate(firsts[1:]):
        if words.end[first]:  # no comma before the mark that ends the sentence
            start, end = ranges[i]
            ranges[i] = start, start + (len(text[start:end].rstrip(_COMMAS)) or end - start)
    parts = [text[ranges[0][0] : ranges[0][1]]]
    for (_, left), (right, end), first in zip(ranges, ranges[1:], firsts[1:], strict=False):
        parts += (_gap(text, left, right, bool(words.end[first])), text[right:end])
    return "".join(parts), tuple(ranges)


def _gap(text: str, left: int, right: int, end: bool) -> str:
    if _BREAK.search(text, left, right):
        return "\n"
    sides = [_NO_SPACE.match(text[i]) is not None for i in (left - 1, right)]
    return "" if end or all(sides) or (any(sides) and not _SPACE.search(text, left, right)) else " "
