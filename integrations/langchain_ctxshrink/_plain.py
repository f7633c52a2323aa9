"""Messages as a conversation reads them: without marks that come and go, and with the originals of tool results."""

from __future__ import annotations

from typing import Any, Final

from langchain_core.messages import BaseMessage

from ctxshrink.types import Segment

_MARK: Final = "cache_control"
_BORN: Final = "ctxshrink_born"


def plain(message: BaseMessage) -> BaseMessage:
    """The message as it was before a caching middleware marked it: no ``cache_control``, one block of text as text."""
    content: Any = message.content
    update: dict[str, Any] = {}
    if isinstance(content, list):
        blocks = [_unmarked(block) for block in content]
        if len(blocks) == 1 and isinstance(blocks[0], dict) and blocks[0].keys() == {"type", "text"}:
            update["content"] = blocks[0]["text"]
        elif any(mine is not given for mine, given in zip(blocks, content, strict=True)):
            update["content"] = blocks
    if _MARK in message.additional_kwargs:
        update["additional_kwargs"] = {k: v for k, v in message.additional_kwargs.items() if k != _MARK}
    return message.model_copy(update=update) if update else message


def dressed(given: BaseMessage, made: BaseMessage) -> BaseMessage:
    """The message as it was given, marks included, with the content that came out.

    Args:
        given: The message of the request.
        made: What became of its plain form.
    """
    stripped = plain(given)
    if made.content == stripped.content:
        return given
    if stripped.content == given.content:
        return given.model_copy(update={"content": made.content})
    before: Any = given.content
    after: Any = [{"type": "text", "text": made.content}] if isinstance(made.content, str) else made.content
    content = [_marked(block, old) for block, old in zip(after, before, strict=True)]
    return given.model_copy(update={"content": content})


def unborn(message: BaseMessage, content: Any) -> BaseMessage:
    """A message as it was before it was shrunk, with a note of what it came out as.

    Args:
        message: The shrunk message.
        content: What it held before.
    """
    metadata = {**message.response_metadata, _BORN: message.content}
    return message.model_copy(update={"content": content, "response_metadata": metadata})


def born(segment: Segment, message: Any) -> str | None:
    """What a text of an `unborn` message came out as; None for texts of other messages. A `ctxshrink.prefix` hook."""
    content = message.response_metadata.get(_BORN)
    if content is None or isinstance(content, str):
        return content
    index = int(segment.id.rpartition(".")[2])  # Of the block; ids end with it where the content is a list.
    block = content[index]
    return block if isinstance(block, str) else block.get("text")


def _unmarked(block: Any) -> Any:
    if not isinstance(block, dict) or _MARK not in block:
        return block
    return {key: value for key, value in block.items() if key != _MARK}


def _marked(block: Any, old: Any) -> Any:
    return {**block, _MARK: old[_MARK]} if isinstance(old, dict) and _MARK in old and isinstance(block, dict) else block
