"""A shrinker, a question, chunks and a conversation."""

from typing import Any

from ctxshrink.decorator import shrink_prompt
from ctxshrink.shrinker import Shrinker

PLAIN = Shrinker(guardrail=None)
QUESTION = "Which pump pressure does the boiler need?"
ANSWER = "The boiler needs a pump pressure of 1.8 bar."
CHUNKS = [
    f"The cellar was painted white in spring. {ANSWER} Visitors like the old stairs. The door is green.",
    "Our garden has three apple trees. The fence was repaired by a neighbour. Nobody waters the roses in May.",
    "Bread is baked on Fridays. The oven stands beside the window. Children get the first slice.",
]
HISTORY: list[dict[str, Any]] = [
    {"role": "system", "content": "You answer in one sentence and you never guess."},
    {"role": "user", "content": "Tell me about the house. " * 8},
    {"role": "assistant", "content": "The house was built in 1911. It has two floors. The roof is made of slate. " * 4},
    {"role": "user", "content": "And what about the garden? It looks large from the street. " * 4},
    {"role": "assistant", "content": "The garden has three apple trees. A path leads to the shed. " * 4},
    {"role": "user", "content": "Who built the shed?"},
    {"role": "assistant", "content": "A neighbour did."},
    {"role": "user", "content": "When?"},
    {"role": "assistant", "content": "In 1974."},
    {"role": "user", "content": QUESTION},
]


def count(text: str) -> int:
    return PLAIN.counter.count([text])[0]


@shrink_prompt(context=["chunks"], query="question", keep=0.3, shrinker=PLAIN)
def build(question: str, chunks: list[str], *, tone: str = "brief") -> str:
    """Write the prompt."""
    return f"Answer in a {tone} tone.\n" + "\n".join(chunks) + f"\nQ: {question}"


def two(question: str, chunks: list[str], *rest: str, **options: str) -> list[str]:
    return [*chunks, *rest]
