"""A LangChain agent that sends less than its state keeps, and asks for what was left out.

python examples/langchain_agent.py
"""

from collections.abc import Callable, Sequence
from typing import Any

from langchain.agents import create_agent
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool
from langchain_ctxshrink import CtxShrinkMiddleware
from langgraph.checkpoint.memory import InMemorySaver

from ctxshrink import Shrinker
from ctxshrink.expand import find_references
from ctxshrink.store import Store


@tool
def server_log(host: str) -> str:
    """The last hour of a server's log."""
    lines = [f"09:{m:02d}:12 INFO {host} GET /health 200 in {3 + m % 4} ms" for m in range(60)]
    if host == "web-2":
        lines[41] = "09:41:12 ERROR web-2 POST /orders 503 upstream db-1 timed out after 30000 ms"
    return "\n".join(lines)


class ScriptedModel(BaseChatModel):
    """Plays its part: a stand-in for a chat model that needs no network."""

    script: list[Callable[[Sequence[BaseMessage]], AIMessage]]

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        """The script knows its tools."""
        return self

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        said = sum(isinstance(message, AIMessage) for message in messages)
        return ChatResult(generations=[ChatGeneration(message=self.script[said](messages))])


def look(*hosts: str) -> Callable[[Sequence[BaseMessage]], AIMessage]:
    calls = [{"name": "server_log", "args": {"host": host}, "id": f"log-{host}"} for host in hosts]
    return lambda messages: AIMessage("", tool_calls=calls)


def expand(messages: Sequence[BaseMessage]) -> AIMessage:
    shown = next(m.text for m in messages if isinstance(m, ToolMessage) and "web-2" in m.text)
    args = {"id": find_references(shown)[0], "search": "db-1"}
    return AIMessage("", tool_calls=[{"name": "expand", "args": args, "id": "expand-1"}])


def answer(messages: Sequence[BaseMessage]) -> AIMessage:
    return AIMessage("web-2 could not reach db-1 at 09:41.")


def main() -> None:
    middleware = CtxShrinkMiddleware(Shrinker(store=Store.memory()), keep=0.3)
    agent = create_agent(
        ScriptedModel(script=[look("web-1", "web-2"), look("web-3", "db-1"), expand, answer]),
        [server_log],
        system_prompt="You are on call. Read logs; never restart anything.",
        middleware=[middleware],
        checkpointer=InMemorySaver(),
    )
    question = {"role": "user", "content": "Why did an order fail at 09:41?"}
    state = agent.invoke({"messages": [question]}, {"configurable": {"thread_id": "on-call"}})
    for message in state["messages"]:
        if isinstance(message, ToolMessage) and message.name == "server_log":
            figures = message.response_metadata["ctxshrink"]
            print(f"{figures['tokens_before']} -> {figures['tokens_after']} tokens: {figures['reason']}")
        elif isinstance(message, ToolMessage):
            print(f"expand:\n{message.text}")
    print(f"answer: {state['messages'][-1].text}")
    print(f"problems: {', '.join(middleware.problems) or 'none'}")


if __name__ == "__main__":
    main()
