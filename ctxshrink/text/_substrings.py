"""Many short texts looked up in a long one."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

DIRECT: Final = 1 << 26
"""Pieces times characters up to which each piece is searched on its own: about a tenth of a second."""


def contained(pieces: Sequence[str], text: str) -> list[bool]:
    """Whether each piece stands in a text, as ``piece in text`` says.

    Searching takes pieces × characters, minutes for a megabyte without white space. Beyond `DIRECT` the pieces are
    looked up by bisection in the text's sorted suffixes instead.

    Args:
        pieces: What is looked for.
        text: Where.

    Returns:
        One answer per piece, in order.
    """
    if len(pieces) * len(text) <= DIRECT:
        return [piece in text for piece in pieces]
    starts = _sorted_suffixes(text, max(map(len, pieces))).tolist()
    return [_stands(piece, text, starts) for piece in pieces]


def _stands(piece: str, text: str, starts: list[int]) -> bool:
    size = len(piece)
    at = bisect_left(starts, piece, key=lambda start: text[start : start + size])
    return at < len(starts) and text.startswith(piece, starts[at])


def _sorted_suffixes(text: str, depth: int) -> NDArray[np.int64]:
    """Starts of all suffixes, sorted by their first ``depth`` characters or more, shape (characters,).

    Prefix doubling (Manber and Myers, SIAM J. Comput. 22, 1993): ranks by 2k characters are those of pairs of ranks by
    k. n log n for each doubling.
    """
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    found, rank = np.unique(points, return_inverse=True)
    width = 1
    while width < depth and len(found) < len(rank):
        behind = np.zeros(len(rank), dtype=np.int64)  # 0 behind the end: a suffix comes before what it begins
        behind[:-width] = rank[width:] + 1
        found, rank = np.unique(rank * (len(rank) + 1) + behind, return_inverse=True)
        width *= 2
    return np.argsort(rank, kind="stable")
