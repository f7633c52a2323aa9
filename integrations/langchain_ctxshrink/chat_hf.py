"""A chat model that answers from the compressed KV cache of a local Hugging Face model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from hashlib import sha256
from typing import Annotated, Any, Final

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ChatMessage, ToolMessage, UsageMetadata
from langchain_core.messages.ai import InputTokenDetails
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import ConfigDict, Field, GetPydanticSchema, PrivateAttr
from pydantic_core import core_schema

from ctxshrink.errors import ConfigError, MissingExtraError

try:
    from ctxshrink.kv.asking import Answering
    from ctxshrink.kv.compressor import KVCompressor
    from ctxshrink.kv.context import CompressedContext
    from ctxshrink.kv.conversations import Asked, KVConversations
    from ctxshrink.kv.pool import ContextPool
    from ctxshrink.kv.replies import Reply, sampling
except ImportError as error:
    if (error.name or "").partition(".")[0] not in ("torch", "transformers", "safetensors"):
        raise
    raise MissingExtraError("ChatCompressedHF", "kv") from error

_ROLES: Final = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool", "function": "tool"}
_THOUGHTS: Final = frozenset({"reasoning", "thinking", "redacted_thinking", "tool_use", "tool_call", "function_call"})
"""Blocks that are not said to the model again, or stand elsewhere in a message."""

# Pydantic would look into a dataclass, and copy it.
_AS_IT_IS: Final = GetPydanticSchema(lambda source, _: core_schema.is_instance_schema(source))
_Context = Annotated[CompressedContext, _AS_IT_IS]


class ChatCompressedHF(BaseChatModel):
    """Answers from what a local model has read, compressed.

    With ``context`` every conversation is about that context: only the messages are read, not the context. Without it,
    what comes before the newest turn of a conversation is read once, compressed and kept in the pool; later turns
    extend it, so put documents into the system message or an earlier turn. Where the chat template does not let a
    turn follow compressed messages, the conversation is read as it is, and the answer's metadata says why.

    ``usage_metadata`` counts the tokens of the whole prompt: ``cache_read`` those of the context that had been read
    before, ``cache_creation`` those that were read into it now. ``response_metadata["kv"]`` holds the report: tokens,
    kept, bytes and bytes of the full cache, and why the guardrail let the full cache stand, if it did.

    Answers run in a thread of their own; the async twins in one more. Tools and structured output are not supported.

    Attributes:
        kv: Compresses and answers; with a tokenizer.
        context: What all questions are about; None compresses each conversation's older messages.
        pool: Keeps the contexts of conversations; those that nobody came back to leave first.
        model_name: For traces; default the model's own name.
        max_tokens: Most tokens of an answer.
        temperature: 0 or None is greedy search.
        stop: Strings that end an answer.
        generation_config: How to generate in detail (a ``transformers.GenerationConfig``); with ``temperature``, that
            wins. One with beams streams its answer in one piece.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, protected_namespaces=())

    kv: KVCompressor
    context: _Context | None = None
    pool: ContextPool = Field(default_factory=lambda: ContextPool(2**30))
    model_name: str = ""
    max_tokens: int = Field(default=512, ge=1)
    temperature: float | None = Field(default=None, ge=0)
    stop: list[str] | None = None
    generation_config: Any = None
    _conversations: KVConversations = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Checks the settings now and not at the first answer."""
        super().model_post_init(context)
        if self.kv.tokenizer is None:
            raise ConfigError("ChatCompressedHF needs a tokenizer: KVCompressor(model, tokenizer)")
        if self.context is not None and self.context.batch != 1:
            raise ConfigError(
                f"a context of {self.context.batch} rows cannot be chatted with: compress each text alone"
            )
        if not self.model_name:
            self.model_name = getattr(self.kv.model, "name_or_path", "") or type(self.kv.model).__name__
        self._conversations = KVConversations(self.kv, context=self.context, pool=self.pool)

    @property
    def _llm_type(self) -> str:
        return "ctxshrink-compressed-hf"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        # LangChain's caches of answers go by this: another context is another model.
        found = {"model_name": self.model_name, "kv": repr((self.kv, self.kv.once, self.kv.policy)), "context": None}
        if self.context is not None:
            data = self.context.ids.cpu().numpy().tobytes()
            shape = (self.context.fingerprint, self.context.length, self.context.physical, self.context.nbytes)
            found["context"] = sha256(repr(shape).encode() + data).hexdigest()
        config = None if self.generation_config is None else self.generation_config.to_dict()
        return {**found, "max_tokens": self.max_tokens, "temperature": self.temperature, "generation_config": config}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop or self.stop, **kwargs)
        params["ls_provider"] = "huggingface"
        return params

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        asked, reply = self._reply(messages, stop, kwargs)
        text = reply.text()
        message = AIMessage(
            content=text, usage_metadata=_usage(asked, reply), response_metadata=self._metadata(asked, reply)
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        asked, reply = self._reply(messages, stop, kwargs)
        with closing(reply.pieces()) as pieces:
            for piece in pieces:
                chunk = ChatGenerationChunk(message=AIMessageChunk(content=piece))
                if run_manager is not None:
                    run_manager.on_llm_new_token(piece, chunk=chunk)
                yield chunk
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                content="",
                usage_metadata=_usage(asked, reply),
                response_metadata=self._metadata(asked, reply),
                chunk_position="last",
            )
        )

    def _reply(
        self, messages: Sequence[BaseMessage], stop: list[str] | None, given: dict[str, Any]
    ) -> tuple[Asked, Reply]:
        most, temperature = given.pop("max_tokens", self.max_tokens), given.pop("temperature", self.temperature)
        if given:
            raise ConfigError(f"ChatCompressedHF does not take {', '.join(sorted(given))}")
        asked = self._conversations.asked([as_turn(message) for message in messages])
        config = sampling(self.kv.model, self.generation_config, temperature)
        answering = Answering(self.kv.model, self.kv.tokenizer, most, config)
        return asked, Reply(answering, asked.context, asked.ids, self.stop or [] if stop is None else stop)

    def _metadata(self, asked: Asked, reply: Reply) -> dict[str, Any]:
        return {"model_name": self.model_name, "finish_reason": reply.finish, "kv": asked.figures()}


def as_turn(message: BaseMessage) -> dict[str, Any]:
    """A message as chat templates read it.

    Raises:
        ConfigError: It holds more than text (raised where the template is applied).
    """
    role = message.role if isinstance(message, ChatMessage) else _ROLES.get(message.type, message.type)
    content: Any = message.content
    if isinstance(content, list):
        content = [part for part in content if isinstance(part, str) or part.get("type") not in _THOUGHTS]
    made: dict[str, Any] = {"role": role, "content": content}
    if isinstance(message, AIMessage) and message.tool_calls:
        made["tool_calls"] = [
            {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": call["args"]}}
            for call in message.tool_calls
        ]
    if isinstance(message, ToolMessage):
        made["tool_call_id"] = message.tool_call_id
        if message.name:
            made["name"] = message.name
    return made


def _usage(asked: Asked, reply: Reply) -> UsageMetadata:
    return UsageMetadata(
        input_tokens=asked.tokens,
        output_tokens=reply.tokens,
        total_tokens=asked.tokens + reply.tokens,
        input_token_details=InputTokenDetails(cache_read=asked.reused, cache_creation=asked.created),
    )
