"""Results as records of a trace, and back: what the lines of a trace hold.

A trace has four kinds of lines. ``{"trace": "ctxshrink", "version": 1, "run": …}`` begins the calls of one recorder.
``{"text": KEY, "value": …}`` and ``{"decision": KEY, …}`` hold a text and what happened to a segment, once each, under
a hash. ``{"call": …}`` is one call: it names its decisions by their keys, and where it goes on with an earlier call of
the same run, only those that differ, so that a trace grows with what is new.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final, TypeAlias, cast

from ctxshrink._lru import digest
from ctxshrink.economics import Economics, Latency, Prices
from ctxshrink.providers import CacheRules
from ctxshrink.types import Attempt, Decision, Segment, Verdict

Record: TypeAlias = dict[str, Any]

NAME: Final = "ctxshrink"
VERSION: Final = 1


def line_of(record: Mapping[str, Any]) -> str:
    """A record as one line of ASCII, the same for the same values: lone surrogates and line separators are escaped."""
    return json.dumps(record, separators=(",", ":"), allow_nan=False)


def key_of(text: str) -> str:
    """The hash that stands for a text."""
    return digest(text).hex()


def checked_text(value: object) -> str:
    """The value, where it is a text."""
    if not isinstance(value, str):
        raise TypeError("a value of another type where a text belongs")
    return value


def decision_record(decision: Decision, keep_text: Callable[[str], str]) -> Record:
    """What happened to a segment, JSON-ready, without its age: that is the call's.

    Args:
        decision: What happened.
        keep_text: Takes a text and gives its key.
    """
    segment = decision.segment
    return {
        "id": segment.id,
        "kind": segment.kind,
        "type": segment.content_type,
        "action": decision.action,
        "reason": decision.reason,
        "before": int(decision.tokens_before),
        "after": int(decision.tokens_after),
        "keep": _number(decision.keep),
        "lock": segment.lock_reason,
        "title": segment.title,
        "relevance": _number(segment.relevance),
        "empty": segment.empty,
        "reference": segment.reference,
        "rewritten": bool(decision.rewritten),
        "in": keep_text(segment.text),
        "out": keep_text(decision.text),
        "source": None if decision.source is None else keep_text(decision.source),
        "spans": None if decision.spans is None else [[int(a), int(b)] for a, b in decision.spans],
        "verdict": _verdict_record(decision.verdict),
        "attempts": [_attempt_record(a) for a in decision.attempts],
    }


_TEXTS: Final = ("id", "kind", "type", "action", "reason", "title", "empty", "reference", "in", "out")
_CALL_TEXTS: Final = ("run", "counter", "mode")
_VERDICT: Final = {"ok": bool, "score": (float, int, type(None)), "reason": str, "features": dict}
_ATTEMPT: Final = {"compressor": str, "keep": (float, int, type(None)), "tokens": int, "error": (str, type(None))}
_DECISION: Final = {
    **dict.fromkeys(_TEXTS, str),
    **dict.fromkeys(("before", "after"), int),
    **dict.fromkeys(("keep", "relevance"), (float, int, type(None))),
    **dict.fromkeys(("lock", "source"), (str, type(None))),
    "rewritten": bool,
    "spans": (list, type(None)),
    "attempts": list,
}
_CALL: Final = {
    **dict.fromkeys(_CALL_TEXTS, str),
    **dict.fromkeys(("number", "before", "after", "turns", "length"), int),
    **dict.fromkeys(("seconds", "risk"), (float, int)),
    **dict.fromkeys(("exact", "whole"), bool),
    "thread": (int, type(None)),
    "query": (str, type(None)),
    "goal": dict,
    "set": list,
    "warnings": list,
}


def check_decision(record: Mapping[str, Any]) -> None:
    """Raises `TypeError` or `KeyError` where a line of a trace is not what `decision_record` makes."""
    _check(record, _DECISION)
    for span in record["spans"] or ():
        a, b = span
        _check({"a": a, "b": b}, {"a": int, "b": int})
    for attempt in record["attempts"]:
        _check(attempt, _ATTEMPT)
    for verdict in (record["verdict"], *(a["verdict"] for a in record["attempts"])):
        if verdict is not None:
            _check(verdict, _VERDICT)
            _check(verdict["features"], dict.fromkeys(verdict["features"], (float, int, type(None))))


def check_call(record: Mapping[str, Any]) -> None:
    """Raises `TypeError` or `KeyError` where a line of a trace is no call."""
    _check(record, _CALL)
    goal = {"keep": (float, int, type(None)), "max_tokens": (int, type(None)), "lossless": bool}
    _check(record["goal"], goal)
    for warning in record["warnings"]:
        checked_text(warning)
    for place, key, turn in record["set"]:
        _check({"place": place, "key": key, "turn": turn}, {"place": int, "key": str, "turn": int})


def _check(record: Mapping[Any, Any], wanted: Mapping[Any, Any]) -> None:
    for name, kinds in wanted.items():
        value = record[name]
        if not isinstance(value, kinds) or (isinstance(value, float) and not math.isfinite(value)):
            raise TypeError(f"{name} has a value of another type")


def decision_of(record: Mapping[str, Any], texts: Mapping[str, str], age: int) -> Decision:
    """The decision that a record holds; see `decision_record`.

    Raises:
        KeyError: A field or a text is missing.
    """
    segment = Segment(
        id=record["id"],
        text=texts[record["in"]],
        kind=record["kind"],
        age=age,
        lock_reason=record["lock"],
        content_type=record["type"],
        relevance=_float(record["relevance"]),
        title=record["title"],
        empty=record["empty"],
        reference=record["reference"],
    )
    spans = record["spans"]
    return Decision(
        segment,
        record["action"],
        record["reason"],
        texts[record["out"]],
        record["before"],
        record["after"],
        keep=_float(record["keep"]),
        attempts=tuple(
            Attempt(a["compressor"], _float(a["keep"]), a["tokens"], _verdict_of(a["verdict"]), a["error"])
            for a in record["attempts"]
        ),
        spans=None if spans is None else tuple((a, b) for a, b in spans),
        verdict=_verdict_of(record["verdict"]),
        source=None if record["source"] is None else texts[record["source"]],
        rewritten=record["rewritten"],
    )


def economics_record(economics: Economics | None) -> Record | None:
    """Prices and the rules of the provider's cache, looked up; None where there are none."""
    if economics is None or economics.priced is None:
        return None
    rules, latency = economics.cache, economics.latency
    return {
        "prices": asdict(economics.priced),
        "rules": None if rules is None else {**asdict(rules), "lifetime": _number(rules.lifetime)},
        "throughput": None if latency is None else asdict(latency),
        "turns": economics.turns,
        "compute_price": economics.compute_price,
        "prefix_tokens": economics.prefix_tokens,
        "currency": economics.currency,
    }


def economics_of(record: Mapping[str, Any] | None) -> Economics | None:
    """The economics that a record holds; see `economics_record`."""
    if record is None:
        return None
    rules, latency = record["rules"], record["throughput"]
    return Economics(
        prices=Prices(**record["prices"]),
        rules=None if rules is None else _rules(rules),
        throughput=None if latency is None else Latency(**latency),
        turns=record["turns"],
        compute_price=record["compute_price"],
        prefix_tokens=record["prefix_tokens"],
        currency=record["currency"],
    )


def _rules(record: Mapping[str, Any]) -> CacheRules:
    fields: Record = {**record, "lifetime": math.inf if record["lifetime"] is None else record["lifetime"]}
    return CacheRules(**fields)


def _attempt_record(attempt: Attempt) -> Record:
    return {
        "compressor": attempt.compressor,
        "keep": _number(attempt.keep),
        "tokens": int(attempt.tokens),
        "error": attempt.error,
        "verdict": _verdict_record(attempt.verdict),
    }


def _verdict_record(verdict: Verdict | None) -> Record | None:
    if verdict is None:
        return None
    features = {str(name): _number(value) for name, value in verdict.features.items()}
    return {
        "ok": bool(verdict.ok),
        "score": _number(verdict.score),
        "reason": verdict.reason,
        "features": dict(sorted(features.items())),
    }


def _verdict_of(record: Mapping[str, Any] | None) -> Verdict | None:
    if record is None:
        return None
    features = cast("Mapping[str, float | None]", record["features"])
    return Verdict(
        record["ok"], _float(record["score"]), record["reason"], {name: _float(v) for name, v in features.items()}
    )


def _number(value: float) -> float | None:
    """A number that JSON knows; plug-ins may give numpy's, or none that is finite."""
    number = float(value)
    return number if math.isfinite(number) else None


def _float(value: float | None) -> float:
    return math.nan if value is None else value
