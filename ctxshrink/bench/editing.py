"""LangChain's own ways of making a conversation shorter, as strategies of the cache benchmark."""

from __future__ import annotations

from typing import Any

from ctxshrink.errors import MissingExtraError
from ctxshrink.providers import CacheRules

from .cache import SHARE, Messages, Strategy, View

try:
    from langchain.agents.middleware import ClearToolUsesEdit
    from langchain_core.messages import convert_to_messages, trim_messages  # pyright: ignore[reportUnknownVariableType]
    from langchain_core.messages.utils import count_tokens_approximately
except ImportError as error:
    raise MissingExtraError("the cache benchmark compares with LangChain", "bench") from error


def clear_tool_uses(trigger: int | None) -> Strategy:
    """`ClearToolUsesEdit` with its own defaults but the trigger; None: half of the full conversation."""

    def start(whole: Messages, _: CacheRules) -> View:
        at = _part(whole, SHARE) if trigger is None else trigger

        def view(messages: Messages) -> Messages:
            before = _converted(messages)
            after = list(before)
            ClearToolUsesEdit(trigger=at).apply(after, count_tokens=count_tokens_approximately)
            pairs = zip(messages, before, after, strict=True)
            return [m if new is old else {**m, "content": new.content} for m, old, new in pairs]

        return view

    return Strategy(start)


def trim(share: float = SHARE) -> Strategy:
    """`trim_messages` to a share of the full conversation: the newest messages, with the system message."""

    def start(whole: Messages, _: CacheRules) -> View:
        budget = _part(whole, share)

        def view(messages: Messages) -> Messages:
            left = trim_messages(
                _converted(messages),
                max_tokens=budget,
                token_counter=count_tokens_approximately,
                include_system=True,
                start_on=("human", "ai"),
            )
            kept = {m.id for m in left}
            return [m for i, m in enumerate(messages) if str(i) in kept]

        return view

    return Strategy(start)


def _part(messages: Messages, share: float) -> int:
    return int(share * count_tokens_approximately(_converted(messages)))


def _converted(messages: Messages) -> list[Any]:
    made = convert_to_messages(messages)
    for index, message in enumerate(made):
        message.id = str(index)
    return made
