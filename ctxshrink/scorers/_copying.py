"""An explicit copy distribution: what followed the current context where it stood in the window before.

A small network learns late and badly to continue what it has seen a moment ago; counting does it at once. For k in
`ORDERS` the places are those earlier in the window whose last k tokens are the current ones: prediction by partial
matching (Cleary and Witten 1984), with the network below its lowest order (`_mixture`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ctxshrink.scorers._mixture import Ints, Steps, scored_tokens
from ctxshrink.scorers._windows import Window

ORDERS = (1, 2, 3, 4, 5, 6, 8, 11, 16, 24)
"""Lengths of context that are told apart: a match of 7 tokens counts for 1 to 6."""

STEPS = 1 + len(ORDERS)
"""The first is that of the empty context: all earlier tokens of the window."""

PLACES = 128
"""Earlier places that are looked at, the nearest ones: bounds the cost of text that says one token over and over."""

_SIZES = 12
"""Classes of the number of tokens before, by powers of two, for the empty context."""

_COUNTS = 5
"""Classes of the number of places, by powers of two: 1, 2 to 3, 4 to 7, 8 to 15, more. Each has three cells: one token
followed them all; at most half as many as there are places; more."""


def copy_steps(windows: Sequence[Window]) -> Steps:
    """The steps of every scored token of the windows, in order."""
    tokens, owner, scored = scored_tokens(windows)
    begins = np.searchsorted(owner, np.arange(len(windows)))[owner]
    # Tokens of one window that are equal lie side by side, in order.
    order = np.argsort(owner * (int(tokens.max(initial=0)) + 1) + tokens, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    first = np.ones(len(order), dtype=bool)
    first[1:] = (owner[order][1:] != owner[order][:-1]) | (tokens[order][1:] != tokens[order][:-1])
    rank = place - np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))[place]
    before = scored - begins[scored] - 1  # the token that starts the text is none
    # Pairs of a scored token and an earlier place with the same last token.
    last = scored - 1
    number = np.minimum(rank[last], PLACES)
    row = np.repeat(np.arange(len(scored)), number)
    back = np.arange(len(row)) - np.repeat(np.cumsum(number) - number, number)
    there = order[place[last][row] - 1 - back]
    level = _levels(tokens, begins, last[row], there)
    seen, hit, kinds = _tally(row, level, tokens[there + 1], tokens[scored][row], len(scored))
    kind = np.where(kinds <= 1, 0, np.where(2 * kinds <= seen, 1, 2))
    cells = np.where(seen > 0, np.minimum(_log2(seen), _COUNTS - 1) * 3 + kind, -1)
    all_cells = np.where(before > 0, np.minimum(_log2(before), _SIZES - 1), -1)
    often = rank[scored] - (tokens[scored] == tokens[begins[scored]])
    return Steps(
        np.concatenate([all_cells[:, None], cells], axis=1),
        np.concatenate(
            [np.where(before > 0, often / np.maximum(before, 1), 0.0)[:, None], hit / np.maximum(seen, 1)], axis=1
        ),
    )


def _levels(tokens: Ints, begins: Ints, here: Ints, there: Ints) -> Ints:
    """For each pair of places with the same token the index of the longest of `ORDERS` that they share."""
    length = np.ones(len(here), dtype=np.int64)
    alive = np.arange(len(here))
    limit = there - begins[there]
    for back in range(1, ORDERS[-1]):
        alive = alive[limit[alive] > back]
        alive = alive[tokens[here[alive] - back] == tokens[there[alive] - back]]
        if not len(alive):
            break
        length[alive] += 1
    return np.searchsorted(np.asarray(ORDERS), length, side="right") - 1


def _tally(row: Ints, level: Ints, token: Ints, wanted: Ints, rows: int) -> tuple[Ints, Ints, Ints]:
    """Places, hits and different tokens by row and order; a place counts for its own order and all shorter ones."""
    size = len(ORDERS)

    def add(rows_: Ints, levels: Ints) -> Ints:
        counts = np.bincount(rows_ * size + levels, minlength=rows * size).reshape(rows, size)
        return counts[:, ::-1].cumsum(axis=1)[:, ::-1]

    hit = token == wanted
    order = np.lexsort((-level, token, row))
    r, t = row[order], token[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (r[1:] != r[:-1]) | (t[1:] != t[:-1])
    return add(row, level), add(row[hit], level[hit]), add(r[new], level[order][new])


def _log2(counts: Ints) -> Ints:
    return np.floor(np.log2(np.maximum(counts, 1))).astype(np.int64)
