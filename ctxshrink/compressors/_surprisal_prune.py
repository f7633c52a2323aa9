"""Iterative token-level compression: a text is read in windows, each after what was kept of those before.

LLMLingua, arXiv 2310.05736, section 4.2, algorithm 2; with a question the contrastive perplexity of LongLLMLingua,
arXiv 2310.06839, section 4.1. Two things differ. Whole words are kept or left out, by the mean over their tokens. And
each text is read for itself, not after the texts before it: so its result does not depend on what else is asked for,
and the windows of many texts are read in one batch.

Keys and values stay from window to window (`ctxshrink.scorers._kept`), of the kept text up to the last window; what was
kept of that one is read anew, as the words left out must not be seen. So reuse is exact, which is also what the
llmlingua package does. The kept text that a window is read after loses its beginning in steps, since every cut makes
all of it new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ctxshrink.compressors._surprisal_rank import Floats, part_means
from ctxshrink.compressors._words import Words, render_words
from ctxshrink.scorers import TokenScorer
from ctxshrink.scorers._kept import open_session

WINDOW = 160
"""Most tokens of a window, those of a single longer word aside (200 in the paper)."""
PREFIX = 512
"""Most tokens of what was kept that a window is read after; bounds the cost of a token."""
REST = 128
"""Tokens of it that stay where there are more."""
TOGETHER = 8192
"""Tokens of the texts that are read in turn, a window of each: what a session of the embedded scorer holds twice."""


@dataclass(eq=False, slots=True)
class Draft:
    """A text on its way through the windows.

    Attributes:
        words: Its words.
        chosen: Words of the sentences that are pruned, ascending, shape (chosen,).
        keep: Share of the chosen words' tokens to keep, in [0, 1].
        tokens: The scorer's tokens of every word, shape (words,).
        kept: Words kept so far, shape (words,).
        value: Worth of each word, NaN before it was read, shape (words,).
        place: Words of `chosen` that were read.
        start: First word of the context.
    """

    words: Words
    chosen: NDArray[np.int64]
    keep: float
    tokens: NDArray[np.int64]
    kept: NDArray[np.bool_] = field(init=False)
    value: Floats = field(init=False)
    place: int = 0
    start: int = 0

    def __post_init__(self) -> None:
        self.kept = np.zeros(len(self.words), dtype=np.bool_)
        self.value = np.full(len(self.words), np.nan)

    @property
    def done(self) -> bool:
        """True once all chosen words were read."""
        return self.place >= len(self.chosen)

    def settle(self) -> None:
        """Keeps everything where nothing is left out, and a single word, without reading it."""
        if self.keep >= 1 or len(self.chosen) < 2:
            self.kept[self.chosen], self.value[self.chosen] = True, 0.0
            self.place = len(self.chosen)

    def window(self, size: int) -> NDArray[np.int64]:
        """The next words, of at most ``size`` tokens, one at least."""
        ahead = self.chosen[self.place : self.place + size]
        fit = int(np.searchsorted(np.cumsum(self.tokens[ahead]), size, side="right"))
        return ahead[: max(1, fit)]

    def context(self, size: int, rest: int) -> str:
        """The end of what was kept, of at most ``size`` tokens; where it has grown above that, of ``rest``."""
        places = self.start + np.flatnonzero(self.kept[self.start :])
        spent = np.cumsum(self.tokens[places][::-1])
        if len(spent) and spent[-1] > size:
            fit = int(np.searchsorted(spent, rest, side="right"))
            self.start = int(places[-fit]) if fit else int(places[-1]) + 1  # a last word of more tokens goes, too
        tail = self.kept.copy()
        tail[: self.start] = False
        return render_words(self.words, tail)[0]

    def take(self, window: NDArray[np.int64], value: Floats) -> None:
        """Keeps the best words of a window: those that must stay, then by worth, until its share is spent."""
        self.value[window] = value
        tokens = self.tokens[window]
        must = self.words.must[window]
        room = self._room(window) - int(tokens[must].sum())
        order = np.argsort(-value, kind="stable")
        order = order[~must[order]]
        kept = must.copy()
        kept[order[np.cumsum(tokens[order]) <= room]] = True
        self.kept[window] = kept
        self.place += len(window)

    def _room(self, window: NDArray[np.int64]) -> float:
        """Tokens that a window may keep: an even share of what the words that stay anyway leave over."""
        ahead = self.chosen[self.place :]
        total = float(self.tokens[self.chosen].sum())
        fixed = float(self.tokens[ahead][self.words.must[ahead]].sum())
        own = float(self.tokens[window][self.words.must[window]].sum())
        left = max(0.0, self.keep * total - float(self.tokens[self.kept].sum()) - fixed)
        free, others = float(self.tokens[ahead].sum()) - fixed, float(self.tokens[window].sum()) - own
        return own + (left * others / free if free > 0 else 0.0)


def prune(
    drafts: Sequence[Draft], scorer: TokenScorer, question: str | None, expired: Callable[[], bool] = lambda: False
) -> None:
    """Reads all windows of all drafts, the next one of each in a batch.

    Args:
        drafts: What is read; `Draft.kept` and `Draft.value` are set.
        scorer: The model.
        question: What the texts are compressed for. With one the worth of a token is what the question makes it
            likelier by, nats(x | kept) - nats(x | question, kept); without, its nats.
        expired: Asked before every batch; True stops, and the drafts that are not done are left so.
    """
    for draft in drafts:
        draft.settle()
    head = "" if question is None else shorten(scorer, question, scorer.max_context // 4) + "\n\n"
    reader = open_session(scorer)
    for group in _groups([d for d in drafts if not d.done], TOGETHER):
        while (pending := [d for d in group if not d.done]) and not expired():
            _read(pending, reader, head)


def _groups(drafts: Sequence[Draft], most: int) -> Iterator[list[Draft]]:
    """Drafts of at most ``most`` tokens together, one at least: those of a group are read at once."""
    group: list[Draft] = []
    held = 0
    for draft in drafts:
        size = min(PREFIX + WINDOW, int(draft.tokens[draft.chosen].sum()))
        if group and held + size > most:
            yield group
            group, held = [], 0
        group.append(draft)
        held += size
    if group:
        yield group


def _read(drafts: Sequence[Draft], scorer: TokenScorer, head: str) -> None:
    """Reads the next window of each draft."""
    size, most = min(WINDOW, scorer.max_context // 4), min(PREFIX, scorer.max_context // 2)
    windows = [d.window(size) for d in drafts]
    contexts = [d.context(most, min(REST, most // 4)) for d in drafts]
    targets = [_target(d, w, bool(c)) for d, w, c in zip(drafts, windows, contexts, strict=True)]
    texts = [text for text, _ in targets]
    pairs = list(zip(contexts, texts, strict=True))
    nats = scorer.nll([*pairs, *((head + c, t) for c, t in pairs)] if head else pairs)
    spans = scorer.token_spans(texts)
    for i, (draft, window, (_, ends)) in enumerate(zip(drafts, windows, targets, strict=True)):
        worth = nats[i] - nats[len(pairs) + i] if head else nats[i]
        # Scorers give the same numbers in every batch but for the last digits; these must not decide.
        draft.take(window, np.round(part_means(worth, spans[i], ends), 3))


def _target(draft: Draft, window: NDArray[np.int64], after: bool) -> tuple[str, list[int]]:
    """A window's words with the white space before them, and where each ends."""
    text, spans = draft.words.text, draft.words.spans
    parts: list[str] = []
    ends: list[int] = []
    length = 0
    previous = int(draft.chosen[draft.place - 1]) if after and draft.place else None
    places: list[int] = window.tolist()
    for word in places:
        start, end = spans[word]
        gap = "" if previous is None else text[spans[previous][1] : start]
        if previous is not None and word != previous + 1:  # sentences between them were left out
            gap = "\n" if "\n" in gap else " " if gap and (gap[0].isspace() or gap[-1].isspace()) else ""
        parts += (gap, text[start:end])
        length += len(gap) + end - start
        ends.append(length)
        previous = word
    return "".join(parts), ends


def word_tokens(scorer: TokenScorer, words: Sequence[Words]) -> list[NDArray[np.int64]]:
    """The scorer's tokens of every word of every text, at least 1, shape (words,) each."""
    out: list[NDArray[np.int64]] = []
    for spans, w in zip(scorer.token_spans([w.text for w in words]), words, strict=True):
        last = np.array([max(0, end - 1) for _, end in spans], dtype=np.int64)
        ends = np.array([end for _, end in w.spans], dtype=np.int64)
        word = np.searchsorted(ends, last, side="right")
        out.append(np.maximum(1, np.bincount(word[word < len(ends)], minlength=len(ends))).astype(np.int64))
    return out


def shorten(scorer: TokenScorer, text: str, most: int) -> str:
    """The end of a text, of at most ``most`` tokens."""
    [spans] = scorer.token_spans([text])
    return text if len(spans) <= most else text[spans[-most][0] :].lstrip()
