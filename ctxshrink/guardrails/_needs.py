"""How likely each unit of a call is needed: features of units, and the fitted models over them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ctxshrink.compressors._bm25 import bm25, query_weights
from ctxshrink.compressors._index import Index, index
from ctxshrink.compressors.extractive import lexical_shares
from ctxshrink.compressors.pruner import ranking
from ctxshrink.facts import FactKind, facts
from ctxshrink.types import Call, ContentType

from .detector import Detector

Mode: TypeAlias = Literal["query", "blind"]
Group: TypeAlias = Literal["text", "records", "events"]
Floats: TypeAlias = NDArray[np.float64]

SHARED: Final = ("share", "sqrt_lexical", "log_rank", "rank", "log_tokens", "weight", "distinct")
"""Features in both modes: relevance, order, size, the layout's prior, facts that stand in no other segment."""
FEATURES: Final[Mapping[Mode, tuple[str, ...]]] = {
    "query": (*SHARED, "lexical", "softmax", "segment_best", "match", "segment_match", "number", "date", "id", "name"),
    "blind": (*SHARED, "digits", "number", "date", "id", "name", "place", "user", "assistant", "tool"),
}
"""Names of the features of a unit, by mode."""
GROUPS: Final[Mapping[ContentType, Group]] = {"json": "records", "table": "records", "log": "events"}
"""Content types that have a model of their own; the others share that of texts."""
_KINDS: Final[tuple[FactKind, ...]] = ("number", "date", "id", "name")
_FLOOR: Final = -8.0
_CACHED: Final = "ctxshrink.guardrails.needs"


def mode_of(call: Call) -> Mode:
    """``query`` where the question is known."""
    return "query" if call.query else "blind"


def needs(call: Call, structured: bool, detector: Detector) -> Floats:
    """Estimated probability that each unit holds text that is needed; 0 for units of locked text.

    Args:
        call: The call.
        structured: Of ``index(call, structured)``.
        detector: The fitted models.

    Returns:
        Probabilities, shape (units,); computed once per call.
    """
    idx = index(call, structured)
    key = _CACHED, idx.structured, id(detector)
    if key not in call.cache:
        mode = mode_of(call)
        x = features(call, structured)
        out = np.zeros(idx.size)
        models = detector.needs[mode]
        of = groups(idx)
        for group in set(of):
            rows = of == group
            out[rows] = models.get(str(group), models["text"]).risk(x[rows])
        out[locked(idx)] = 0.0
        call.cache[key] = out, detector  # the detector too: its id stays its own while this is held
    return call.cache[key][0]


def groups(idx: Index) -> NDArray[np.str_]:
    """Group of each unit, shape (units,)."""
    by_segment = np.array([GROUPS.get(s.content_type, "text") for s in idx.segments], dtype=np.str_)
    return by_segment[idx.segment] if idx.size else np.zeros(0, dtype=np.str_)


def locked(idx: Index) -> NDArray[np.bool_]:
    """Whether each unit is locked, shape (units,)."""
    return np.array([s.locked for s in idx.segments], dtype=bool)[idx.segment]


def features(call: Call, structured: bool) -> Floats:
    """`FEATURES` of every unit of ``index(call, structured)``, shape (units, features)."""
    idx = index(call, structured)
    if not idx.size:
        return np.zeros((0, len(FEATURES[mode_of(call)])))
    ranked = ranking(call, structured)
    lexical = lexical_shares(idx, call)
    share = np.clip(np.log(np.maximum(ranked.shares, 1e-6)), _FLOOR, 0.0)
    place = np.empty(idx.size)
    place[np.argsort(-ranked.key, kind="stable")] = np.arange(idx.size)
    free = max(1, int((~locked(idx)).sum()))
    counts, distinct = _facts(idx)
    columns: dict[str, Floats] = {
        "share": share,
        "lexical": lexical,
        "sqrt_lexical": np.sqrt(np.maximum(lexical, 0.0)),
        "log_rank": np.log1p(place),
        "rank": place / free,
        "log_tokens": np.log1p(idx.tokens.astype(np.float64)),
        "weight": np.minimum(idx.weight, 6.0),
        "distinct": np.log1p(distinct),
        **{kind: np.log1p(counts[:, i]) for i, kind in enumerate(_KINDS)},
    }
    if call.query:
        match = bm25(idx, query_weights(idx, call.query))
        top = max(1e-9, float(match.max()))
        segments = len(idx.segments)
        best, own = np.full(segments, _FLOOR), np.zeros(segments)
        np.maximum.at(best, idx.segment, share)
        np.maximum.at(own, idx.segment, match)
        odds = np.exp(2 * share)
        columns |= {
            "softmax": np.log(np.maximum(odds / max(1e-9, float(odds.sum())), 1e-6)),
            "segment_best": best[idx.segment],
            "match": match / top,
            "segment_match": own[idx.segment] / top,
        }
    else:
        kinds = np.array([s.kind for s in idx.segments], dtype=np.str_)[idx.segment]
        units = np.diff(idx.offset)
        columns |= {
            "digits": np.array([np.log1p(sum(map(str.isdigit, idx.text(u)))) for u in range(idx.size)]),
            "place": (np.arange(idx.size) - idx.offset[idx.segment]) / np.maximum(1, units[idx.segment]),
            "user": (kinds == "user").astype(np.float64),
            "assistant": (kinds == "assistant").astype(np.float64),
            "tool": (kinds == "tool_result").astype(np.float64),
        }
    return np.stack([columns[name] for name in FEATURES[mode_of(call)]], axis=1)


def _facts(idx: Index) -> tuple[Floats, Floats]:
    """Facts of each kind in each unit, shape (units, kinds), and those that stand in no other segment, (units,)."""
    found = [facts(idx.text(u), frozenset(_KINDS)) for u in range(idx.size)]
    holders: dict[tuple[FactKind, str], int] = {}
    for unit, inside in enumerate(found):
        segment = int(idx.segment[unit])
        for fact in inside:
            holders[fact] = segment if holders.get(fact, segment) == segment else -1
    counts = np.array([[sum(f[0] == kind for f in inside) for kind in _KINDS] for inside in found], dtype=np.float64)
    distinct = np.array([sum(holders[f] >= 0 for f in inside) for inside in found], dtype=np.float64)
    return counts.reshape(-1, len(_KINDS)), distinct
