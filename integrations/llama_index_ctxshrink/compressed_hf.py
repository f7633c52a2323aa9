"""A LlamaIndex LLM that answers from the compressed KV cache of a local Hugging Face model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import closing
from typing import Annotated, Any, Final, TypeVar

from llama_index.core.base.llms.generic_utils import messages_to_prompt
from llama_index.core.base.llms.types import (
    CachePoint,
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.bridge.pydantic import ConfigDict, Field, PrivateAttr
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.custom import CustomLLM
from pydantic import GetPydanticSchema
from pydantic_core import core_schema

from ctxshrink.errors import ConfigError, MissingExtraError

try:
    from ctxshrink.kv.asking import Answering
    from ctxshrink.kv.compressor import KVCompressor
    from ctxshrink.kv.context import CompressedContext
    from ctxshrink.kv.conversations import Asked, KVConversations
    from ctxshrink.kv.pool import ContextPool
    from ctxshrink.kv.prompts import context_ids
    from ctxshrink.kv.replies import Reply, sampling
except ImportError as error:
    if (error.name or "").partition(".")[0] not in ("torch", "transformers", "safetensors"):
        raise
    raise MissingExtraError("CompressedHuggingFaceLLM", "kv") from error

_T = TypeVar("_T")
_WINDOW: Final = 4096
"""Tokens that a model whose configuration does not say is taken to read."""
# Pydantic would look into a dataclass, and copy it.
_AS_IT_IS: Final = GetPydanticSchema(lambda source, _: core_schema.is_instance_schema(source))
_Context = Annotated[CompressedContext, _AS_IT_IS]


class CompressedHuggingFaceLLM(CustomLLM):
    """Answers from what a local model has read, compressed; in query and chat engines.

    With ``context`` every prompt is about that context: only the prompt is read, not the context. Without it, ``chat``
    compresses what comes before the newest turn, keeps it in the pool and extends it later, and ``complete`` reads its
    prompt as it is, as a user's message where the tokenizer has a chat template.

    ``raw`` of a response holds ``usage`` (tokens of the prompt, those that had been read before, tokens of the answer),
    ``finish_reason`` and ``kv``, the report.

    Attributes:
        kv: Compresses and answers; with a tokenizer.
        context: What all prompts are about.
        pool: Keeps the contexts of conversations; those that nobody came back to leave first.
        model_name: Default the model's own name.
        max_tokens: Most tokens of an answer.
        temperature: 0 or None is greedy search.
        stop: Strings that end an answer.
        generation_config: How to generate in detail (a ``transformers.GenerationConfig``); with ``temperature``, that
            wins.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, protected_namespaces=())

    kv: KVCompressor = Field(exclude=True)
    context: _Context | None = Field(default=None, exclude=True)
    pool: ContextPool = Field(default_factory=lambda: ContextPool(2**30), exclude=True)
    model_name: str = ""
    max_tokens: int = Field(default=512, ge=1)
    temperature: float | None = Field(default=None, ge=0)
    stop: list[str] = Field(default_factory=list)
    generation_config: Any = Field(default=None, exclude=True)
    _conversations: KVConversations = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Checks the settings now and not at the first answer."""
        super().model_post_init(context)
        if self.kv.tokenizer is None:
            raise ConfigError("CompressedHuggingFaceLLM needs a tokenizer: KVCompressor(model, tokenizer)")
        if self.context is not None and self.context.batch != 1:
            raise ConfigError(f"a context of {self.context.batch} rows has no single answer: compress each text alone")
        if not self.model_name:
            self.model_name = getattr(self.kv.model, "name_or_path", "") or type(self.kv.model).__name__
        self._conversations = KVConversations(self.kv, context=self.context, pool=self.pool)

    @classmethod
    def class_name(cls) -> str:
        """The name that LlamaIndex serializes the component under."""
        return "CompressedHuggingFaceLLM"

    @property
    def metadata(self) -> LLMMetadata:
        """What prompts may be: the context's tokens are taken from the window."""
        window = int(getattr(self.kv.model.config, "max_position_embeddings", None) or _WINDOW)
        used = 0 if self.context is None else self.context.length
        return LLMMetadata(
            context_window=max(window - used, self.max_tokens + 1),
            num_output=self.max_tokens,
            is_chat_model=self._chats,
            model_name=self.model_name,
        )

    @property
    def _chats(self) -> bool:
        about_text = self.context is not None and self.context.prompt == "text"
        return about_text or bool(getattr(self.kv.tokenizer, "chat_template", None))

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """An answer to a prompt.

        Args:
            prompt: The prompt.
            formatted: Whether it is the whole of what the model is to read, not to be put into the chat template.
            kwargs: ``max_tokens``, ``temperature`` and ``stop`` for this call.
        """
        asked = self._prompted(prompt, formatted=formatted)
        reply = self._reply(asked, kwargs)
        return CompletionResponse(text=reply.text(), raw=_raw(asked, reply))

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        """The same in pieces, as they are generated."""
        asked = self._prompted(prompt, formatted=formatted)
        reply = self._reply(asked, kwargs)

        def gen() -> CompletionResponseGen:
            for text, delta, raw in _growing(asked, reply):
                yield CompletionResponse(text=text, delta=delta, raw=raw)

        return gen()

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """An answer to a conversation.

        Args:
            messages: The conversation.
            kwargs: As of `complete`.
        """
        asked = self._talked(messages)
        reply = self._reply(asked, kwargs)
        message = ChatMessage(role=MessageRole.ASSISTANT, content=reply.text())
        return ChatResponse(message=message, raw=_raw(asked, reply))

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """The same in pieces, as they are generated."""
        asked = self._talked(messages)
        reply = self._reply(asked, kwargs)

        def gen() -> ChatResponseGen:
            for text, delta, raw in _growing(asked, reply):
                message = ChatMessage(role=MessageRole.ASSISTANT, content=text)
                yield ChatResponse(message=message, delta=delta, raw=raw)

        return gen()

    # The base class's twins would block the event loop.
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """The async twin of `complete`; works in a thread."""
        return await asyncio.to_thread(self.complete, prompt, formatted, **kwargs)

    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseAsyncGen:
        """The async twin of `stream_complete`; works in threads."""
        return _hopping(await asyncio.to_thread(self.stream_complete, prompt, formatted, **kwargs))

    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """The async twin of `chat`; works in a thread."""
        return await asyncio.to_thread(self.chat, messages, **kwargs)

    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        """The async twin of `stream_chat`; works in threads."""
        return _hopping(await asyncio.to_thread(self.stream_chat, messages, **kwargs))

    def _prompted(self, prompt: str, *, formatted: bool) -> Asked:
        if self.context is None and (formatted or not self._chats):
            return Asked(None, context_ids(self.kv.tokenizer, prompt)[0], reason="a prompt is read as it is")
        return self._conversations.asked([{"role": "user", "content": prompt}])

    def _talked(self, messages: Sequence[ChatMessage]) -> Asked:
        if self._chats:
            return self._conversations.asked([as_turn(message) for message in messages])
        render = self.messages_to_prompt or messages_to_prompt
        return self._prompted(render(messages), formatted=True)

    def _reply(self, asked: Asked, given: dict[str, Any]) -> Reply:
        most, stop = given.pop("max_tokens", self.max_tokens), given.pop("stop", self.stop)
        temperature = given.pop("temperature", self.temperature)
        if given:
            raise ConfigError(f"CompressedHuggingFaceLLM does not take {', '.join(sorted(given))}")
        config = sampling(self.kv.model, self.generation_config, temperature)
        return Reply(Answering(self.kv.model, self.kv.tokenizer, most, config), asked.context, asked.ids, stop or ())


def as_turn(message: ChatMessage) -> dict[str, Any]:
    """A message as chat templates read it; blocks other than text are refused where the template is applied."""
    parts: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    for block in message.blocks:
        if isinstance(block, TextBlock):
            parts.append({"type": "text", "text": block.text})
        elif isinstance(block, ToolCallBlock):
            function = {"name": block.tool_name, "arguments": block.tool_kwargs}
            calls.append({"id": block.tool_call_id, "type": "function", "function": function})
        elif not isinstance(block, ThinkingBlock | CachePoint):
            parts.append({"type": str(getattr(block, "block_type", "block"))})
    role = message.role.value if isinstance(message.role, MessageRole) else str(message.role)
    made: dict[str, Any] = {"role": role, "content": parts}
    if calls:
        made["tool_calls"] = calls
    for name in ("name", "tool_call_id"):
        if isinstance(message.additional_kwargs.get(name), str):
            made[name] = message.additional_kwargs[name]
    return made


def _growing(asked: Asked, reply: Reply) -> Generator[tuple[str, str, dict[str, Any] | None], None, None]:
    """Text so far, what is new of it, and at the end what there is to say about it."""
    text = ""
    with closing(reply.pieces()) as pieces:
        for piece in pieces:
            text += piece
            yield text, piece, None
    yield text, "", _raw(asked, reply)


def _raw(asked: Asked, reply: Reply) -> dict[str, Any]:
    usage = {
        "prompt_tokens": asked.tokens,
        "cached_tokens": asked.reused,
        "completion_tokens": reply.tokens,
        "total_tokens": asked.tokens + reply.tokens,
    }
    return {"usage": usage, "finish_reason": reply.finish, "kv": asked.figures()}


async def _hopping(items: Generator[_T, None, None]) -> AsyncGenerator[_T, None]:
    """A generator whose steps are taken in threads."""
    done = object()
    try:
        while (item := await asyncio.to_thread(next, items, done)) is not done:
            yield item  # pyright: ignore[reportReturnType]
    finally:
        await asyncio.to_thread(items.close)
