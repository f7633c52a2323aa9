"""Order of units by what each adds to those before it: other documents, and the next hop.

Ranking by score alone spends a small budget on the three best sentences about the first of two things that a question
compares, and never finds the document that only the answer to the first half names. So units are picked one by one:
each pick lowers what further units of its document are worth (diminishing returns, as in Lin and Bilmes 2011, "A Class
of Submodular Functions for Document Summarization") and raises the documents whose titles it mentions.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ctxshrink.compressors._index import Index
from ctxshrink.text import CJK

PICKS = 40
"""Units picked one by one; the rest follow by score."""
_WORDS = re.compile(r"\W+")
_NOTE = re.compile(r"\s*\([^()]*\)\s*$")
_CJK = re.compile(f"[{CJK}]")


@dataclass(frozen=True, slots=True)
class Gains:
    """What counts beside a unit's own score, in its units.

    Attributes:
        hop: For a document whose title stands in a picked unit of another document.
        document: Taken off per unit (three at most) already picked from the same document.
    """

    hop: float
    document: float


def by_gain(idx: Index, score: NDArray[np.float64], gains: Gains) -> NDArray[np.float64]:
    """A key for every unit, highest first, in the order of greedy picks.

    Args:
        idx: The units.
        score: Relevance of each unit, shape (units,).
        gains: The exchange rates.

    Returns:
        Distinct values, shape (units,).
    """
    n = idx.size
    if not n:
        return np.zeros(0)
    subjects = _subjects(idx)
    hop, picked = np.zeros(len(idx.segments)), np.zeros(len(idx.segments))
    top, left = float(score.max()), np.ones(n, dtype=bool)
    order: list[int] = []
    for _ in range(min(PICKS, n)):
        value = score + (gains.hop * hop - gains.document * np.minimum(picked, 3))[idx.segment]
        unit = int(np.where(left, value, -np.inf).argmax())
        order.append(unit)
        left[unit] = False
        segment = int(idx.segment[unit])
        picked[segment] += 1
        # The less relevant the unit, the less its mention of another document counts.
        sure = float(np.exp(0.3 * (score[unit] - top)))
        for other in _mentioned(idx.text(unit), subjects, segment):
            hop[other] = max(hop[other], sure)
    rest = np.flatnonzero(left)
    value = score + gains.hop * hop[idx.segment]
    rest = rest[np.argsort(-value[rest], kind="stable")]
    key = np.empty(n)
    key[[*order, *rest]] = np.arange(n, 0, -1)
    return key


def _subjects(idx: Index) -> list[str]:
    """What each document is about by its title, in the form of `_plain`; "" where there is none."""
    return [_plain(_NOTE.sub("", s.title)) if len(s.title) > 2 else "" for s in idx.segments]


def _mentioned(text: str, subjects: Sequence[str], own: int) -> list[int]:
    plain = _plain(text)
    return [i for i, s in enumerate(subjects) if s and s != subjects[own] and s in plain]


def _plain(text: str) -> str:
    """Case-folded words between single blanks; CJK, which writes none, without the blanks at its ends."""
    plain = _WORDS.sub(" ", text.casefold()).strip()
    return plain if _CJK.search(plain) else f" {plain} " if plain else ""
