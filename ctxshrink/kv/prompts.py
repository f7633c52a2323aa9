"""How a context becomes token ids, and how a question follows one of which only the ids are left.

Text is encoded as it is, with the tokenizer's own special tokens in front; a question is put behind it in a frame.
Messages go through the tokenizer's chat template, and what a question looks like behind them is read off a short
stand-in conversation that ends the same way, so that the original is not needed again. What comes out is, token for
token, what the template makes of the whole conversation; where a template does not allow that, a `ConfigError` says so.

Neither escapes the names of special tokens inside a text: clean what strangers wrote.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, cast

import torch
from torch import Tensor

from ctxshrink.errors import ConfigError

__all__ = ["FRAME", "Message", "PromptKind", "added_ids", "context_ids", "prompt_ids", "question_ids", "template_hash"]

PromptKind: TypeAlias = Literal["text", "messages"]
Message: TypeAlias = Mapping[str, Any]
"""``{"role": …, "content": …}``, as chat templates read it; the content is a string or a list of text parts."""

FRAME: Final = "\n\nQuestion: {question}\nAnswer:"
"""What a question about a text is put into."""

_PROBE: Final[Message] = {"role": "user", "content": "Why?"}
_TAIL: Final = 64
"""Last ids of a context that tell the stand-ins apart."""


def _stand_in(roles: str) -> list[Message]:
    names = {"s": "system", "u": "user", "a": "assistant"}
    return [{"role": names[role], "content": "Yes."} for role in roles]


_STAND_INS: Final = [_stand_in(roles) for roles in ("ua", "sua", "su", "s", "u", "sau", "uau")]
"""Conversations that end in each way; templates differ in which they allow, and some open a turn by what was before."""


def context_ids(tokenizer: Any, context: str | Sequence[Message]) -> tuple[Tensor, PromptKind]:
    """The ids of what is to be compressed, without anything that belongs to a question.

    Args:
        tokenizer: A Hugging Face tokenizer.
        context: Text, or messages for the chat template.

    Returns:
        Ids, int64, shape (1, n), n >= 1, and which of the two it was.

    Raises:
        ConfigError: It is empty, or the tokenizer has no chat template, or the template refuses the messages or cannot
            put a question behind them without changing them.
    """
    if isinstance(context, str):
        ids = _plain(tokenizer, context)
        if not ids:
            raise ConfigError("the context is empty: there is nothing to compress")
        return _tensor(ids), "text"
    messages = _checked(context)
    if not messages:
        raise ConfigError("the context has no messages: there is nothing to compress")
    whole = _render(tokenizer, [*messages, _PROBE], generate=True)
    return _tensor(_without_question(tokenizer, whole)), "messages"


def prompt_ids(tokenizer: Any, messages: Sequence[Message]) -> Tensor:
    """The ids of a whole conversation, up to where the answer starts: what a model reads without a context before it.

    Args:
        tokenizer: A Hugging Face tokenizer with a chat template.
        messages: The messages, at least one.

    Returns:
        Ids, int64, shape (1, n).

    Raises:
        ConfigError: There are none, or the tokenizer has no chat template, or it refuses them.
    """
    return _tensor(_render(tokenizer, _turns(_checked(messages)), generate=True))


def question_ids(
    tokenizer: Any,
    kind: PromptKind,
    question: str | Sequence[Message],
    *,
    before: Tensor | None = None,
    frame: str = FRAME,
) -> Tensor:
    """The ids of a question behind a context, up to where the answer starts.

    Args:
        tokenizer: The tokenizer that made the context's ids.
        kind: What the context is, from `context_ids`.
        question: The question; or messages, the last of them the question, with what was asked and answered before.
        before: The last ids of the context, shape (…, n); they tell how its last turn ended, where that matters.
        frame: For text: where ``{question}`` stands, with the words around it.

    Returns:
        Ids, int64, shape (1, q).

    Raises:
        ConfigError: The question is empty, the frame has no ``{question}``, or as in `context_ids`.
    """
    turns = _turns(question)
    if kind == "messages":
        return _tensor(_behind(tokenizer, turns, _last(before)))
    if "{question}" not in frame:
        raise ConfigError(f'the frame of a question must hold "{{question}}"; got {frame!r}')
    return _tensor(_fragment(tokenizer, _framed(turns, frame)))


def added_ids(
    tokenizer: Any, kind: PromptKind, more: str | Sequence[Message], *, before: Tensor | None = None
) -> Tensor:
    """The ids of new turns that go behind a context and become part of it.

    Args:
        tokenizer: The tokenizer that made the context's ids.
        kind: What the context is.
        more: For text: text. For messages: messages, or a string, which is a user's.
        before: The last ids of the context.

    Returns:
        Ids, int64, shape (1, n).

    Raises:
        ConfigError: There is nothing to add, messages are added to text, or as in `context_ids`.
    """
    if kind == "messages":
        whole = _behind(tokenizer, [*_turns(more), _PROBE], _last(before))
        return _tensor(_without_question(tokenizer, whole))
    if not isinstance(more, str):
        raise ConfigError("the context was made of text, and messages cannot follow it: extend it with text")
    if not more:
        raise ConfigError("there is nothing to extend the context with: the text is empty")
    return _tensor(_fragment(tokenizer, more))


def template_hash(tokenizer: Any) -> str:
    """SHA-256 of the chat template and of the special tokens that it may name; the same for equal ones anywhere."""
    named = {k: str(v) for k, v in sorted(tokenizer.special_tokens_map.items()) if isinstance(v, str)}
    data = json.dumps([tokenizer.chat_template, named], sort_keys=True, default=str)
    return hashlib.sha256(data.encode("utf-8", "surrogatepass")).hexdigest()


def _plain(tokenizer: Any, text: str) -> list[int]:
    """The tokenizer's encoding, with its first special tokens once and without those that end a text."""
    bare = _encode(tokenizer, text, special=False)
    full = _encode(tokenizer, text, special=True)
    extra = len(full) - len(bare)
    opening = next((n for n in range(extra + 1) if full[n : n + len(bare)] == bare), 0) if bare else extra
    first, bos = full[:opening], tokenizer.bos_token_id
    if first and first[-1] == bos and bare[:1] == [bos]:  # the text has it written out
        first = first[:-1]
    return [*first, *bare] if bare else []


def _fragment(tokenizer: Any, text: str) -> list[int]:
    """Text in the middle of a text: some tokenizers put a space before what they take for the start of one."""
    anchor = _encode(tokenizer, "a", special=False)
    joined = _encode(tokenizer, "a" + text, special=False)
    return joined[len(anchor) :] if joined[: len(anchor)] == anchor else _encode(tokenizer, text, special=False)


def _encode(tokenizer: Any, text: str, *, special: bool) -> list[int]:
    return [int(i) for i in tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"]]


def _framed(turns: Sequence[Message], frame: str) -> str:
    """Questions and answers about a text; what is neither stands on its own."""
    text = ""
    for turn in turns:
        role, said = turn["role"], _text(turn)
        if role == "user":
            text += frame.replace("{question}", said)
        else:
            text += f" {said}" if role == "assistant" else f"\n\n{said}"
    return text


def _without_question(tokenizer: Any, whole: list[int]) -> list[int]:
    """The ids before a probing question, where asking behind them later gives the same ids again."""
    for found, _ in _candidates(tokenizer, [_PROBE]):
        front = whole[: -len(found)]
        if front and whole[len(front) :] == found and _behind(tokenizer, [_PROBE], front) == found:
            return front
    raise ConfigError(
        "the chat template changes earlier messages when a question follows (it may move the system message into the "
        "newest user turn), so they cannot be compressed before it: put the instructions into the first user message, "
        "or give the context as text"
    )


def _behind(tokenizer: Any, turns: Sequence[Message], tail: Sequence[int]) -> list[int]:
    """What the template makes of some turns behind a conversation that ends with the ids `tail`."""
    best, most = list[int](), -1
    for found, before in _candidates(tokenizer, turns):
        same = 0
        while same < min(len(before), len(tail)) and before[-1 - same] == tail[-1 - same]:
            same += 1
        if same > most:
            best, most = found, same
    if not best:
        raise ConfigError(
            "the chat template puts these messages behind no conversation without changing it: check their roles and "
            "their order, or give the context as text"
        )
    return best


def _candidates(tokenizer: Any, turns: Sequence[Message]) -> list[tuple[list[int], list[int]]]:
    """For each stand-in that allows it: the ids of the turns behind it, and its own."""
    found: list[tuple[list[int], list[int]]] = []
    refused: ConfigError | None = None
    for messages in _STAND_INS:
        try:
            before = _render(tokenizer, messages, generate=False)
            whole = _render(tokenizer, [*messages, *turns], generate=True)
        except ConfigError as error:
            refused = refused or error
            continue
        if before and len(whole) > len(before) and whole[: len(before)] == before:
            found.append((whole[len(before) :], before))
    if not found and refused is not None:
        raise refused
    return found


def _render(tokenizer: Any, messages: Sequence[Message], *, generate: bool) -> list[int]:
    if not getattr(tokenizer, "chat_template", None):
        raise ConfigError(
            "the tokenizer has no chat template: give the context as text, or set tokenizer.chat_template"
        )
    import jinja2

    try:
        # Not tokenize=True: its return type changed between releases. The template writes the special tokens itself.
        text = tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=generate)
    except (jinja2.TemplateError, TypeError, ValueError, KeyError, AttributeError) as error:
        roles = ", ".join(str(message["role"]) for message in messages)
        raise ConfigError(
            f"the chat template refuses messages of these roles: {roles} ({error}). Where it wants user and assistant "
            "in turn, end the context with an assistant's message"
        ) from error
    return _encode(tokenizer, text, special=False)


def _turns(question: str | Sequence[Message]) -> list[Message]:
    turns = [{"role": "user", "content": question}] if isinstance(question, str) else _checked(question)
    if not turns or (isinstance(question, str) and not question.strip()):
        raise ConfigError("there is no question: it is empty")
    return cast("list[Message]", turns)


def _checked(messages: Sequence[Message]) -> list[Message]:
    """The messages with their contents as strings.

    Raises:
        ConfigError: One is no message, or holds more than text.
    """
    made: list[Message] = []
    for index, message in enumerate(messages):
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f'message {index}: a dict with "role" and "content" is needed')
        made.append({**message, "content": _text(message, index)})
    return made


def _text(message: Message, index: int = 0) -> str:
    content: object = message.get("content")
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    texts: list[str] = []
    for part in cast("list[object]", content) if isinstance(content, list) else [content]:
        text: object = part
        if isinstance(part, Mapping):
            fields = cast("Mapping[str, object]", part)
            text = fields.get("text") if fields.get("type", "text") == "text" else None
        if not isinstance(text, str):
            raise ConfigError(f"message {index}: its content must be text; other kinds of content cannot be compressed")
        texts.append(text)
    return "\n".join(texts)


def _last(before: Tensor | None) -> list[int]:
    return [] if before is None else [int(i) for i in before.reshape(-1)[-_TAIL:]]


def _tensor(ids: Sequence[int]) -> Tensor:
    return torch.tensor([list(ids)], dtype=torch.long)
