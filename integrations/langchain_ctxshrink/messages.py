"""LangChain messages: a message format for ctxshrink, and `shrink_messages`, which chains like `trim_messages`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias, overload

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    MessageLikeRepresentation,
    SystemMessage,
    ToolMessage,
    convert_to_messages,
)
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable, RunnableLambda

from ctxshrink.errors import FormatError
from ctxshrink.messages import Parsed, Pin, Place
from ctxshrink.messages.anthropic import walk
from ctxshrink.messages.builder import Builder
from ctxshrink.seats import check_goal
from ctxshrink.shrinker import Shrinker
from ctxshrink.types import OnReject

Messages: TypeAlias = Sequence[MessageLikeRepresentation] | PromptValue
"""What LangChain takes for a conversation."""

_LOCK = "ctxshrink_lock"
_CHAT_ROLES = {"human": "user", "ai": "assistant"}


class LangChainFormat:
    """LangChain's `BaseMessage` and its subclasses, with content as text, provider blocks or standard blocks.

    Each message is shown to the Anthropic format as a record whose blocks are at the same positions, which gives
    the segments and their locks; texts are then put back into copies of the LangChain messages.
    """

    name = "langchain"

    def matches(self, messages: Sequence[Any], /) -> bool:
        """True when all are LangChain messages."""
        return all(isinstance(message, BaseMessage) for message in messages)

    def parse(self, messages: Sequence[Any], /, pin: Pin = None) -> Parsed:
        """The conversation as segments; see `ctxshrink.messages.MessageFormat.parse`."""
        builder = self.grow(pin)
        builder.feed(messages)
        return builder.build()

    def grow(self, pin: Pin = None) -> Builder:
        """An empty conversation; see `ctxshrink.messages.GrowingFormat.grow`."""
        return Builder(walk, pin, view=_record, place=_place, lock=_lock)


def locked(message: BaseMessage, reason: str) -> BaseMessage:
    """A copy of a message whose texts this format locks, wherever the message stands.

    Args:
        message: The message.
        reason: Why, for the decisions on its texts.
    """
    return message.model_copy(update={"response_metadata": {**message.response_metadata, _LOCK: reason}})


def _lock(message: BaseMessage) -> str | None:
    return message.response_metadata.get(_LOCK)


def _is_result(message: BaseMessage) -> bool:
    return isinstance(message, ToolMessage | FunctionMessage)


def _role(message: BaseMessage) -> str:
    if isinstance(message, HumanMessage) or _is_result(message):
        return "user"  # Where Anthropic's format has tool results.
    if isinstance(message, AIMessage):
        return "assistant"
    if isinstance(message, SystemMessage):
        return "system"
    if isinstance(message, ChatMessage):
        return _CHAT_ROLES.get(message.role, message.role)
    return message.type


def _record(message: BaseMessage) -> dict[str, Any]:
    """The message as the Anthropic format reads it. Foreign blocks are handed on; they come out locked."""
    extra = message.additional_kwargs
    content = message.content
    blocks: list[Any]
    if _is_result(message):
        inner = content if isinstance(content, str) else [_block(block) for block in content]
        result = {"type": "tool_result", "tool_use_id": getattr(message, "tool_call_id", None), "content": inner}
        blocks = [result | {"is_error": getattr(message, "status", None) == "error"}]
    elif isinstance(content, str):
        blocks = [{"type": "text", "text": content, "citations": extra.get("annotations")}]
    else:
        blocks = [_block(block) for block in content]
    # Text that lives outside the content: after it, so that the content's positions stay.
    blocks += [
        {"type": "thinking", "thinking": extra.get("reasoning_content")},
        {"type": "refusal", "text": extra.get("refusal")},
    ]
    if isinstance(message, AIMessage):
        blocks += _calls(message)
    return {"role": _role(message), "content": blocks, "cache_control": extra.get("cache_control")}


def _block(block: str | dict[Any, Any]) -> Any:
    """A content block; LangChain's standard blocks become the Anthropic ones that are treated alike."""
    if not isinstance(block, dict):
        return block
    if block.get("type") == "reasoning":
        summary = block.get("summary")
        parts = [part.get("text") for part in summary if isinstance(part, Mapping)] if isinstance(summary, list) else []
        text = block.get("reasoning") or "\n".join(part for part in parts if isinstance(part, str))
        return {"type": "thinking", "thinking": text}
    if block.get("type") == "text" and block.get("annotations"):
        return block | {"citations": block["annotations"]}
    return block


def _calls(message: AIMessage) -> list[dict[str, Any]]:
    """The message's tool calls, but for those that its content shows already."""
    shown = {
        block.get("id") for block in message.content if isinstance(block, dict) and block.get("type") == "tool_use"
    }
    calls = [*message.tool_calls, *message.invalid_tool_calls]
    return [
        {"type": "tool_use", "id": call["id"], "name": call["name"], "input": call["args"]}
        for call in calls
        if call["id"] is None or call["id"] not in shown
    ]


def _place(place: Place, message: BaseMessage) -> Place:
    """Where the text is in the LangChain message, given where it is in the record."""
    path = place.path
    if path is not None and _is_result(message):
        path = path[2:]  # Without the tool_result block around the content.
    elif path is not None and isinstance(message.content, str):
        path = ("content",)
    return Place(place.index, path)


@overload
def shrink_messages(
    messages: None = None,
    *,
    query: str | None = None,
    keep: float | None = None,
    max_tokens: int | None = None,
    shrinker: Shrinker | None = None,
    pin: Collection[int] | Callable[[BaseMessage], bool] | None = None,
    on_reject: OnReject | None = None,
    strict: bool = False,
) -> Runnable[Messages, list[BaseMessage]]: ...
@overload
def shrink_messages(
    messages: Messages,
    *,
    query: str | None = None,
    keep: float | None = None,
    max_tokens: int | None = None,
    shrinker: Shrinker | None = None,
    pin: Collection[int] | Callable[[BaseMessage], bool] | None = None,
    on_reject: OnReject | None = None,
    strict: bool = False,
) -> list[BaseMessage]: ...
def shrink_messages(
    messages: Messages | None = None,
    *,
    query: str | None = None,
    keep: float | None = None,
    max_tokens: int | None = None,
    shrinker: Shrinker | None = None,
    pin: Collection[int] | Callable[[BaseMessage], bool] | None = None,
    on_reject: OnReject | None = None,
    strict: bool = False,
) -> list[BaseMessage] | Runnable[Messages, list[BaseMessage]]:
    """Shrink a conversation: instructions, tool calls and recent turns exact, older turns harder.

    Use ``Shrinker(...).shrink_messages(messages, ...)`` where the report is wanted beside the messages.

    Args:
        messages: Messages or what LangChain converts to messages, a prompt value included. Without them the call
            returns a Runnable for chains: ``prompt | shrink_messages(keep=0.5) | model``.
        query: What the next answer is about, if it is not in the recent turns.
        keep: Share of the unlocked tokens to keep, in (0, 1].
        max_tokens: Most tokens of the text of all messages; give this or ``keep``.
        shrinker: Does the work; default `Shrinker()`.
        pin: Messages that must stay exact: their positions (negative from the end), or a test.
        on_reject: See `ctxshrink.Shrinker.shrink_text`.
        strict: See `ctxshrink.Shrinker.shrink_text`.

    Returns:
        As many messages as came in, in order, with their ids, tool calls and metadata.

    Raises:
        FormatError: Something is not a message.
        ConfigError: A setting is wrong.
    """
    check_goal(keep, max_tokens)
    used = Shrinker() if shrinker is None else shrinker
    settings: dict[str, Any] = {
        "query": query,
        "keep": keep,
        "max_tokens": max_tokens,
        "pin": pin,
        "on_reject": on_reject,
        "strict": strict,
    }

    def run(given: Messages) -> list[BaseMessage]:
        return used.shrink_messages(_converted(given), **settings).output

    async def arun(given: Messages) -> list[BaseMessage]:
        return (await used.ashrink_messages(_converted(given), **settings)).output

    return RunnableLambda(run, afunc=arun, name="shrink_messages") if messages is None else run(messages)


def _converted(messages: Messages) -> list[BaseMessage]:
    if isinstance(messages, str | Mapping):
        raise FormatError(f"messages must be a list of messages; got {type(messages).__name__}")
    try:
        return convert_to_messages(messages)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise FormatError(f"LangChain cannot read these as messages ({type(error).__name__})") from error
