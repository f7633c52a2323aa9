"""`@shrink_prompt`: a prompt builder whose arguments, or returned messages, are shrunk.

Shrinking the arguments and not the finished prompt keeps the builder's own template text exact by construction.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from types import MethodType
from typing import Any, Concatenate, Generic, ParamSpec, TypedDict, TypeVar, cast, overload

from .errors import ConfigError, FormatError
from .messages import Parsed
from .result import ShrinkResult
from .seats import ACCEPTED, check_goal, emptied, parse_any
from .shrinker import Shrinker
from .types import OnReject, Segment

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")


class _Settings(TypedDict):
    keep: float | None
    max_tokens: int | None
    on_reject: OnReject | None
    strict: bool


@dataclass(frozen=True, slots=True)
class _Plan:
    context: tuple[str, ...]
    query: str | None
    drop_empty: bool
    settings: _Settings


class ShrinkingPrompt(Generic[P, R]):
    """A prompt builder under `shrink_prompt`: called like the builder, with its signature, name and docstring.

    Attributes:
        shrinker: Does the work; shared by all calls.
    """

    __name__: str
    __qualname__: str
    __wrapped__: Callable[P, R]
    shrinker: Shrinker

    def __init__(self, builder: Callable[P, R], shrinker: Shrinker, plan: _Plan) -> None:
        self.__name__ = self.__qualname__ = type(builder).__name__  # Of a callable that has no name of its own.
        functools.update_wrapper(self, builder)
        self.shrinker = shrinker
        self._plan = plan
        self._signature = _checked_signature(builder, plan)
        self._last: ContextVar[ShrinkResult[Any] | None] = ContextVar("last_result", default=None)

    @property
    def last_result(self) -> ShrinkResult[Any] | None:
        """The result of the newest call in this thread or asyncio task, or None; concurrent calls never mix.

        Its output is a dict from argument name to shrunk argument, or the shrunk messages without ``context``. A
        call inside another task (``gather``, ``create_task``) or thread is visible there only: read it there.
        """
        return self._last.get()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Shrink, then build (with ``context``), or build, then shrink."""
        plan, bound = self._plan, self._bind(args, kwargs)
        query = None if plan.query is None else bound.arguments[plan.query]
        if plan.context:
            parsed = _parse_arguments(bound.arguments, plan.context)
            result = self.shrinker.shrink_segments(_segments(parsed), query=query, **plan.settings)
            self._hand_over(bound, parsed, result)
            return self.__wrapped__(*bound.args, **bound.kwargs)
        messages = _messages(self.__wrapped__(*bound.args, **bound.kwargs), self.__name__)
        shrunk = self.shrinker.shrink_messages(messages, query, **plan.settings)
        return self._hand_back(messages, shrunk)

    @overload
    def __get__(self, instance: None, owner: type, /) -> ShrinkingPrompt[P, R]: ...
    @overload
    def __get__(
        self: ShrinkingPrompt[Concatenate[Any, Q], R], instance: object, owner: type | None = None, /
    ) -> ShrinkingPrompt[Q, R]: ...
    def __get__(self, instance: object, owner: type | None = None, /) -> Any:
        """Bind to an instance like a function does; the bound method has ``shrinker`` and ``last_result`` too."""
        return self if instance is None else MethodType(self, instance)

    def __reduce__(self) -> str:
        return self.__qualname__  # By name, as functions are pickled and copied.

    def _bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> inspect.BoundArguments:
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return bound

    def _hand_over(
        self, bound: inspect.BoundArguments, parsed: Mapping[str, Parsed], result: ShrinkResult[dict[str, str]]
    ) -> None:
        """Put the shrunk arguments in place of the caller's, which are left as they are."""
        if self.shrinker.mode == "apply":
            for name, one in parsed.items():
                bound.arguments[name] = _rebuild(name, one, bound.arguments[name], result, self._plan.drop_empty)
        self._last.set(result.with_output({name: bound.arguments[name] for name in self._plan.context}))

    def _hand_back(self, messages: Sequence[Any], result: ShrinkResult[list[Any]]) -> Any:
        self._last.set(result)
        return tuple(result.output) if isinstance(messages, tuple) else result.output


class _AsyncShrinkingPrompt(ShrinkingPrompt[P, Coroutine[Any, Any, Any]]):
    """The same for coroutine functions, through the shrinker's async twins."""

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        plan, bound = self._plan, self._bind(args, kwargs)
        query = None if plan.query is None else bound.arguments[plan.query]
        if plan.context:
            parsed = _parse_arguments(bound.arguments, plan.context)
            result = await self.shrinker.ashrink_segments(_segments(parsed), query=query, **plan.settings)
            self._hand_over(bound, parsed, result)
            return await self.__wrapped__(*bound.args, **bound.kwargs)
        messages = _messages(await self.__wrapped__(*bound.args, **bound.kwargs), self.__name__)
        shrunk = await self.shrinker.ashrink_messages(messages, query, **plan.settings)
        return self._hand_back(messages, shrunk)


@overload
def shrink_prompt(builder: Callable[P, R], /) -> ShrinkingPrompt[P, R]: ...
@overload
def shrink_prompt(
    *,
    context: str | Sequence[str] = (),
    query: str | None = None,
    keep: float | None = None,
    max_tokens: int | None = None,
    shrinker: Shrinker | None = None,
    drop_empty: bool = True,
    on_reject: OnReject | None = None,
    strict: bool = False,
) -> Callable[[Callable[P, R]], ShrinkingPrompt[P, R]]: ...
def shrink_prompt(
    builder: Callable[..., Any] | None = None,
    /,
    *,
    context: str | Sequence[str] = (),
    query: str | None = None,
    keep: float | None = None,
    max_tokens: int | None = None,
    shrinker: Shrinker | None = None,
    drop_empty: bool = True,
    on_reject: OnReject | None = None,
    strict: bool = False,
) -> Any:
    """Shrink what goes into a prompt builder, or the messages that come out of it.

    With ``context`` the named arguments are shrunk and handed on in their own type; everything else that the builder
    writes stays exact. Without it the builder must return a list of messages, which are shrunk as
    `Shrinker.shrink_messages` does. Works on functions, methods and coroutine functions; arguments are never mutated.

    All named arguments share one goal: ``keep`` is a share of all of them, ``max_tokens`` bounds the sum of them (not
    the text that the builder adds), and tokens go where the query needs them. An argument may be a str, a list or
    tuple of documents (str, dicts with ``"text"``, LangChain documents, LlamaIndex nodes), a list of messages, or
    None.

    Args:
        builder: The function, when the decorator is used without parentheses.
        context: Names of the parameters to shrink.
        query: Name of the parameter that holds the question.
        keep: Share of the unlocked tokens to keep, in (0, 1].
        max_tokens: Most tokens of the shrunk arguments or messages together; give this or ``keep``.
        shrinker: Does the work; default `Shrinker()`.
        drop_empty: Leave documents that came out empty out of their list. Switch it off where the builder pairs them
            with another list by position.
        on_reject: See `Shrinker.shrink_text`.
        strict: See `Shrinker.shrink_text`.

    Returns:
        The builder with the same signature, and with ``shrinker`` and ``last_result``.

    Raises:
        ConfigError: When decorating: a name is not a parameter, or a setting is wrong. When called: an argument or
            the returned value has a shape that cannot be shrunk.
    """
    check_goal(keep, max_tokens)
    names = (context,) if isinstance(context, str) else tuple(context)
    settings = _Settings(keep=keep, max_tokens=max_tokens, on_reject=on_reject, strict=strict)
    plan = _Plan(names, query, drop_empty, settings)

    def decorate(function: Callable[..., Any]) -> ShrinkingPrompt[..., Any]:
        if isinstance(function, staticmethod | classmethod):
            kind = type(cast("object", function)).__name__
            raise ConfigError(f"put @{kind} above @shrink_prompt, not below it")
        if not callable(function):
            raise ConfigError(f"shrink_prompt decorates functions; got {type(cast('object', function)).__name__}")
        used = Shrinker() if shrinker is None else shrinker
        if not inspect.iscoroutinefunction(function):
            return ShrinkingPrompt(function, used, plan)
        wrapped = _AsyncShrinkingPrompt(function, used, plan)
        if sys.version_info >= (3, 12):
            inspect.markcoroutinefunction(wrapped)
        return wrapped

    return decorate if builder is None else decorate(builder)


def _checked_signature(builder: Callable[..., Any], plan: _Plan) -> inspect.Signature:
    try:
        signature = inspect.signature(builder)
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"{builder!r} has no signature to read; wrap it in a function with named parameters"
        ) from error
    known = signature.parameters
    for argument, names in (("context", plan.context), ("query", () if plan.query is None else (plan.query,))):
        for name in names:
            if name not in known:
                raise ConfigError(f"{argument} names {name!r}, which is not a parameter; they are {', '.join(known)}")
            if known[name].kind is inspect.Parameter.VAR_KEYWORD:
                raise ConfigError(f"{argument} names **{name}; name a parameter of its own")
    if len(set(plan.context)) != len(plan.context):
        raise ConfigError("context names a parameter twice")
    if plan.query in plan.context:
        raise ConfigError(f"{plan.query!r} is the query; it cannot be shrunk as context too")
    return signature


def _parse_arguments(arguments: Mapping[str, Any], names: Sequence[str]) -> dict[str, Parsed]:
    parsed: dict[str, Parsed] = {}
    for name in names:
        try:
            parsed[name] = parse_any(arguments[name])
        except FormatError as error:
            raise FormatError(f"argument {name!r} cannot be shrunk ({error}). It must be {ACCEPTED}") from error
    return parsed


def _segments(parsed: Mapping[str, Parsed]) -> list[Segment]:
    return [replace(s, id=f"{name}.{s.id}") for name, one in parsed.items() for s in one.segments]


def _rebuild(name: str, parsed: Parsed, value: Any, result: ShrinkResult[dict[str, str]], drop_empty: bool) -> Any:
    """The shrunk argument, in the caller's type."""
    if value is None:
        return None
    items = parsed.rebuild({s.id: result.output[f"{name}.{s.id}"] for s in parsed.segments})
    if isinstance(value, str):
        return items[0]
    if drop_empty:
        prefix = f"{name}."
        gone = {
            parsed.index_of(d.segment.id.removeprefix(prefix))
            for d in result.decisions
            if d.segment.id.startswith(prefix) and d.segment.kind == "document" and emptied(d)
        }
        items = [item for index, item in enumerate(items) if index not in gone]
    return tuple(items) if isinstance(value, tuple) else items


def _messages(built: object, name: str) -> Sequence[Any]:
    if isinstance(built, list | tuple):
        return cast("Sequence[Any]", built)
    seen = type(built).__name__
    raise ConfigError(
        f"{name} returned {seen}, not a list of messages: name the parameters to shrink, "
        'like @shrink_prompt(context=["chunks"], query="question")'
    )
