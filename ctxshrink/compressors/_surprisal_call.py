"""What the `surprisal` compressor reads of a call before it prunes: the ranks of segments and of their sentences."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ctxshrink.compressors._index import index
from ctxshrink.compressors._surprisal_prune import shorten
from ctxshrink.compressors._surprisal_rank import Floats, own_nats, question_nats
from ctxshrink.compressors._words import Words, split_words
from ctxshrink.compressors.extractive import lexical_shares
from ctxshrink.scorers import TokenScorer
from ctxshrink.text import units
from ctxshrink.types import Call, Segment, Span

QUESTION = 200
"""Most tokens of the question that texts are ranked by."""
LEXICAL = 0.5
"""Nats per token of the question by which the best lexical match ranks higher, and others by their share of it. A small
model alone finds the document less often than BM25 does; chosen on 26 English dev records among 0.5, 1 and 3."""
_KEY = "ctxshrink.compressors.surprisal"


def readable(segment: Segment) -> bool:
    """Whether words may be left out of a segment: prose that no tool wrote."""
    return not segment.locked and segment.content_type == "prose" and segment.kind not in ("tool_call", "tool_result")


def within_reach(call: Call, most: int) -> frozenset[str]:
    """Ids of the unlocked segments that are read: in input order those that still fit into ``most`` tokens.

    It does not depend on the batch at hand, and the order of a retriever is that of relevance.
    """
    found: list[str] = []
    left = most
    for segment in call.segments:
        if not segment.locked and call.tokens[segment.id] <= left:
            left -= call.tokens[segment.id]
            found.append(segment.id)
    return frozenset(found)


def reading(scorer: TokenScorer, call: Call, most: int) -> Reading:
    """The call's reading by a scorer, kept in the call's cache.

    Args:
        scorer: The model.
        call: The call.
        most: Most tokens of it that are read.
    """
    key = _KEY, scorer
    found: Any = call.cache.get(key)
    if not isinstance(found, Reading):
        found = call.cache[key] = Reading(scorer, call, most)
    return found


class Reading:
    """Ranks of a call's segments and sentences, lower is more relevant; each is computed when it is asked for.

    Args:
        scorer: The model.
        call: The call.
        most: Most tokens of it that are read.

    Attributes:
        question: What is ranked by; None without a query.
        read: Ids of the segments that are read.
    """

    def __init__(self, scorer: TokenScorer, call: Call, most: int) -> None:
        self._scorer, self._call = scorer, call
        self.question = _question(scorer, call.query)
        self.read = within_reach(call, most)
        self._words: dict[str, Words] = {}
        self._segments: dict[str, float] | None = None
        self._sentences: dict[str, Floats] = {}
        self._own: dict[str, tuple[float, Floats]] = {}

    def words(self, segment: Segment) -> Words:
        """The words of a segment."""
        found = self._words.get(segment.id)
        if found is None:
            found = self._words[segment.id] = split_words(segment.text)
        return found

    def segments(self) -> dict[str, float]:
        """Rank of every segment of the call by id; infinite for those that are not read.

        A segment that does not fit into half the model's window is as relevant as its best passage.
        """
        if self._segments is None:
            self._segments = self._rank_segments()
        return self._segments

    def sentences(self, segments: Iterable[Segment]) -> list[Floats]:
        """Rank of every sentence of some segments that are read, among those of its segment; shape (sentences,) each.

        A single sentence is not read, and has rank 0.
        """
        wanted = list(segments)
        missing = list({s.id: s for s in wanted if s.id not in self._sentences}.values())
        several = [s for s in missing if len(self.words(s)) and self.words(s).unit[-1]]
        ranks = dict(zip((s.id for s in several), self._rank_sentences(several), strict=True))
        for segment in missing:
            self._sentences[segment.id] = ranks.get(segment.id, np.zeros(min(1, len(self.words(segment)))))
        return [self._sentences[s.id] for s in wanted]

    def _rank_segments(self) -> dict[str, float]:
        rank = {s.id: float("inf") for s in self._call.segments}
        found = [s for s in self._call.segments if s.id in self.read]
        if len(found) < 2:
            return rank | {s.id: 0.0 for s in found}
        if self.question is None:
            return rank | {s.id: -round(mean, 3) for s, (mean, _) in zip(found, self._alone(found), strict=True)}
        most = self._scorer.max_context // 2
        pieces = [(s.id, piece) for s in found for piece in _passages(s, self._call.tokens[s.id], most)]
        nats = question_nats(self._scorer, [text for _, text in pieces], self.question)
        for (name, _), mean in zip(pieces, nats.tolist(), strict=True):
            rank[name] = min(rank[name], mean)
        idx = index(self._call, structured=False)
        best = np.zeros(len(idx.segments))
        np.maximum.at(best, idx.segment, lexical_shares(idx, self._call))
        return {name: round(mean - LEXICAL * float(best[idx.position[name]]), 3) for name, mean in rank.items()}

    def _rank_sentences(self, segments: list[Segment]) -> list[Floats]:
        if self.question is None:
            return [-np.round(parts, 3) for _, parts in self._alone(segments)]
        bounds = [_sentences(self.words(s)) for s in segments]
        flat = [x.text[s:e] for x, b in zip(segments, bounds, strict=True) for s, e in b]
        lexical = [self._lexical(x, [start for start, _ in b]) for x, b in zip(segments, bounds, strict=True)]
        nats = question_nats(self._scorer, flat, self.question) - LEXICAL * np.concatenate([np.zeros(0), *lexical])
        nats = np.round(nats, 3)
        return np.split(nats, np.cumsum([len(b) for b in bounds])[:-1]) if segments else []

    def _lexical(self, segment: Segment, starts: list[int]) -> Floats:
        """How well the sentences that start at some places match the question's words, in [0, 1], shape (starts,)."""
        idx = index(self._call, structured=False)
        place = idx.position[segment.id]
        first, end = int(idx.offset[place]), int(idx.offset[place + 1])
        if first == end:
            return np.zeros(len(starts))
        unit = np.searchsorted([s for s, _ in idx.spans[first:end]], starts, side="right") - 1
        return lexical_shares(idx, self._call)[first + np.maximum(0, unit)]

    def _alone(self, segments: list[Segment]) -> list[tuple[float, Floats]]:
        """Mean nats of segments and of their sentences, or of all of it where words are not left out; read once."""
        missing = [s for s in segments if s.id not in self._own]
        ends = [[e for _, e in _sentences(self.words(s))] if readable(s) else [] for s in missing]
        found = own_nats(self._scorer, [s.text for s in missing], [e or [1] for e in ends])
        self._own.update(zip((s.id for s in missing), found, strict=True))
        return [self._own[s.id] for s in segments]


def _question(scorer: TokenScorer, query: str | None) -> str | None:
    if query is None or not query.strip():
        return None
    return shorten(scorer, query, min(QUESTION, scorer.max_context // 4))


def _passages(segment: Segment, tokens: int, most: int) -> list[str]:
    """A segment's text in runs of whole units of about ``most`` tokens."""
    text = segment.text
    if tokens <= most:
        return [text]
    room = max(1, len(text) * most // tokens)
    out: list[str] = []
    start = end = 0
    for s, e in units(text, segment.content_type):
        if end > start and e - start > room:
            out.append(text[start:end])
            start = s
        end = e
    return [*out, text[start:end]]


def _sentences(words: Words) -> list[Span]:
    """Range of each sentence, from its first word to its last."""
    if not len(words):
        return []
    firsts: list[int] = np.flatnonzero(np.diff(words.unit, prepend=-1)).tolist()
    lasts = [*(f - 1 for f in firsts[1:]), len(words) - 1]
    return [(words.spans[a][0], words.spans[b][1]) for a, b in zip(firsts, lasts, strict=True)]
