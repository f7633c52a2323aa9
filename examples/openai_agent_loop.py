"""An agent loop in OpenAI's message format that sends a smaller history, and the same start of it every time.

The model is a script, so that this runs offline; with the real client only `complete` changes:
``client.chat.completions.create(model=..., messages=messages, tools=...).choices[0].message.model_dump()``

python examples/openai_agent_loop.py
"""

import json
from typing import Any

from ctxshrink import Conversation, Shrinker

Message = dict[str, Any]
READINGS = {
    "north": [{"hour": h, "sensor": f"N-{h % 4}", "celsius": 4 + h % 5, "state": "ok"} for h in range(24)],
    "south": [{"hour": h, "sensor": f"S-{h % 4}", "celsius": 5 + h % 3, "state": "ok"} for h in range(24)],
    "cellar": [{"hour": h, "sensor": f"C-{h % 4}", "celsius": 11 if h == 13 else 6, "state": "ok"} for h in range(24)],
}


def call(number: int, room: str) -> Message:
    function = {"name": "read_sensors", "arguments": json.dumps({"room": room})}
    calls = [{"id": f"call_{number}", "type": "function", "function": function}]
    return {"role": "assistant", "content": None, "tool_calls": calls}


SCRIPT: list[Message] = [
    call(1, "north"),
    call(2, "south"),
    {"role": "assistant", "content": "North and south are fine. I look into the cellar and at both rooms once more."},
    call(3, "cellar"),
    call(4, "north"),
    call(5, "south"),
    {"role": "assistant", "content": "The cellar was at 11 degrees at 13:00; the limit is 8 degrees."},
]


def complete(step: int, messages: list[Message]) -> Message:
    """Stands for the model: says the next line of the script, whatever it is shown."""
    return SCRIPT[step]


def main() -> None:
    conversation = Conversation(Shrinker(), provider="openai")
    messages: list[Message] = [
        {"role": "system", "content": "You watch a cold store. Stock spoils above 8 degrees. Never guess a reading."},
        {"role": "user", "content": "Was any room too warm yesterday?"},
    ]
    for step in range(len(SCRIPT)):
        # The full history stays ours; the model sees a smaller view of it, whose start the provider has in its cache.
        view = conversation.shrink(messages, keep=0.4)
        answer = complete(step, view.output)
        messages.append(answer)
        print(
            f"request {step + 1}: {view.tokens_before:>5} -> {view.tokens_after:>5} tokens, {len(view.output)} messages"
        )
        for decision in view.decisions:
            if decision.action in ("compressed", "fallback"):
                print(f"    {decision.segment.kind} {decision.segment.id}: {decision.action}, {decision.reason}")
        for tool_call in answer.get("tool_calls") or []:
            room = json.loads(tool_call["function"]["arguments"])["room"]
            result = json.dumps(READINGS[room])
            messages.append({"role": "tool", "tool_call_id": tool_call["id"], "content": result})
    print(f"answer: {messages[-1]['content']}")


if __name__ == "__main__":
    main()
