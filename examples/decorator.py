"""A prompt builder whose arguments are shrunk; its own template text stays exact.

python examples/decorator.py
"""

import asyncio

from ctxshrink import shrink_prompt

QUESTION = "Which deposit do we ask for when a club rents the hall?"
CHUNKS = [
    "The hall was built in 1962. Its floor is oak and was sanded last year. The stage is four metres deep. For clubs "
    "the deposit is 250 euros; companies pay 400. It is returned within a week.",
    "The kitchen has two ovens and a large sink. Knives are counted before and after every event. The bins are emptied "
    "on Mondays and on Thursdays.",
    "Parking is behind the school. On market days the yard is closed until noon. Buses stop at the church, "
    "every twenty minutes.",
]
HISTORY = [
    {"role": "user", "content": "Hello, I write for the chess club. We are 40 people and would come on 9 May."},
    {
        "role": "assistant",
        "content": "Good to hear from you! The hall is free on 9 May. It holds 180 people, so 40 are no problem. "
        "Chess tables are in the cellar. The lift is small, so bring two helpers. Keys are handed out the day before.",
    },
    {"role": "user", "content": "Is the lift working now?"},
    {"role": "assistant", "content": "Yes, since Tuesday."},
    {"role": "user", "content": "Are there chess clocks too?"},
    {"role": "assistant", "content": "There are twelve."},
]


@shrink_prompt(context=["chunks", "history"], query="question", keep=0.5)
def build(question: str, chunks: list[str], history: list[dict[str, str]]) -> str:
    talk = "\n".join(f"{m['role']}: {m['content']}" for m in history)
    return "\n\n".join(["Answer from the rules below. Never invent a price.", *chunks, talk, f"Question: {question}"])


@shrink_prompt(context="chunks", query="question", max_tokens=60)
async def abuild(question: str, chunks: list[str]) -> list[dict[str, str]]:
    return [
        {"role": "system", "content": "Answer from these rules:\n" + "\n".join(chunks)},
        {"role": "user", "content": question},
    ]


def main() -> None:
    print(build(QUESTION, CHUNKS, HISTORY))
    result = build.last_result
    assert result is not None
    print(f"\n{result.tokens_before} -> {result.tokens_after} tokens")
    for decision in result.decisions:
        print(f"  {decision.segment.id}: {decision.action} ({decision.reason})")

    async def one() -> None:
        messages = await abuild(QUESTION, CHUNKS)
        result = abuild.last_result  # of this task; concurrent calls have their own
        assert result is not None
        print(f"\nasync: {result.tokens_before} -> {result.tokens_after} tokens\n{messages[0]['content']}")

    asyncio.run(one())


if __name__ == "__main__":
    main()
