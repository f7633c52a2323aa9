"""Results that were written as JSON (`ShrinkResult.to_dict`, ``ctxshrink shrink --json``), read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from ctxshrink.errors import ConfigError
from ctxshrink.report._reader import Recording, recorded
from ctxshrink.report._records import checked_text
from ctxshrink.result import ShrinkResult
from ctxshrink.types import Attempt, Decision, Goal, Segment, Span, Verdict

_HOW = "`ctxshrink shrink FILE --json`, or json.dumps(result.to_dict(text=True)), writes one"


def is_result(value: object) -> bool:
    """True for an object that has what every result has."""
    return isinstance(value, dict) and {"decisions", "tokens_before", "tokens_after"} <= cast("set[str]", value.keys())


def read_results(values: Sequence[Mapping[str, Any]], where: str) -> Recording:
    """The results that some objects hold, in order.

    Raises:
        ConfigError: One has no texts, or lacks something else; ``where`` names it.
    """
    results = [_result(value, where) for value in values]
    try:
        return recorded(results)
    except (TypeError, ValueError, OverflowError) as error:  # Numbers that are none, and such.
        raise ConfigError(f"{where}: not a whole result ({type(error).__name__}); {_HOW}") from error


def _result(value: Mapping[str, Any], where: str) -> ShrinkResult[Any]:
    rows = cast("list[dict[str, Any]]", value["decisions"] if isinstance(value.get("decisions"), list) else [None])
    if not all(isinstance(row, dict) for row in rows):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"{where}: not a whole result (decisions must be a list of objects); {_HOW}")
    if not all({"before", "after"} <= row.keys() for row in rows):
        raise ConfigError(f"{where}: a result without texts, which a report shows; {_HOW} with them")
    try:
        return ShrinkResult(
            None,
            tuple(_decision(row) for row in rows),
            int(value["tokens_before"]),
            int(value["tokens_after"]),
            str(value["counter"]),
            bool(value["counter_exact"]),
            _goal(value["goal"]),
            tuple(str(w) for w in value["warnings"]),
            checked_text(value["mode"]),  # pyright: ignore[reportArgumentType]
            float(value["seconds"]),
            _text_or_none(value.get("query")),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        what = f"{type(error).__name__}: {str(error)[:80]}"
        raise ConfigError(f"{where}: not a whole result ({what}); {_HOW}") from error


def _goal(row: Mapping[str, Any]) -> Goal:
    keep, limit = row["keep"], row["max_tokens"]
    return Goal(
        None if keep is None else float(keep), None if limit is None else int(limit), bool(row.get("lossless", False))
    )


def _decision(row: Mapping[str, Any]) -> Decision:
    before, after = checked_text(row["before"]), checked_text(row["after"])
    source = _text_or_none(row.get("source"))
    segment = Segment(
        str(row["id"]),
        before,
        checked_text(row["kind"]),  # pyright: ignore[reportArgumentType]
        int(row["age"]),
        _text_or_none(row.get("lock")),
        checked_text(row["content_type"]),  # pyright: ignore[reportArgumentType]
        title=checked_text(row.get("title", "")),
    )
    attempts = tuple(_attempt(a) for a in row["attempts"])
    spans = None if row["spans"] is None else tuple((int(a), int(b)) for a, b in row["spans"])
    if spans is not None and not _fits(spans, before if source is None else source, after, "source" in row):
        spans = None
    judged = [a.verdict for a in attempts if a.verdict is not None and a.verdict.score == row.get("score")]
    return Decision(
        segment,
        checked_text(row["action"]),  # pyright: ignore[reportArgumentType]
        checked_text(row["reason"]),
        after,
        int(row["tokens_before"]),
        int(row["tokens_after"]),
        keep=float(row["keep"]),
        attempts=attempts,
        spans=spans,
        verdict=judged[-1] if judged else None,
        source=source,
    )


def _attempt(row: Mapping[str, Any]) -> Attempt:
    verdict = None
    if row["score"] is not None:
        # Files of earlier versions have no features.
        verdict = Verdict(
            row["error"] is None and bool(row["ok"]), row["score"], row["reason"], row.get("features", {})
        )
    return Attempt(str(row["compressor"]), float(row["keep"]), int(row["tokens"]), verdict, _text_or_none(row["error"]))


def _fits(spans: Sequence[Span], basis: str, after: str, told: bool) -> bool:
    """Whether ranges are of this text. Files of earlier versions do not hold the renderings that theirs may be of."""
    return all(0 <= a <= b <= len(basis) and (told or basis[a:b] in after) for a, b in spans)


def _text_or_none(value: object) -> str | None:
    return None if value is None else checked_text(value)
