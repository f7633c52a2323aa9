"""LangChain's vocabulary for sizes, and what a request has beside its messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

from langchain_core.messages import BaseMessage, SystemMessage
from langchain_core.utils.function_calling import convert_to_openai_tool

from ctxshrink._lru import LruCache, digest
from ctxshrink.errors import ConfigError
from ctxshrink.messages.checks import to_json
from ctxshrink.messages.parsed import texts_of
from ctxshrink.types import TokenCounter

Trigger: TypeAlias = tuple[Literal["tokens", "messages", "fraction"], float]
"""When to begin: from so many tokens or messages of a request on, or from a share of the model's window on."""

Limit: TypeAlias = int | tuple[Literal["tokens", "fraction"], float]
"""Most tokens of a request: a number, or a share of the model's window."""


class NoProfileError(LookupError):
    """A share was asked for, of a model that does not say how large its window is."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """The checked sizes of a middleware.

    Attributes:
        triggers: Any of them begins; () begins at once.
        limit: Most tokens of a request, if there is a limit.
    """

    triggers: tuple[Trigger, ...]
    limit: tuple[str, float] | None

    @classmethod
    def of(cls, trigger: Trigger | Sequence[Trigger] | None, max_tokens: Limit | None) -> Sizes:
        """The sizes that a caller gave.

        Raises:
            ConfigError: One of them is none.
        """
        given: Any = trigger
        if given is None:
            triggers: list[Any] = []
        else:
            triggers = list(given) if isinstance(given, list) else [given]
        checked = tuple(_checked(t, "trigger", ("tokens", "messages", "fraction")) for t in triggers)
        limit: Any = max_tokens
        if isinstance(limit, int) and not isinstance(limit, bool):
            limit = ("tokens", limit)
        limit = None if limit is None else _checked(limit, "max_tokens", ("tokens", "fraction"))
        return cls(cast("tuple[Trigger, ...]", checked), limit)

    def reached(self, messages: int, tokens: int, model: object) -> bool:
        """True where a request of so many messages and tokens begins it.

        Raises:
            NoProfileError: A trigger is a share, no other one is reached, and the model has no profile.
        """
        missing: NoProfileError | None = None
        for kind, value in self.triggers:
            try:
                threshold = value * window(model) if kind == "fraction" else value
            except NoProfileError as error:
                missing = error
                continue
            if (messages if kind == "messages" else tokens) >= threshold:
                return True
        if missing is not None:
            raise missing
        return not self.triggers

    def max_tokens(self, model: object) -> int | None:
        """Most tokens of a request to this model.

        Raises:
            NoProfileError: It is a share, and the model has no profile.
        """
        if self.limit is None:
            return None
        kind, value = self.limit
        return int(value * window(model)) if kind == "fraction" else int(value)


def window(model: object) -> int:
    """Most input tokens of a chat model, from its profile.

    Raises:
        NoProfileError: It does not say.
    """
    profile = getattr(model, "profile", None)
    size = profile.get("max_input_tokens") if isinstance(profile, Mapping) else None
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise NoProfileError(
            f"{type(model).__name__} has no profile with max_input_tokens: give the size in tokens, like "
            '("tokens", 50_000), or the model a profile={"max_input_tokens": …}'
        )
    return size


def _checked(given: Any, name: str, kinds: Sequence[str]) -> tuple[str, float]:
    shapes = ", ".join(f'("{kind}", {"0.8" if kind == "fraction" else "50_000"})' for kind in kinds)
    if not (isinstance(given, tuple) and len(given) == 2 and given[0] in kinds):
        raise ConfigError(f"{name} must be one of {shapes}; got {given!r}")
    kind, value = given
    if isinstance(value, bool) or not isinstance(value, int | float) or (kind != "fraction" and value != int(value)):
        raise ConfigError(f'the size of {name}=("{kind}", …) must be a number; got {value!r}')
    if not (0 < value <= 1 if kind == "fraction" else value >= 1):
        raise ConfigError(f'{name}=("{kind}", …) is out of range: {value!r}')
    return kind, value


class _Size(int):
    """A number of tokens, as a value of an `LruCache`."""

    nbytes = 0


class RequestCounter:
    """Counts requests; each text is counted once, as long as it is remembered. Safe between threads.

    Args:
        counter: Counts tokens.
    """

    def __init__(self, counter: TokenCounter) -> None:
        self._counter = counter
        self._known: LruCache[_Size] = LruCache(4_000_000)

    def beside(self, system: SystemMessage | None, tools: Sequence[Any]) -> int:
        """Tokens of the system message and of the tools' definitions."""
        texts = [] if system is None else texts_of({"content": system.content})
        texts += [to_json(tool if isinstance(tool, dict) else _definition(tool)) for tool in tools]
        return self.count(texts)

    def messages(self, messages: Sequence[BaseMessage]) -> int:
        """Tokens of the messages' texts and tool calls."""
        texts: list[str] = []
        for message in messages:
            texts += texts_of({"content": message.content})
            texts += [f"{call['name']} {to_json(call['args'])}" for call in getattr(message, "tool_calls", ())]
        return self.count(texts)

    def count(self, texts: Sequence[str]) -> int:
        """Tokens of some texts together."""
        keys = [digest(text) for text in texts]
        sizes: list[int | None] = [self._known.get(key) for key in keys]
        new = [index for index, size in enumerate(sizes) if size is None]
        for index, size in zip(new, self._counter.count([texts[i] for i in new]) if new else [], strict=True):
            sizes[index] = size
            self._known.put(keys[index], _Size(size))
        return sum(size or 0 for size in sizes)


def _definition(tool: Any) -> Any:
    try:
        return convert_to_openai_tool(tool)
    except Exception:  # noqa: BLE001  a provider's own object: what its name costs is all that is known
        return getattr(tool, "name", None)
