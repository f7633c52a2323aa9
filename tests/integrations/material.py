"""A question, documents and a tool-using conversation, written for the integration tests."""

from ctxshrink.shrinker import Shrinker

PLAIN = Shrinker(guardrail=None)
"""Without a guardrail: what the seats convert is the same, and faster to see."""

QUESTION = "Which torque do the wheel bolts need?"
ANSWER = "The wheel bolts need a torque of 110 Nm."
TEXTS = [
    f"The tyres carry a date code on the flank. {ANSWER} Store the winter wheels in a dark room.",
    "The wipers are changed in pairs. The washer tank holds four litres. Never fill it with plain water in winter.",
    "The radio remembers twelve stations. A long press saves the current one. The clock sets itself by radio signal.",
]
LOG = "\n".join(f"2026-03-04 10:{i:02d}:11 INFO depot {i * 37} reports {i * 3 % 11} free bays" for i in range(60))


def tokens(text: str) -> int:
    """Tokens of a text by the counter of `PLAIN`."""
    return PLAIN.counter.count([text])[0]
