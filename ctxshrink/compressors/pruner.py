"""The `pruner` compressor: words and meaning together, verbatim units, the budget spent by what each unit adds."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ctxshrink.compressors._gain import Gains, by_gain
from ctxshrink.compressors._index import Index, index
from ctxshrink.compressors._language import encoder_trust
from ctxshrink.compressors._pooled import PooledCompressor
from ctxshrink.compressors._reader import read
from ctxshrink.compressors._render import Markers
from ctxshrink.compressors.extractive import lexical_rank, lexical_shares
from ctxshrink.errors import ModelError
from ctxshrink.models.encoder import Encoder
from ctxshrink.types import Call

_log = logging.getLogger("ctxshrink")

MEAN, LATE, WINDOW = 1.0, 1.0, 0.7
"""Weights of the encoder's three similarities beside the lexical rank, all in standard deviations over the call."""
READ = 40_000
"""Most tokens of a call that the encoder reads: the segments that rank best by words. About three seconds."""
ASKED = 0.3
"""Weight of the log-odds that people ask about a unit, in standard deviations over the call."""
SHARPNESS = 0.3
"""Relevance falls by this factor (in logarithms) per unit of score."""
_RANKED = "ctxshrink.compressors.pruner.ranked"
GAINS = Gains(hop=8.0, document=0.3)


class PrunerCompressor(PooledCompressor):
    """Ranks units by the lexical rank of `extractive` and by an embedded encoder, then by what each adds.

    With a query the encoder reads every unit in its context once. Without one, the rank is `extractive`'s salience.

    Args:
        folder: A model folder as ``ctxshrink train pruner`` writes it; None for the one that is shipped.
        threads: Threads of onnxruntime; 0 for one per physical core.
        markers: As in `PooledCompressor`.
        structure: As in `PooledCompressor`.

    Raises:
        ConfigError: ``threads`` is negative.
        ModelError: A file of the model is missing, truncated or foreign.
    """

    name = "pruner"

    def __init__(
        self,
        folder: str | Path | None = None,
        *,
        threads: int = 0,
        markers: Markers = "auto",
        structure: bool = True,
    ) -> None:
        super().__init__(markers=markers, structure=structure)
        self._folder = folder
        self._encoder = Encoder(folder, threads=threads)

    def key(self, idx: Index, call: Call) -> NDArray[np.float64]:
        """Place of each unit in the order of gain, or salience without a query."""
        shares, key = self._rank(idx, call)
        call.cache[_RANKED, idx.structured] = Ranking(shares, key)
        return key

    def _rank(self, idx: Index, call: Call) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        lexical = lexical_rank(idx, call)
        if call.query is None or not idx.size:
            return lexical_shares(idx, call), lexical
        trust = encoder_trust(call.query) if _has_prose(idx) else 0.0
        if not trust:
            return lexical_shares(idx, call), by_gain(idx, _standard(lexical, np.ones(idx.size, dtype=bool)), GAINS)
        seen = read(idx, call.query, self._encoder, _worth_reading(idx, lexical))
        score = _standard(lexical, seen.read) + trust * ASKED * _standard(seen.asked, seen.read)
        for weight, cosine in ((MEAN, seen.mean), (LATE, seen.late), (WINDOW, seen.window)):
            worst = cosine[seen.read].min(initial=1.0)  # what was not read is taken to match like the worst that was
            score += trust * weight * _standard(np.where(seen.read, cosine, worst), seen.read)
        return np.exp(SHARPNESS * (score - score.max())), by_gain(idx, score, GAINS)


@dataclass(frozen=True, slots=True)
class Ranking:
    """The units of a call as the pruner ranks them.

    Attributes:
        shares: Relevance as a share of the highest, in [0, 1], shape (units,).
        key: Highest is kept first, shape (units,); by what each unit adds, so not in the order of `shares`.
    """

    shares: NDArray[np.float64]
    key: NDArray[np.float64]


def ranking(call: Call, structured: bool = True) -> Ranking:
    """How the pruner ranks the units of ``index(call, structured)``.

    From the pruner that ranked the call, else from the embedded one; by words alone where it cannot be loaded.
    """
    idx = index(call, structured)
    key = _RANKED, idx.structured
    if key not in call.cache:
        try:
            PrunerCompressor().key(idx, call)
        except ModelError as error:
            _log.warning("relevance by words alone: %s", error)
            call.cache[key] = Ranking(lexical_shares(idx, call), lexical_rank(idx, call))
    return call.cache[key]


def _worth_reading(idx: Index, lexical: NDArray[np.float64]) -> list[int]:
    """Unlocked segments by their best lexical rank until `READ` tokens are reached, in input order."""
    best = np.full(len(idx.segments), -np.inf)
    np.maximum.at(best, idx.segment, lexical)
    tokens = np.bincount(idx.segment, weights=idx.tokens, minlength=len(idx.segments))
    chosen: list[int] = []
    spent = 0.0
    order: list[int] = np.argsort(-best, kind="stable").tolist()
    for place in order:
        if idx.segments[place].locked or not tokens[place]:
            continue
        if spent and spent + tokens[place] > READ:
            break
        spent += tokens[place]
        chosen.append(place)
    return sorted(chosen)


def _has_prose(idx: Index) -> bool:
    """Whether there is a text to read: the encoder knows sentences, and of records and events less than their words."""
    return any(not (s.locked or made.weights) for s, made in zip(idx.segments, idx.layouts, strict=True))


def _standard(x: NDArray[np.floating], over: NDArray[np.bool_]) -> NDArray[np.float64]:
    """In standard deviations from the mean, both taken over some units."""
    y = x.astype(np.float64)
    some = y[over] if over.any() else y
    return (y - some.mean()) / (some.std() + 1e-6)
