"""Observations without any text, and small records written for these tests."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ctxshrink.calibrate.observations import Observation

THINGS = ("pump", "lathe", "kiln", "crane", "loom", "press", "saw", "mill", "forge", "boiler", "winch", "drill")


def observation(record: str, risk: float, lost: float, keep: float = 0.5, **others: Any) -> Observation:
    fields: dict[str, Any] = {
        "group": record,
        "mode": "query",
        "accepted": risk <= 0.2,
        "needed": 1,
        "before": 100,
        "after": round(100 * keep),
        **others,
    }
    return Observation(record=record, risk=risk, lost=lost, keep=keep, **fields)


def simulate(
    records: int, chance: Callable[[float], float], keeps: Sequence[float] = (0.25, 0.5), seed: int = 0
) -> list[Observation]:
    """Records whose needed string is lost with a probability that depends on the risk."""
    rng = random.Random(seed)
    found: list[Observation] = []
    for i in range(records):
        for keep in keeps:
            risk = rng.betavariate(0.4, 1.6)
            found.append(observation(f"r{i}", risk, float(rng.random() < chance(risk)), keep))
    return found


def rag_rows(count: int) -> list[dict[str, Any]]:
    """Questions about one of several machines; the answer stands in one chunk."""
    rows: list[dict[str, Any]] = []
    for i in range(count):
        thing, other = THINGS[i % len(THINGS)], THINGS[(i + 5) % len(THINGS)]
        docs = [
            f"The {thing} in hall {i} was bought in {1900 + i}. It is painted green. A guard checks it every week.",
            f"The {other} is older. Nobody knows who built the {other}. It still runs on Sundays, when it is cold.",
            "Visitors enter by the north gate. The canteen serves soup. Tickets are sold at the gate in summer.",
        ]
        query = f"When was the {thing} in hall {i} bought?"
        rows.append({"id": f"q{i}", "query": query, "docs": [{"text": d} for d in docs], "answers": [str(1900 + i)]})
    return rows


def agent_messages(number: int) -> list[dict[str, Any]]:
    """A customer is served: an order number from an early result is used by a late call."""
    order, call = f"ORD-{4000 + number}", {"name": "find_orders", "arguments": '{"customer": "Ada Byron"}'}
    late = {"name": "cancel_order", "arguments": json.dumps({"order_id": order})}
    filler = [
        {"role": role, "content": f"{text} ({number})"}
        for text in ("The weather is fine today.", "We are open until six.", "The road is closed.", "Tea is served.")
        for role in ("user", "assistant")
    ]
    rows = [{"order": f"ORD-{7000 + 10 * number + i}", "state": "sent", "weight": i} for i in range(6)]
    rows[3]["order"] = order
    return [
        {"role": "system", "content": "You serve customers of a shop."},
        {"role": "user", "content": "I am Ada Byron. Which of my orders are open?"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": call}]},
        {"role": "tool", "tool_call_id": "c1", "content": json.dumps(rows, indent=1)},
        {"role": "assistant", "content": "You have several orders."},
        *filler,
        {"role": "user", "content": "Cancel the fourth one."},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c2", "type": "function", "function": late}]},
        {"role": "tool", "tool_call_id": "c2", "content": "done"},
        {"role": "assistant", "content": "It is cancelled."},
    ]


def write_lines(path: Path, rows: Sequence[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


@pytest.fixture
def rag_file(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "mine.jsonl", rag_rows(12))
