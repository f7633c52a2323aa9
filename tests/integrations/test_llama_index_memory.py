"""The memory block in a real `Memory`, and in a real `FunctionAgent`."""

import json
from typing import Any

import pytest

pytest.importorskip("llama_index.core")

from hypothesis import example, given
from hypothesis import strategies as st
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ImageBlock, TextBlock, ToolCallBlock
from llama_index.core.llms import ChatMessage, MockFunctionCallingLLM
from llama_index.core.memory import InsertMethod, Memory
from llama_index.core.storage.chat_store.sql import MessageStatus
from llama_index.core.workflow import Context
from llama_index_ctxshrink import CompressedHistoryBlock
from pydantic import ValidationError

from ctxshrink import Shrinker
from ctxshrink.store import Store
from tests.strategies import PROPERTY

PLAIN = Shrinker(compressors=["extractive"], guardrail=None)
FACT = "The wheel bolts need a torque of 110 Nm."


def memory(block: CompressedHistoryBlock, session: str = "one", **settings: Any) -> Memory:
    settings = {"token_limit": 1200, "token_flush_size": 100, "chat_history_token_ratio": 0.3} | settings
    return Memory.from_defaults(session_id=session, memory_blocks=[block], insert_method=InsertMethod.USER, **settings)


def turn(number: int) -> list[ChatMessage]:
    said = " ".join(f"Point {number}.{i} is about depot {number * 37 + i} and its bays." for i in range(6))
    return [
        ChatMessage(role="user", content=f"Question {number}. {said}"),
        ChatMessage(role="assistant", content=f"Answer {number}. {said}"),
    ]


def shown(messages: list[ChatMessage]) -> str:
    """What the block put before the newest user turn."""
    user = [m for m in messages if m.role.value == "user"][-1]
    found = [b.text for b in user.blocks if isinstance(b, TextBlock) and b.text.startswith("<memory>")]
    return found[0] if found else ""


async def test_flushed_turns_are_compressed_once_and_keep_their_bytes() -> None:
    block = CompressedHistoryBlock(shrinker=PLAIN, keep=0.4)
    held = memory(block, token_limit=4000, chat_history_token_ratio=0.1)
    before = ""
    for number in range(12):
        await held.aput_messages(turn(number))
        text = await block.aget(session_id="one")
        assert text.startswith(before), "what was there is still there, and new things come after it"
        before = text
    whole = "".join(m.content or "" for m in await held.aget_all())
    assert "Question 0." in before
    assert "…" in before
    assert 0 < len(before) < 0.7 * len(whole)
    assert before.strip() in shown(await held.aget())


async def test_a_truncation_is_kept_and_leaves_room() -> None:
    block = CompressedHistoryBlock(shrinker=PLAIN, keep=0.9)
    held, seen, rewritten = memory(block, token_limit=3000, chat_history_token_ratio=0.1), "", 0
    for number in range(40):
        await held.aput_messages(turn(number))
        got = await held.aget()
        assert sum(held._estimate_token_count(m) for m in got) <= held.token_limit + 60, "the tags around the block"
        text = await block.aget(session_id="one")
        rewritten += not text.startswith(seen)
        seen = text
    assert 1 <= rewritten <= 10
    assert seen
    kept = await held.aget_all(status=MessageStatus.ACTIVE)
    assert sum(len(part.lines) for part in block.sessions["one"]) == 2 * 40 - len(kept)


async def test_sessions_are_kept_apart_and_can_be_forgotten() -> None:
    block = CompressedHistoryBlock(shrinker=PLAIN)
    for session in ("one", "two"):
        held = memory(block, session)
        for number in range(8):
            await held.aput_messages(
                [ChatMessage(role="user", content=f"{session} said {m.content}") for m in turn(number)]
            )
    first, second = await block.aget(session_id="one"), await block.aget(session_id="two")
    assert "one said" in first
    assert "two said" not in first
    assert "two said" in second
    block.forget("one")
    assert await block.aget(session_id="one") == ""
    assert await block.aget(session_id="two") == second


async def test_what_is_forgotten_during_a_rewriting_step_stays_forgotten() -> None:
    steps = 0

    def forget(result: Any) -> None:
        nonlocal steps
        steps += result.goal.max_tokens is not None
        if result.goal.max_tokens is not None:
            block.forget()

    block = CompressedHistoryBlock(shrinker=PLAIN, keep=1, max_tokens=60, on_result=forget)
    for number in range(3):
        if not steps:
            await block.aput(turn(number))
    assert steps
    assert block.sessions == {}


async def test_it_can_be_stored_and_goes_on_with_the_same_bytes() -> None:
    block = CompressedHistoryBlock(shrinker=PLAIN, keep=0.5)
    held = memory(block)
    for number in range(8):
        await held.aput_messages(turn(number))
    data = block.model_dump_json()
    again = CompressedHistoryBlock.model_validate({**json.loads(data), "shrinker": PLAIN})
    assert await again.aget(session_id="one") == await block.aget(session_id="one")
    assert again.model_dump_json() == data
    assert "shrinker" not in data


async def test_tool_calls_stay_and_what_is_no_text_is_named() -> None:
    block = CompressedHistoryBlock(shrinker=PLAIN, keep=1.0)
    call = ToolCallBlock(tool_call_id="a", tool_name="torque", tool_kwargs={"part": "wheel bolt"})
    old = {"tool_calls": [{"id": "b", "function": {"name": "depot", "arguments": '{"day": 3}'}}]}
    await block.aput(
        [
            ChatMessage(role="system", content="Never guess."),
            ChatMessage(
                role="user", blocks=[TextBlock(text="What is in this picture?"), ImageBlock(url="http://a/b.png")]
            ),
            ChatMessage(role="assistant", blocks=[call], additional_kwargs=old),
            ChatMessage(role="tool", content=FACT, additional_kwargs={"tool_call_id": "a"}),
        ]
    )
    assert await block.aget() == (
        "instruction: Never guess.\n\nuser: What is in this picture?\n\n[image: left out]\n\n"
        f'assistant called: depot({{"day": 3}})\n\ntorque({{"part": "wheel bolt"}}): {FACT}'
    )


async def test_what_was_left_out_can_be_had_again() -> None:
    with Store.memory() as store:
        block = CompressedHistoryBlock(
            shrinker=Shrinker(compressors=["extractive"], guardrail=None, store=store), keep=0.2
        )
        said = " ".join(f"Depot {i} has {i * 7} bays." for i in range(60)) + " " + FACT
        await block.aput([ChatMessage(role="user", content=said)])
        text = await block.aget()
        [reference] = [line for line in text.splitlines() if line.startswith("[original")]
        assert store.load(reference.split('"')[1]) == said


async def test_nothing_is_lost_when_the_shrinker_fails() -> None:
    class Broken:
        name = "broken"
        exact = True

        def count(self, texts: Any) -> list[int]:
            raise RuntimeError("no")

    block = CompressedHistoryBlock(shrinker=Shrinker(counter=Broken(), guardrail=None), keep=0.2)
    await block.aput(turn(1))
    assert await block.aget() == "\n\n".join(
        f"{label}: {m.content}" for label, m in zip(("user", "assistant"), turn(1), strict=True)
    )


async def test_a_failing_hook_changes_nothing() -> None:
    seen: list[Any] = []

    def hook(result: Any) -> None:
        seen.append(result)
        raise ValueError("observer")

    with_hook, without = (CompressedHistoryBlock(shrinker=PLAIN, keep=0.4, on_result=h) for h in (hook, None))
    for block in (with_hook, without):
        await block.aput(turn(1))
    assert await with_hook.aget() == await without.aget()
    assert seen[0].tokens_after < seen[0].tokens_before


@PROPERTY
@example(texts=["0", "0\r0ࠀ"], tokens=1)
@given(texts=st.lists(st.text(min_size=1, max_size=200), min_size=1, max_size=6), tokens=st.integers(1, 400))
async def test_truncation_never_raises_and_never_grows(texts: list[str], tokens: int) -> None:
    block = CompressedHistoryBlock(shrinker=PLAIN)
    for text in texts:
        await block.aput([ChatMessage(role="user", content=text)])
    content = await block.aget()
    smaller = await block.atruncate(content, tokens)
    before, after = PLAIN.counter.count([content, smaller or ""])
    assert after <= before


@pytest.mark.parametrize("setting", [{"keep": 0}, {"max_tokens": -1}, {"headroom": 1}, {"unknown": 1}])
def test_a_wrong_setting_is_refused(setting: dict[str, Any]) -> None:
    with pytest.raises((ValidationError, ValueError), match=next(iter(setting))):
        CompressedHistoryBlock(**setting)


async def test_a_bound_of_its_own_holds() -> None:
    block = CompressedHistoryBlock(shrinker=PLAIN, keep=0.9, max_tokens=200)
    for number in range(20):
        await block.aput(turn(number))
        assert PLAIN.counter.count([await block.aget()])[0] <= 200


async def test_in_a_function_agent() -> None:
    noise = " ".join(f"Gate {n} was checked at {8 + n % 9} o'clock." for n in range(30))

    def torque(part: str) -> str:
        """The torque of a part."""
        return f"{noise} The {part} needs a torque of {len(part) * 10} Nm."

    seen: list[list[ChatMessage]] = []

    def reply(messages: Any, **kwargs: Any) -> ChatMessage:
        seen.append(list(messages))
        if messages[-1].role.value == "tool":
            return ChatMessage(role="assistant", content=(messages[-1].content or "").rsplit(". ", 1)[-1])
        part = messages[-1].blocks[-1].text.removeprefix("Torque of the ").removesuffix("?")
        call = ToolCallBlock(tool_call_id=f"call-{part}", tool_name="torque", tool_kwargs={"part": part})
        return ChatMessage(role="assistant", blocks=[call])

    block = CompressedHistoryBlock(shrinker=PLAIN, keep=0.3)
    held = memory(block, token_limit=2000, chat_history_token_ratio=0.2)
    agent = FunctionAgent(tools=[torque], llm=MockFunctionCallingLLM(response_generator=reply), streaming=False)
    context = Context(agent)
    for part in ("wheel bolt", "wheel nut", "axle", "seat rail"):
        answer = await agent.run(f"Torque of the {part}?", ctx=context, memory=held)
        assert str(answer) == f"The {part} needs a torque of {len(part) * 10} Nm."
    user = next(m for m in reversed(seen[-1]) if m.role.value == "user")
    assert user.blocks[-1].text == "Torque of the seat rail?"  # pyright: ignore[reportAttributeAccessIssue]
    told = shown(seen[-1])
    assert "assistant: The wheel bolt needs a torque of 100 Nm." in told
    assert 'torque({"part": "wheel bolt"}): ' in told
    assert len(told) < len(noise)
