"""How surprising each token of a text is to a language model: the heat of a report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from ctxshrink.scorers import EmbeddedScorer, TokenScorer

Heat: TypeAlias = list[list[int]]
"""Of each token in order: start, end (characters), level from 0 (expected) to 9 (surprising)."""

MOST: Final = 5000
"""Tokens of a report that are read: some seconds on one core."""
LEVELS: Final = 10
STEP: Final = 1.2
"""Nats from one level to the next: half of the tokens of a technical text are below 4, one of a hundred above 12."""
_TENTH: Final = 10
_BATCH: Final = 8
"""Texts that are read at once, between two calls of ``progress``."""


@dataclass(frozen=True, slots=True)
class Heats:
    """What was read.

    Attributes:
        by: What the heat is, in words.
        found: For each text its tokens; None where it was not read.
        read: Tokens that were read.
        cut: Texts of which only the beginning was read, or nothing.
    """

    by: str
    found: list[Heat | None]
    read: int
    cut: int


def heats(
    texts: Sequence[str],
    *,
    most: int = MOST,
    scorer: TokenScorer | None = None,
    progress: Callable[[float], None] = lambda done: None,
) -> Heats:
    """The surprisal of each token of some texts, given the text before it, as levels.

    Surprisal is the negative logarithm of the probability that a causal language model gives a token; LLMLingua (Jiang
    et al. 2023, arXiv 2310.05736, section 4.2) takes it for what a token tells. Several tokens within one character are
    one here, with the sum of theirs.

    Args:
        texts: The most important first: those at the end may not be read.
        most: Tokens that are read in all, and of one text no more than a tenth of them (or an equal share, where that
            is more); of a text that goes beyond the beginning is read.
        scorer: The model; None for the embedded one.
        progress: Told the share that is done, in [0, 1].
    """
    scorer = EmbeddedScorer() if scorer is None else scorer
    parts: list[str] = []
    room, cut = most, 0
    share = max(1, most // _TENTH, most // max(1, len(texts)))
    for index, text in enumerate(texts):
        if room <= 0:
            cut += len(texts) - index
            break
        spans = scorer.token_spans([text])[0]
        fits = min(room, share)
        part = text if len(spans) <= fits else text[: spans[fits - 1][1]]
        cut += part != text
        room -= min(fits, len(spans))
        parts.append(part)
    found: list[Heat | None] = [None] * len(texts)
    read = 0
    for first in range(0, len(parts), _BATCH):
        batch = parts[first : first + _BATCH]
        spans = scorer.token_spans(batch)
        nats = scorer.nll([("", part) for part in batch])
        for offset, (where, values) in enumerate(zip(spans, nats, strict=True)):
            found[first + offset] = _levels(where, values.tolist())
            read += len(where)
        progress(min(1.0, (first + len(batch)) / len(parts)))
    return Heats(f"surprisal given the text before, {STEP} nats a level, by {scorer.name}", found, read, cut)


def _levels(spans: Sequence[tuple[int, int]], nats: Sequence[float]) -> Heat:
    places: list[tuple[int, int, float]] = []
    for (start, end), value in zip(spans, nats, strict=True):
        if start == end and places:
            first, last, before = places.pop()
            places.append((first, last, before + value))
        else:
            places.append((start, end, value))
    return [[a, b, min(LEVELS - 1, max(0, int(v / STEP)))] for a, b, v in places if a < b]
