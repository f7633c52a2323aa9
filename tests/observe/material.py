"""A harbour's conversation, chunks, and shadow traffic over them."""

import json
from typing import Any

from ctxshrink import KeepRatio, Shrinker
from ctxshrink.observe import Observer

FILLER = (
    "The gulls were loud. The tide was low. Nobody came. The harbour was quiet all day. The wind turned in the end. "
)
SYSTEM = {"role": "system", "content": "You serve a harbour."}
CHUNKS = ["The fee is 1250 kroner. " + FILLER, FILLER + "The master is Ada Quist."]


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def says(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def calls(id: str, **arguments: Any) -> dict[str, Any]:
    function = {"name": "act", "arguments": json.dumps(arguments)}
    return {"role": "assistant", "content": None, "tool_calls": [{"id": id, "type": "function", "function": function}]}


def returns(id: str, text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": text}


# "lead" keeps the beginning: B-14 stays, QX7T2 at the end goes.
HISTORY = [
    SYSTEM,
    user("Berth B-14 is mine. " + FILLER * 3 + "My booking is QX7T2."),
    says("Thank you."),
    user("Now to something else."),
    says("Gladly."),
]


def shadow(observer: Any = None, **settings: Any) -> Shrinker:
    policy = KeepRatio(0.3, recent_turns=1)
    return Shrinker(policy=policy, compressors=["lead"], guardrail=None, mode="observe", telemetry=observer, **settings)


def watched(*turns: list[dict[str, Any]]) -> Observer:
    """An observer that saw the calls of one conversation: `HISTORY`, then longer by each of the turns."""
    observer = Observer()
    shrinker = shadow(observer)
    messages = [*HISTORY, user("Go on.")]
    result = shrinker.shrink_messages(messages)
    dropped = next(d for d in result.decisions if "QX7T2" in d.segment.text)
    assert "QX7T2" not in dropped.text
    assert "B-14" in dropped.text
    assert result.output == messages
    for turn in turns:
        messages = [*messages, *turn]
        shrinker.shrink_messages(messages)
    return observer
