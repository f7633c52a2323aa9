"""Scores for a query of the units of laid-out texts: records of JSON and tables, events of logs.

The plain formula reads sentences. A cell says little without its record and its column, and of a log's lines those that
match the question no better than hundreds of others matter less than what went wrong once. So what a layout says of
its units, the prior weight, has a part in their order here. The weights were chosen on the dev halves of the six tool
sets (6 to 30 records each, needles kept at keep 0.5/0.25, by words alone): JSON 100/88 to 100/100 (github) and 65/34 to
98/57 (tau), tables 80/53 to 90/68, logs 85/55 to 97/91, test output 98/85 to 100/100.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ctxshrink.compressors._index import Index

BASE = 1.0
"""What a unit is worth that shares nothing with the query, beside `OWN` for the best match."""
OWN, RECORD, NEAR = 1.2, 1.5, 0.7
"""Weights of the match of a unit, of its record, and of the better of the two neighbouring records."""
LARGE, CROWD = 30, 0.3
"""Records of more units than this count by this factor: an object of hundreds of members is no record."""
PRIOR = 2.0
"""Power of the prior weight of JSON and table units."""
LENGTH = 0.4
"""Their scores are divided by tokens to this power."""
SURE = 3.0
"""Power of the match of log lines: only a strong one outranks what the log itself says is important."""
EVENT = 0.5
"""Weight of a log line's prior, in units of the best match; `RARE` is the weight of a failing line that occurs once."""
RARE = 6.0

Floats = NDArray[np.float64]


def structured_scores(idx: Index, own: Floats, near: Floats, plain: Floats) -> Floats:
    """Scores with those of laid-out units in place of the plain ones.

    Within a segment the units come in the order of the prior and the match; the best of them is worth what the plain
    formula makes of its segment, so that segments compete as before.

    Args:
        idx: The units.
        own: Match of each unit with the query, >= 0, shape (units,).
        near: The same with its neighbours'.
        plain: Scores by the plain formula.

    Returns:
        Scores >= 0, shape (units,); 0 for units of weight 0, which come along where they are needed.
    """
    out = plain.copy()
    for place, (layout, segment) in enumerate(zip(idx.layouts, idx.segments, strict=True)):
        part = slice(int(idx.offset[place]), int(idx.offset[place + 1]))
        if not layout.weights or part.start == part.stop:
            continue
        weight = idx.weight[part]
        told = _event(near[part], weight) if segment.content_type == "log" else _cells(idx, own, part)
        told *= weight > 0
        best = float(told.max())
        out[part] = told * (float(plain[part].max()) / best) if best > 0 else 0.0
    return out


def _event(near: Floats, weight: Floats) -> Floats:
    prior = np.log1p(weight) / np.log1p(RARE)
    return (near / max(1e-9, float(near.max()))) ** SURE + EVENT * prior


def _cells(idx: Index, own: Floats, part: slice) -> Floats:
    match, group = own[part], idx.group[part] - idx.group[part.start]
    record = np.bincount(group, weights=match) * np.where(np.bincount(group) > LARGE, CROWD, 1.0)
    beside = np.maximum(np.append(0.0, record[:-1]), np.append(record[1:], 0.0))
    best, top = max(1e-9, float(match.max())), max(1e-9, float(record.max()))
    told = BASE + OWN * match / best + RECORD * (record / top)[group] + NEAR * (beside / top)[group]
    return told * idx.weight[part] ** PRIOR / np.maximum(1, idx.tokens[part]) ** LENGTH
