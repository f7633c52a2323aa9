"""A real agent with real tools: its history shrinks on the way to the model, and nowhere else."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

pytest.importorskip("langchain")

from langchain.agents import create_agent
from langchain.agents.middleware import ModelRequest, ModelResponse, wrap_model_call
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_ctxshrink import shrink_messages
from pydantic import Field

from tests.integrations.material import LOG, PLAIN, QUESTION, TEXTS


class _Scripted(BaseChatModel):
    """Says its lines one after the other and records what it was shown."""

    lines: list[AIMessage]
    shown: list[list[BaseMessage]] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> "_Scripted":  # pyright: ignore[reportIncompatibleMethodOverride]
        return self

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        self.shown.append(messages)
        return ChatResult(generations=[ChatGeneration(message=self.lines[len(self.shown) - 1])])


@wrap_model_call
def _shrunk(request: ModelRequest, handler: Callable[[ModelRequest], ModelResponse]) -> ModelResponse:
    return handler(request.override(messages=shrink_messages(request.messages, keep=0.3, shrinker=PLAIN)))


def depot_log(day: str) -> str:
    """The depot's log of a day."""
    return LOG


def _call(number: int) -> AIMessage:
    call = {"name": "depot_log", "args": {"day": f"2026-03-{number:02d}"}, "id": f"call-{number}"}
    return AIMessage("", tool_calls=[call])  # pyright: ignore[reportArgumentType]


def test_the_model_sees_less_and_the_state_keeps_all() -> None:
    model = _Scripted(lines=[*map(_call, range(1, 8)), AIMessage("110 Nm")])
    agent = create_agent(model, [depot_log], system_prompt="You are a mechanic.", middleware=[_shrunk])
    history: list[Any] = [HumanMessage(" ".join(TEXTS)), AIMessage("Noted."), HumanMessage(QUESTION)]
    state = agent.invoke({"messages": history})

    assert state["messages"][-1].content == "110 Nm"
    results = [m for m in state["messages"] if isinstance(m, ToolMessage)]
    assert [m.content for m in results] == [LOG] * 7, "the checkpoint keeps the originals"

    last = model.shown[-1]
    seen = [m for m in last if isinstance(m, ToolMessage)]
    assert len(seen[0].content) < len(LOG)
    assert seen[-1].content == LOG
    calls = [call["id"] for m in last if isinstance(m, AIMessage) for call in m.tool_calls]
    assert calls == [m.tool_call_id for m in seen] == [f"call-{n}" for n in range(1, 8)]
    assert last[0].content == "You are a mechanic."
    assert HumanMessage(QUESTION).content in [m.content for m in last]
