"""Language models as distillation sees them: an instruction and a text in, a text out.

`as_llm` makes one of a LangChain chat model, of a LlamaIndex language model, or takes one as it is; `OpenAIEndpoint` is
one for any server with OpenAI's chat completions. Retries, rates and costs are not theirs: see `Limits`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from ctxshrink._http import JsonClient
from ctxshrink.errors import ConfigError, EndpointError
from ctxshrink.tokens import well_formed

__all__ = ["LLM", "Completion", "LangChainLLM", "LlamaIndexLLM", "OpenAIEndpoint", "as_llm"]

_OVERHEAD = 1 << 20
_TOKEN_BYTES = 64
"""Most bytes of an answer per token that was asked for; what a model thinks aloud counts towards the overhead."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What a language model answered.

    Attributes:
        text: The answer; "" where it gave none.
        input_tokens: Tokens of what it was asked, as it counted them; None where it does not say.
        output_tokens: Tokens of its answer, likewise.
    """

    text: str
    input_tokens: int | None = None
    output_tokens: int | None = None


@runtime_checkable
class LLM(Protocol):
    """A language model. Called from several threads."""

    @property
    def name(self) -> str:
        """The model's id; stands in recipes, so never an address, a path or a secret."""
        ...

    def complete(self, system: str, user: str, /, *, max_tokens: int) -> Completion:
        """One answer.

        Args:
            system: The instruction.
            user: What it is applied to.
            max_tokens: Most tokens of the answer.

        Raises:
            Exception: There is none. Another try is made after a `ctxshrink.errors.EndpointError` with ``transient``,
                a time-out, a lost connection, and errors that carry a status of 408, 425, 429 or 5xx, as those of
                the openai, anthropic and httpx packages do.
        """
        ...


class OpenAIEndpoint:
    """A model behind a server with OpenAI's chat completions: OpenAI, vLLM, llama.cpp, Ollama and many others.

    Fields that are used: ``POST …/chat/completions`` with ``model``, ``messages`` (of the roles ``system`` and
    ``user``), the bound on the answer and ``temperature``; of the answer ``choices[0].message.content`` and, where
    there is one, ``usage`` with ``prompt_tokens`` and ``completion_tokens``. Texts leave this machine: they go to
    ``url`` and nowhere else (redirects are not followed, proxies of the environment are not used). Nothing is sent
    before the first call.

    Args:
        url: Address of the API, such as ``https://api.openai.com/v1``. ``/v1`` is added where it has no path.
        model: The model's name.
        api_key: Sent as a bearer token; it stands in no representation and no error.
        timeout: Seconds for one request, from the connection to the last byte.
        temperature: 0 for the answer that is most likely; None leaves it to the server: some models refuse it.
        max_tokens_field: What the bound on the answer is called; newer models of OpenAI want
            ``max_completion_tokens``.

    Raises:
        ConfigError: An argument is wrong.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        api_key: str | None = None,
        timeout: float = 60.0,
        temperature: float | None = 0.0,
        max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens",
    ) -> None:
        if not model:
            raise ConfigError("model must be the name of a model that the server has")
        if max_tokens_field not in ("max_tokens", "max_completion_tokens"):
            raise ConfigError(
                f'max_tokens_field must be "max_tokens" or "max_completion_tokens"; got {max_tokens_field!r}'
            )
        base = url.rstrip("/").removesuffix("/chat/completions")
        # The one layer of retries is that of the distiller, which also counts them.
        client = JsonClient(base, api_key, timeout, retries=0)
        has_path = "/" in base.partition("://")[2]
        self.name = model
        self._client = client if has_path else JsonClient(base + "/v1", api_key, timeout, retries=0)
        self._temperature, self._field = temperature, max_tokens_field

    def __repr__(self) -> str:
        return f"OpenAIEndpoint({self._client.base!r}, {self.name!r})"

    def complete(self, system: str, user: str, /, *, max_tokens: int) -> Completion:
        """One answer; see `LLM`.

        Raises:
            EndpointError: There is none; the message shows neither the key nor the text.
        """
        body: dict[str, Any] = {
            "model": self.name,
            "messages": [
                {"role": "system", "content": well_formed(system)},
                {"role": "user", "content": well_formed(user)},
            ],
            self._field: max_tokens,
        }
        if self._temperature is not None:
            body["temperature"] = self._temperature
        path = "/chat/completions"
        answer = self._client.post(path, body, most=_OVERHEAD + _TOKEN_BYTES * max_tokens, quiet=True)
        try:
            content: object = answer["choices"][0]["message"].get("content")
        except (AttributeError, IndexError, KeyError, TypeError):
            raise EndpointError(f"{self._client.base}{path}: the answer has no choices", transient=True) from None
        usage: Any = answer.get("usage")
        text = content if isinstance(content, str) else ""
        return Completion(text, _count(usage, "prompt_tokens"), _count(usage, "completion_tokens"))


class LangChainLLM:
    """A chat model of LangChain.

    Args:
        model: Any ``BaseChatModel``. Set its own ``max_retries`` to 0: the distiller retries, and counts.
        name: Its id in recipes; None asks the model for it.
        max_tokens_field: Argument of its ``invoke`` that bounds the answer; None where it has none.
    """

    def __init__(self, model: Any, *, name: str | None = None, max_tokens_field: str | None = "max_tokens") -> None:
        self._model, self._field = model, max_tokens_field
        self.name = name or _model_id(model, ("model_name", "model", "model_id", "_llm_type"))

    def __repr__(self) -> str:
        return f"LangChainLLM({self.name!r})"

    def complete(self, system: str, user: str, /, *, max_tokens: int) -> Completion:
        """One answer; see `LLM`."""
        from langchain_core.messages import HumanMessage, SystemMessage

        bound: dict[str, Any] = {} if self._field is None else {self._field: max_tokens}
        message: Any = self._model.invoke([SystemMessage(system), HumanMessage(user)], **bound)
        usage: Any = getattr(message, "usage_metadata", None) or {}
        return Completion(str(message.text), _count(usage, "input_tokens"), _count(usage, "output_tokens"))


class LlamaIndexLLM:
    """A language model of LlamaIndex.

    Args:
        model: Any ``llama_index.core.llms.LLM``. Set its own ``max_retries`` to 0: the distiller retries, and counts.
        name: Its id in recipes; None asks the model for it.
        max_tokens_field: Argument of its ``chat`` that bounds the answer; None where it has none.
    """

    def __init__(self, model: Any, *, name: str | None = None, max_tokens_field: str | None = "max_tokens") -> None:
        self._model, self._field = model, max_tokens_field
        stated = getattr(getattr(model, "metadata", None), "model_name", "")
        # LlamaIndex's own default where a model does not say.
        self.name = name or (_last(stated) if stated and stated != "unknown" else _model_id(model, ("model",)))

    def __repr__(self) -> str:
        return f"LlamaIndexLLM({self.name!r})"

    def complete(self, system: str, user: str, /, *, max_tokens: int) -> Completion:
        """One answer; see `LLM`."""
        from llama_index.core.base.llms.types import ChatMessage, MessageRole

        asked = [ChatMessage(role=MessageRole.SYSTEM, content=system), ChatMessage(role=MessageRole.USER, content=user)]
        bound: dict[str, Any] = {} if self._field is None else {self._field: max_tokens}
        answer: Any = self._model.chat(asked, **bound)
        usage: Any = answer.additional_kwargs or {}
        text = answer.message.content or ""
        return Completion(str(text), _count(usage, "prompt_tokens"), _count(usage, "completion_tokens"))


def as_llm(model: object) -> LLM:
    """A language model of whatever was given.

    Args:
        model: An `LLM`, a LangChain ``BaseChatModel`` or a LlamaIndex ``LLM``.

    Raises:
        ConfigError: It is none of them.
    """
    families = {kind.__module__.partition(".")[0] for kind in type(model).__mro__}
    if "langchain_core" in families and hasattr(model, "bind_tools"):
        return LangChainLLM(model)
    if "llama_index" in families and hasattr(model, "chat"):
        return LlamaIndexLLM(model)
    if isinstance(model, LLM) and isinstance(model.name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        return model
    raise ConfigError(
        f"llm must be an OpenAIEndpoint, a LangChain chat model, a LlamaIndex LLM or have name and complete; got "
        f"{type(model).__name__}"
    )


def _model_id(model: object, places: tuple[str, ...]) -> str:
    stated = (getattr(model, place, None) for place in places)
    return next((_last(s) for s in stated if isinstance(s, str) and s), type(model).__name__)


def _last(name: str) -> str:
    """A model's id; of a path of this machine the last part alone."""
    return name.rstrip("/\\").replace("\\", "/").rpartition("/")[2] if name.startswith(("/", ".", "~", "\\")) else name


def _count(usage: Any, name: str) -> int | None:
    value = usage.get(name) if isinstance(usage, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
