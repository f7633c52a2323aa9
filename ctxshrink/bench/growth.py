"""One long conversation: does the last turn cost what the first did, and does every turn start with the one before?"""

from __future__ import annotations

import json
import random
import re
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ctxshrink.prefix import Conversation

from .stats import mean

_LOST: Final = re.compile(r"lost from message (\d+) on")
_WORDS: Final = [
    "pump",
    "valve",
    "hall",
    "order",
    "depot",
    "crate",
    "filter",
    "gauge",
    "sensor",
    "rail",
    "bridge",
    "ferry",
    "ticket",
    "hotel",
    "menu",
    "garden",
    "roof",
    "cable",
    "engine",
    "harbour",
    "letter",
    "museum",
    "window",
    "bicycle",
]


@dataclass(frozen=True, slots=True)
class Growth:
    """How a conversation grew.

    Attributes:
        turns: How many requests there were.
        every: Turns that are taken together in the curves.
        seconds: Mean CPU seconds of a turn, without those that rewrote earlier text, by ``every`` turns.
        tokens_before: Tokens of the conversation at the end of each stretch.
        tokens_after: Tokens that were sent then.
        memory: Bytes that the conversation and its messages hold at the end of each stretch; () where not measured.
        epochs: Turns at which earlier text was rewritten, all of them announced.
        broken: Turns whose output did not start with the last turn's although nothing was announced.
    """

    turns: int
    every: int
    seconds: tuple[float, ...]
    tokens_before: tuple[int, ...]
    tokens_after: tuple[int, ...]
    memory: tuple[int, ...]
    epochs: tuple[int, ...]
    broken: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {name: getattr(self, name) for name in self.__slots__}


def grow(
    conversation: Conversation,
    turns: int = 1000,
    *,
    every: int = 100,
    keep: float | None = 0.5,
    seed: int = 0,
    memory: bool = False,
    step: Callable[[], None] = lambda: None,
) -> Growth:
    """Feeds a synthetic agent conversation turn by turn and watches it.

    Args:
        conversation: An empty one.
        turns: Requests to make.
        every: Turns that are taken together in the curves.
        keep: See `Conversation.extend`.
        seed: Of the synthetic messages.
        memory: Also measure memory, which makes everything slower: the seconds of such a run mean nothing.
        step: Called after each turn.
    """
    seconds: list[list[float]] = []
    before: list[int] = []
    after: list[int] = []
    held: list[int] = []
    epochs: list[int] = []
    broken: list[int] = []
    sent: list[str] = []
    if memory:
        tracemalloc.start()
    try:
        for number, messages in enumerate(synthetic(turns, seed)):
            started = time.process_time()
            result = conversation.extend(messages, keep=keep)
            took = time.process_time() - started
            lost = [int(m[1]) for w in result.warnings if (m := _LOST.search(w))]
            rendered = [json.dumps(message) for message in result.output]  # Outputs may share objects.
            if rendered[: min([*lost, len(sent)])] != sent[: min([*lost, len(sent)])]:
                broken.append(number)
            if number % every == 0:
                seconds.append([])
                before.append(0)
                after.append(0)
                held.append(0)
            if lost:
                epochs.append(number)
            else:
                seconds[-1].append(took)
            before[-1], after[-1] = result.tokens_before, result.tokens_after
            sent = rendered
            if memory and (number % every == every - 1 or number == turns - 1):
                held[-1] = tracemalloc.get_traced_memory()[0]
            step()
    finally:
        if memory:
            tracemalloc.stop()
    return Growth(
        turns,
        every,
        tuple(mean(s) if s else 0.0 for s in seconds),
        tuple(before),
        tuple(after),
        tuple(held) if memory else (),
        tuple(epochs),
        tuple(broken),
    )


def synthetic(turns: int, seed: int = 0) -> Iterator[list[dict[str, Any]]]:
    """What each request of an agent adds: tool results of four kinds in turn, and now and then a user's answer.

    The mix is the same all along, so that a curve over turns shows the conversation's length and nothing else.
    """
    rng = random.Random(seed)
    yield [
        {"role": "system", "content": "You look after a depot. Use the tools, and never promise a date."},
        {"role": "user", "content": _said(rng, 3)},
    ]
    for number in range(1, turns):
        if number % 5 == 0:
            said = {"role": "assistant", "content": _said(rng, 4)}
            yield [said, {"role": "user", "content": _said(rng, 3)}]
            continue
        kind = _RESULTS[number % len(_RESULTS)]
        function = {"name": kind.__name__.lstrip("_"), "arguments": json.dumps({"id": rng.randrange(10**5)})}
        call = {"id": f"call_{number}", "type": "function", "function": function}
        yield [
            {"role": "assistant", "content": _said(rng, 1), "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call["id"], "content": kind(rng)},
        ]


def _said(rng: random.Random, sentences: int) -> str:
    return " ".join(
        f"The {rng.choice(_WORDS)} {rng.randrange(1000)} of the {rng.choice(_WORDS)} was moved to {rng.choice(_WORDS)} "
        f"{rng.randrange(90)}."
        for _ in range(sentences)
    )


def _records(rng: random.Random) -> str:
    rows = [
        {"id": rng.randrange(10**6), "name": rng.choice(_WORDS), "stock": rng.randrange(50), "note": None}
        for _ in range(18)
    ]
    return json.dumps({"items": rows, "next": None})


def _log(rng: random.Random) -> str:
    times = (f"2026-05-04T10:{i:02d}:{rng.randrange(60):02d}Z" for i in range(24))
    return "\n".join(f"{t} INFO worker-{rng.randrange(7)} finished job {rng.randrange(10**5)}" for t in times)


def _code(rng: random.Random) -> str:
    return "\n\n".join(
        f"def {rng.choice(_WORDS)}_{i}(x: int) -> int:\n    y = x * {rng.randrange(100)}\n    return y + {i}"
        for i in range(8)
    )


def _listing(rng: random.Random) -> str:
    return "\n".join(f"./{rng.choice(_WORDS)}/{rng.choice(_WORDS)}_{rng.randrange(1000)}.py" for _ in range(30))


_RESULTS: Final[Sequence[Callable[[random.Random], str]]] = (_records, _log, _code, _listing)
