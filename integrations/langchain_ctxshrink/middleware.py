"""An agent middleware: tool results are shrunk before they enter the state, older turns on their way to the model."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Annotated, Any, NotRequired

from langchain.agents.middleware.types import (
    AgentMiddleware,
    AgentState,
    ExtendedModelResponse,
    ModelRequest,
    ModelResponse,
    PrivateStateAttr,
)
from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.tools import BaseTool
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.types import Command

from ctxshrink.errors import ConfigError
from ctxshrink.expand import TOOL_NAME
from ctxshrink.policies import check_keep
from ctxshrink.prefix import Birth, Conversation, Memory
from ctxshrink.providers import CacheRules
from ctxshrink.result import ShrinkResult
from ctxshrink.shrinker import Shrinker

from ._newborn import Newborn, looked_at, original, query_for
from ._plain import plain, unborn
from ._record import Record
from ._sizes import Limit, RequestCounter, Sizes, Trigger
from ._threads import Threads
from .messages import locked


class ShrunkState(AgentState[Any]):
    """What the middleware keeps in an agent's state, hidden from its input and output."""

    ctxshrink: NotRequired[Annotated[dict[str, Any], PrivateStateAttr]]
    """What was decided in this conversation: an id, the decided texts by key, and when the model was last called."""


class CtxShrinkMiddleware(AgentMiddleware[ShrunkState, Any, Any]):
    """Makes what an agent sends to its model smaller, and keeps what it once sent as it is.

    **Tool results** are shrunk when the tool has returned them, for the newest user turn and the arguments of the call,
    before they enter the state. The original goes into the message's ``artifact`` where the tool left that empty, and
    into the shrinker's store where it has one; ``response_metadata["ctxshrink"]`` says what happened (``action, reason,
    tokens_before, tokens_after, score``, and of a shrunk one where its ``original`` is and a hash of its ``content``).
    Failed calls, and what the tools in ``exclude_tools`` return, stay as they are.

    **Older turns** are shrunk on their way to the model, by a `ctxshrink.Conversation`: the state and its checkpoints
    keep them whole. What was sent once is sent again byte for byte, rewritten rarely, and then with a warning on the
    result. What was decided is kept in the private part of the state, so that another process goes on from a checkpoint
    with the same bytes. The system message, tool calls and recent turns stay exact.

    **The expand tool** is added where the shrinker has a store (there is none by default): the model gets back what was
    left out, by the id at the end of a shortened text.

    It fails open: whatever goes wrong, the model gets the request as it was, a warning is logged once for each kind of
    problem, and `problems` has it. One instance may serve any number of agents, threads and conversations at once; it
    keeps the 128 that were used last in memory.

    Other middleware may stand before or after it. Put `SummarizationMiddleware` and `ContextEditingMiddleware` before
    it: what they change is then changed once, not after it was sent.

    Args:
        shrinker: Does the work; default `Shrinker()`. In observe mode nothing is changed, and the results say what
            would have been saved.
        keep: Share of the tokens of new tool results and older turns to keep, in (0, 1].
        max_tokens: Most tokens of a request, system message and tool definitions included: a number,
            ``("tokens", n)``, or ``("fraction", f)`` of the model's window. May be given beside ``keep``; without
            either the shrinker's policy says. A fraction needs a model whose ``profile`` has ``max_input_tokens``;
            with another one older turns stay whole, and `problems` says so.
        trigger: When to begin with older turns: ``("tokens", n)``, ``("messages", n)`` or ``("fraction", f)``, or a
            list of which one is enough. Once begun in a conversation it goes on. None begins at once.
        birth: What is done to tool results when they are new; None leaves them as they are.
        exclude_tools: Tools whose results stay exact.
        expand: Add the expand tool where there is a store.
        provider: Whose prompt cache the requests go to; see `ctxshrink.Conversation`.
        headroom: See `ctxshrink.Conversation`.
        on_result: Called with the result of each tool call and of each model call, in the thread that made it.

    Raises:
        ConfigError: A setting is wrong.
    """

    state_schema = ShrunkState

    def __init__(
        self,
        shrinker: Shrinker | None = None,
        *,
        keep: float | None = None,
        max_tokens: Limit | None = None,
        trigger: Trigger | list[Trigger] | None = None,
        birth: Birth | None = Birth(),  # noqa: B008  frozen
        exclude_tools: Collection[str] = (),
        expand: bool = True,
        provider: str | CacheRules | None = "anthropic",
        headroom: float = 0.3,
        on_result: Callable[[ShrinkResult[Any]], None] | None = None,
    ) -> None:
        super().__init__()
        if isinstance(exclude_tools, str):
            raise ConfigError(f"exclude_tools must be a collection of names, like [{exclude_tools!r}]")
        if birth is not None and not isinstance(birth, Birth):
            raise ConfigError(f"birth must be a Birth or None; got {birth!r}")
        if on_result is not None and not callable(on_result):
            raise ConfigError(f"on_result must be callable; got {on_result!r}")
        self.shrinker = Shrinker() if shrinker is None else shrinker
        if not isinstance(self.shrinker, Shrinker):
            raise ConfigError(f"shrinker must be a Shrinker; got {type(self.shrinker).__name__}")
        self._keep = None if keep is None else check_keep(keep)
        self._sizes = Sizes.of(trigger, max_tokens)
        self._exclude = frozenset(exclude_tools)
        alone = self._exclude | {TOOL_NAME}
        self._newborn = None if birth is None else Newborn(self.shrinker, birth, self._keep, alone)
        self._counter = RequestCounter(self.shrinker.counter)

        def make(memo: Memory | None) -> Conversation:
            return Conversation(self.shrinker, provider=provider, birth=birth, headroom=headroom, memo=memo)

        make(None)  # A wrong setting is found now.
        self._threads = Threads(make)
        self._record = Record(on_result)
        self.tools: Sequence[BaseTool] = self._tools(expand)

    def results(self, thread_id: str | None = None) -> tuple[ShrinkResult[Any], ...]:
        """The newest results, the last one last; of 32 of all conversations together.

        A tool call's result has the message as its output; a model call's has all messages, and the decisions at least
        on those that were new or rewritten.

        Args:
            thread_id: Only those of this LangGraph thread; None for all.
        """
        return self._record.results(thread_id)

    @property
    def problems(self) -> tuple[str, ...]:
        """What went wrong and was passed over, the last one last; at most 32."""
        return self._record.problems()

    def wrap_tool_call(self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Any]) -> Any:
        """Shrink what a tool returns.

        Args:
            request: The call.
            handler: Makes it.
        """
        return self._born(request, handler(request))

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[Any]]
    ) -> Any:
        """The async twin of `wrap_tool_call`; shrinks in a worker thread."""
        given = await handler(request)
        return await asyncio.to_thread(self._born, request, given)

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        """Show the model a shorter history.

        Args:
            request: What would be sent; its messages leave out the system message.
            handler: Sends it.
        """
        shown, state = self._view(request)
        return _with_state(handler(shown), state)

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        """The async twin of `wrap_model_call`; shrinks in a worker thread."""
        shown, state = await asyncio.to_thread(self._view, request)
        return _with_state(await handler(shown), state)

    def _tools(self, expand: bool) -> Sequence[BaseTool]:
        if not expand or self.shrinker.store is None:
            return []
        from .expand import expand_tool

        return [expand_tool(self.shrinker.store)]

    def _born(self, request: ToolCallRequest, given: Any) -> Any:
        newborn = self._newborn
        if newborn is None:
            return given

        def shrink() -> Any:
            call = request.tool_call
            shrunk, results = newborn.shrink(given, query_for(request.state, call), call["name"])
            self._record.add(results)
            return shrunk

        return self._record.guard(shrink, given, "a tool result stayed whole")

    def _view(self, request: ModelRequest[Any]) -> tuple[ModelRequest[Any], dict[str, Any] | None]:
        """The request to send, and what to write into the state."""
        shrink = functools.partial(self._shrunk, request)
        return self._record.guard(shrink, (request, None), "the request was sent as it was")

    def _shrunk(self, request: ModelRequest[Any]) -> tuple[ModelRequest[Any], dict[str, Any] | None]:
        messages: list[BaseMessage] = list(request.messages)
        state = request.state.get("ctxshrink") if isinstance(request.state, dict) else None
        limit, sizes = self._sizes.max_tokens(request.model), self._sizes
        starts = state is None and bool(sizes.triggers) and not self._threads.knows(messages)
        beside = self._counter.beside(request.system_message, request.tools) if starts or limit is not None else 0
        if starts and not sizes.reached(len(messages), beside + self._counter.messages(messages), request.model):
            return request, None
        if not messages:
            return request, None
        thread = self._threads.take(state, messages)
        room = None if limit is None else max(0, limit - beside)
        result = thread.send(messages, self._stripped, keep=self._keep, max_tokens=room, now=time.time())
        saved = self._threads.give(thread)
        self._record.add([result])
        return request.override(messages=list(thread.shown)), saved  # pyright: ignore[reportArgumentType]

    def _stripped(self, message: BaseMessage) -> BaseMessage:
        """A message as the conversation shall read it: before it was shrunk, where that was decided elsewhere."""
        mine = plain(message)
        if not isinstance(message, ToolMessage):
            return mine
        if message.name in self._exclude:
            return locked(mine, "the caller excluded the tool")
        if not looked_at(message):
            return mine
        before = original(message, self.shrinker.store)
        if before is None:
            return locked(mine, "shrunk when it was new, and its original is not here")
        return unborn(mine, before)


def _with_state(
    response: ModelResponse[Any], state: dict[str, Any] | None
) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
    if state is None:
        return response
    return ExtendedModelResponse(model_response=response, command=Command(update={"ctxshrink": state}))
