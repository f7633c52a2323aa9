"""See what compression would save, and what later turns would have missed, before anything is compressed.

The prompts of an agent go to the model as they are; `Observer` only keeps the account. For spans and metrics besides:
``Observer(telemetry=Telemetry())`` from `ctxshrink.telemetry`, with ``pip install "ctxshrink[otel]"``.

python examples/observe.py
"""

import json
from typing import Any

from ctxshrink import Adaptive, Shrinker
from ctxshrink.economics import Prices
from ctxshrink.observe import Observer

HANDBOOK = (
    "Tents are lent for one week. A deposit is taken for each tent. Wet tents are hung up in the hall. The hall is "
    "open on weekdays. Pegs are counted when a tent comes back. A missing peg costs 2 euros. Poles are never bent back "
    "by hand. The cellar holds the stoves. Gas is bought by guests. Please sweep the hall on Fridays. The key hangs "
    "behind the door. Guests sign the book when they take the key."
)


def call(id: str, name: str, **arguments: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"role": "assistant", "content": None, "tool_calls": [{"id": id, "type": "function", "function": function}]}


def turns(guest: str, tent: str, deposit: int) -> list[dict[str, Any]]:
    """What happened in one conversation, as a log of it would hold it."""
    return [
        {"role": "system", "content": "You lend tents. Use the tools."},
        {"role": "user", "content": f"I am {guest}. Which tent do I have? I would like to give it back."},
        call("c1", "find_loan", guest=guest),
        {
            "role": "tool",
            "tool_call_id": "c1",
            "content": f"{HANDBOOK} Loan of {guest}: tent {tent}, deposit {deposit} euros. {HANDBOOK}",
        },
        {"role": "assistant", "content": "I found your loan. Is everything dry and complete?"},
        {"role": "user", "content": "Yes, dry, with all the pegs. Do I have to come on a weekday?"},
        {"role": "assistant", "content": "Yes, the hall is open on weekdays only."},
        {"role": "user", "content": "Fine. Then please book the return for Tuesday."},
        call("c2", "book_return", tent=tent, deposit=deposit, day="Tuesday"),
        {"role": "tool", "tool_call_id": "c2", "content": "booked"},
        {"role": "assistant", "content": "Done: Tuesday."},
        {"role": "user", "content": "Thank you!"},
    ]


def main() -> None:
    observer = Observer(Prices(input=3.0, output=15.0, cache_write=3.75, cache_read=0.3))
    shrinker = Shrinker(policy=Adaptive(keep=0.5, recent_turns=2), mode="observe", telemetry=observer)
    for guest, tent, deposit in (("Ines-31", "TENT-4471", 180), ("Olaf-07", "TENT-0925", 145)):
        log = turns(guest, tent, deposit)
        for request in (i for i, m in enumerate(log) if m["role"] == "assistant"):
            prompt = shrinker.shrink_messages(log[:request]).output
            assert prompt == log[:request]  # the model is sent what it would have been sent without ctxshrink
        shrinker.shrink_messages(log)
    print(observer.report().to_text())


if __name__ == "__main__":
    main()
