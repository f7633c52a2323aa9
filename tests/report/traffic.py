"""Calls to record: an allotment society's mail, cheap to shrink."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ctxshrink import KeepRatio, Shrinker
from ctxshrink.report._reader import Recording, read_trace
from ctxshrink.types import Decision

FILLER = "The beans came up late. The gate was oiled. Nobody saw the fox. The hose leaks at the third bed. "
CHUNKS = ["The water is turned on in April. " + FILLER, FILLER + "Plot 14 is Mrs Oyelaran's."]
HOSTILE = (
    "<script>alert(1)</script></script><!--",
    "\u202eabc\u2066",
    "\ud800 alone",
    "line\u2028para\u2029\x85nul\x00",
    '"}\n{"call":{}}\n',
    "👩‍👩‍👧 e\u0301 ﻿",
)


def shrinker(telemetry: Any = None, **settings: Any) -> Shrinker:
    given = {"compressors": ["lead"], "guardrail": None, "policy": KeepRatio(0.4, recent_turns=2), **settings}
    return Shrinker(telemetry=telemetry, **given)


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def turn(n: int, name: str = "post") -> list[dict[str, Any]]:
    """A question, a call of a tool and its result; all of the n-th turn's texts differ from those of others."""
    function = {"name": name, "arguments": json.dumps({"page": n})}
    calls = [{"id": f"c{n}", "type": "function", "function": function}]
    rows = "\n".join(f"letter {n}-{i}: bed {i * n % 31} asks for {i % 5} more cans of water" for i in range(40))
    said = [{"role": "assistant", "content": f"That was letter {n}. {FILLER}"}] if n else []
    return [
        *said,
        user(f"What is in {name} {n}?"),
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": f"c{n}", "content": rows},
    ]


def moved(decision: Decision) -> tuple[Any, ...]:
    """What of a segment went in and came out."""
    s = decision.segment
    return s.id, s.kind, s.text, decision.text, decision.tokens_before, decision.tokens_after


def facts(decision: Decision) -> tuple[Any, ...]:
    """What a trace must say of a segment that was sent again."""
    s = decision.segment
    # Whether a step looked at a text and left it, or nobody did, is not on results.
    reason = "" if decision.action == "frozen" else decision.reason
    return *moved(decision), s.age, decision.action, reason, s.lock_reason


def read(path: Path) -> Recording:
    found = read_trace(path)
    assert found.unread == 0
    assert all(call.whole for call in found.calls)
    return found
