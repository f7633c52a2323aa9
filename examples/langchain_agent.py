"""A LangChain agent that sees a smaller history than its state keeps.

python examples/langchain_agent.py
"""

from collections.abc import Callable, Sequence
from typing import Any

import langchain_ctxshrink  # noqa: F401  teaches Shrinker.shrink_messages to read LangChain messages
from langchain.agents import create_agent
from langchain.agents.middleware import ModelRequest, ModelResponse, wrap_model_call
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import tool

from ctxshrink import Adaptive, Shrinker

SHRINKER = Shrinker(policy=Adaptive(recent_turns=2))


@wrap_model_call
def shrink_history(request: ModelRequest, handler: Callable[[ModelRequest], ModelResponse]) -> ModelResponse:
    """Shrinks what the model is shown; the agent's state keeps every message whole."""
    result = SHRINKER.shrink_messages(request.messages, keep=0.3)
    shrunk = [d.segment.id for d in result.decisions if d.action == "compressed"]
    print(
        f"to the model: {result.tokens_before:>5} -> {result.tokens_after:>5} tokens; compressed: {shrunk or 'nothing'}"
    )
    return handler(request.override(messages=result.output))


@tool
def server_log(host: str) -> str:
    """The last hour of a server's log."""
    lines = [f"09:{m:02d}:12 INFO {host} GET /health 200 in {3 + m % 4} ms" for m in range(60)]
    if host == "web-2":
        lines[41] = "09:41:12 ERROR web-2 POST /orders 503 upstream db-1 timed out after 30000 ms"
    return "\n".join(lines)


class ScriptedModel(GenericFakeChatModel):
    """Says its lines in order: a stand-in for a chat model that needs no network."""

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        """The script knows its tools."""
        return self


def look(number: int, host: str) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": "server_log", "args": {"host": host}, "id": f"call-{number}"}])


def main() -> None:
    hosts = ["web-1", "web-2", "web-3", "web-4", "db-1", "db-2"]
    lines = [*(look(n, host) for n, host in enumerate(hosts)), AIMessage("web-2 could not reach db-1 at 09:41.")]
    agent = create_agent(
        ScriptedModel(messages=iter(lines)),
        [server_log],
        system_prompt="You are on call. Read logs; never restart anything.",
        middleware=[shrink_history],
    )
    state = agent.invoke({"messages": [{"role": "user", "content": "Why did an order fail at 09:41?"}]})
    print(f"answer: {state['messages'][-1].content}")
    whole = SHRINKER.shrink_messages(state["messages"], keep=1.0)
    print(f"the state still holds all {len(state['messages'])} messages, {whole.tokens_before} tokens")


if __name__ == "__main__":
    main()
