"""A LlamaIndex agent whose memory keeps old turns, compressed once.

python examples/llamaindex_agent.py
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ToolCallBlock
from llama_index.core.llms import ChatMessage, MockFunctionCallingLLM
from llama_index.core.memory import InsertMethod, Memory
from llama_index.core.workflow import Context
from llama_index_ctxshrink import CompressedHistoryBlock

from ctxshrink import ShrinkResult

BAYS = {"north": 12, "south": 4, "harbour": 31}


def free_bays(depot: str) -> str:
    """What a depot reports."""
    noise = " ".join(f"Gate {n} of the {depot} depot was checked at {8 + n % 9} o'clock." for n in range(20))
    return f"{noise} The {depot} depot has {BAYS[depot]} free bays."


def reply(messages: Sequence[ChatMessage], **kwargs: Any) -> ChatMessage:
    """A stand-in for a model that needs no network: asks the depot that the user names, then answers."""
    last = messages[-1]
    if last.role.value == "tool":
        return ChatMessage(role="assistant", content=(last.content or "").rsplit(". ", 1)[-1])
    depot = next(name for name in BAYS if name in (last.blocks[-1].model_dump().get("text") or ""))
    call = ToolCallBlock(tool_call_id=f"call-{depot}", tool_name="free_bays", tool_kwargs={"depot": depot})
    return ChatMessage(role="assistant", blocks=[call])


def report(result: ShrinkResult[Any]) -> None:
    print(f"turns left the chat history: {result.tokens_before} -> {result.tokens_after} tokens")


async def main() -> None:
    block = CompressedHistoryBlock(keep=0.3, on_result=report)
    memory = Memory.from_defaults(
        session_id="depots",
        token_limit=2000,
        chat_history_token_ratio=0.2,
        token_flush_size=200,
        memory_blocks=[block],
        insert_method=InsertMethod.USER,
    )
    agent = FunctionAgent(tools=[free_bays], llm=MockFunctionCallingLLM(response_generator=reply), streaming=False)
    context = Context(agent)
    for depot in BAYS:
        answer = await agent.run(f"How many bays are free at the {depot} depot?", ctx=context, memory=memory)
        print(f"answer: {answer}")
    for flushed in block.sessions["depots"]:
        print(f"\nof turns that left the chat history:\n{flushed.text}")


if __name__ == "__main__":
    asyncio.run(main())
