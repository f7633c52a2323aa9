"""Scripted chat models and tools for tests of agents, and what every request that reaches a model must satisfy."""

from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, convert_to_openai_messages
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import Field

from ctxshrink import Adaptive, Shrinker
from ctxshrink.messages.validate import problems


def shrinker(**settings: Any) -> Shrinker:
    """Fast, and with few recent turns, so that there is something to do early."""
    settings = {"policy": Adaptive(recent_turns=2), "compressors": ["extractive"], "guardrail": None} | settings
    return Shrinker(**settings)


class Scripted(BaseChatModel):
    """Plays a script, and records every request. A turn of the script may be a function of the request's messages."""

    script: list[Any]
    shown: list[list[BaseMessage]] = Field(default_factory=list)
    settings: list[dict[str, Any]] = Field(default_factory=list)
    bound: list[str] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        self.bound[:] = [getattr(tool, "name", "") for tool in tools]
        return self.bind(**kwargs) if kwargs else self

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        turn = self.script[len(self.shown)]
        self.shown.append(list(messages))
        self.settings.append(kwargs)
        message = turn(messages) if callable(turn) else turn
        return ChatResult(generations=[ChatGeneration(message=message.model_copy())])


def calls(number: int, *arguments: dict[str, Any], tool: str = "read_log") -> AIMessage:
    """An answer that calls a tool, in parallel where there are several arguments."""
    made = [{"name": tool, "args": a, "id": f"call-{number}-{i}", "type": "tool_call"} for i, a in enumerate(arguments)]
    return AIMessage(f"Step {number}.", tool_calls=made)  # pyright: ignore[reportArgumentType]


def check_request(messages: Sequence[BaseMessage]) -> None:
    """What OpenAI and Anthropic publish about requests holds."""
    assert problems(convert_to_openai_messages(list(messages)), "openai") == []
    assert problems(anthropic(messages), "anthropic") == []


def anthropic(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    """The messages as langchain-anthropic sends them, in the parts that these tests use; without the system message."""
    made: list[dict[str, Any]] = []
    for message in messages:
        if isinstance(message, SystemMessage):
            continue
        blocks: list[Any] = []
        content = message.content
        if message.type == "tool":
            kept = {"tool_use_id": getattr(message, "tool_call_id", None), "content": content}
            blocks = [{"type": "tool_result", **kept}]
        elif isinstance(content, str):
            blocks = [{"type": "text", "text": content}] if content else []
        else:
            blocks = [b for b in content if not isinstance(b, dict) or b.get("type") != "tool_use"]
        for call in getattr(message, "tool_calls", ()):
            blocks.append({"type": "tool_use", "id": call["id"], "name": call["name"], "input": call["args"]})
        role = "assistant" if message.type == "ai" else "user"
        if made and made[-1]["role"] == role:
            made[-1]["content"] += blocks
        else:
            made.append({"role": role, "content": blocks})
    return made


def bytes_of(message: BaseMessage) -> tuple[Any, ...]:
    """What of a message reaches a provider."""
    return (
        message.type,
        repr(message.content),
        repr(getattr(message, "tool_calls", None)),
        getattr(message, "tool_call_id", None),
    )


def same_start(shown: Sequence[Sequence[BaseMessage]]) -> list[int]:
    """Checks every request; returns the numbers of those that do not start with the request before."""
    broken: list[int] = []
    for number, messages in enumerate(shown):
        check_request(messages)
        before = [bytes_of(m) for m in shown[number - 1]] if number else []
        if [bytes_of(m) for m in messages][: len(before)] != before:
            broken.append(number)
    return broken


def log(host: str, day: int, lines: int = 24) -> str:
    """A log that tells hosts and days apart, with one line that matters."""
    made = [f"09:{m % 60:02d}:12 INFO {host} GET /health/{day * 37 + m} 200 in {3 + m % 4} ms" for m in range(lines)]
    made[lines * 2 // 3] = f"09:41:12 WARN {host} order {day * 1000 + 7} was charged twice"
    return "\n".join(made)


def asks(text: str) -> dict[str, Any]:
    """The input of an agent."""
    return {"messages": [HumanMessage(text)]}
