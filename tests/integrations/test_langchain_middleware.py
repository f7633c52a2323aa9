"""The middleware in real agents: what the model is shown, what the state keeps, and that it goes on anywhere."""

import asyncio
from typing import Any

import pytest

pytest.importorskip("langchain")

from langchain.agents import create_agent
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_ctxshrink import CtxShrinkMiddleware
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from ctxshrink.expand import find_references
from ctxshrink.store import Store
from tests.integrations.agents import Scripted, asks, bytes_of, calls, log, same_start, shrinker

THREAD: Any = {"configurable": {"thread_id": "one"}, "recursion_limit": 500}
QUESTION = "Which order was charged twice on web-1?"


@tool
def read_log(host: str, day: int) -> str:
    """A day's log of a host."""
    return log(host, day)


def steps(first: int, last: int) -> list[AIMessage]:
    """A script that reads two logs at once in each step, and then answers."""
    made = [calls(n, {"host": "web-1", "day": n}, {"host": "web-2", "day": n}) for n in range(first, last)]
    return [*made, AIMessage(f"Seen until day {last - 1}.")]


def tool_messages(messages: list[BaseMessage]) -> list[ToolMessage]:
    return [m for m in messages if isinstance(m, ToolMessage)]


def announced(results: list[Any]) -> int:
    """How many results say that what had been sent was rewritten."""
    return sum(any("cache is lost" in warning for warning in result.warnings) for result in results)


def test_fifty_turns_with_parallel_calls_and_expand() -> None:
    store = Store.memory()

    def expand_first(messages: list[BaseMessage]) -> AIMessage:
        [reference] = find_references(str(tool_messages(messages)[0].content))
        return calls(98, {"id": reference}, tool="expand")

    answer = AIMessage("Order 7 on web-1.")
    model = Scripted(script=[*steps(0, 48)[:-1], expand_first, calls(99, {"host": "web-1", "day": 99}), answer])
    results: list[Any] = []
    middleware = CtxShrinkMiddleware(shrinker(store=store), keep=0.3, on_result=results.append)
    agent = create_agent(
        model, [read_log], system_prompt="Read only.", middleware=[middleware], checkpointer=InMemorySaver()
    )
    state = agent.invoke(asks(QUESTION), THREAD)

    assert middleware.problems == ()
    assert len(model.shown) == 51
    assert sorted(model.bound) == ["expand", "read_log"]
    assert len(same_start(model.shown)) == announced(results)
    assert list(middleware.results("one")) == results[-len(middleware.results()) :]
    assert all(messages[0].content == "Read only." for messages in model.shown)
    returned = tool_messages(state["messages"])
    for number, message in enumerate(returned[:-2]):
        host, day = f"web-{number % 2 + 1}", number // 2
        assert message.artifact == log(host, day), "the original stays with the message"
        assert len(message.content) < 0.7 * len(message.artifact)
        assert f"order {day * 1000 + 7} was charged twice" in message.content
        [reference] = find_references(str(message.content))
        assert store.load(reference) == message.artifact, "and in the store"
        assert message.response_metadata["ctxshrink"]["action"] == "compressed"
    assert returned[-2].content == log("web-1", 0), "the expand tool gives the original, and it stays whole"
    assert tool_messages(model.shown[-1])[-2].content == log("web-1", 0)
    assert "ctxshrink" not in state, "what the middleware remembers is its own"


async def test_async_agents_get_the_same() -> None:
    shown: list[list[list[tuple[Any, ...]]]] = []
    for is_async in (False, True):
        model = Scripted(script=steps(0, 12))
        middleware = CtxShrinkMiddleware(shrinker(), keep=0.3)
        agent = create_agent(model, [read_log], middleware=[middleware], checkpointer=InMemorySaver())
        if is_async:
            await agent.ainvoke(asks(QUESTION), THREAD)
        else:
            agent.invoke(asks(QUESTION), THREAD)
        assert middleware.problems == ()
        shown.append([[bytes_of(m) for m in messages] for messages in model.shown])
    assert shown[0] == shown[1]


@pytest.mark.parametrize("goal", [{"keep": 0.3}, {"max_tokens": 4000}, {"keep": 0.3, "max_tokens": ("tokens", 4000)}])
def test_another_process_goes_on_with_the_same_bytes(goal: dict[str, Any]) -> None:
    checkpoints = InMemorySaver()
    shown: list[list[BaseMessage]] = []
    for first in range(0, 20, 4):  # Each time with a new middleware and a new agent, as after a restart.
        model, results = Scripted(script=steps(first, first + 4)), list[Any]()
        middleware = CtxShrinkMiddleware(shrinker(), on_result=results.append, **goal)
        agent = create_agent(model, [read_log], middleware=[middleware], checkpointer=checkpoints)
        agent.invoke(asks(f"{QUESTION} {first} " + "Think about it with care. " * 30), THREAD)
        assert middleware.problems == ()
        shown += model.shown
        assert len(same_start(model.shown)) <= announced(results)
    starts = set(range(0, 25, 5)) & set(same_start(shown))
    assert not starts or "max_tokens" in goal, "a restart alone changes nothing"


def test_a_limit_holds_and_is_met_in_few_steps() -> None:
    model = Scripted(script=steps(0, 40))
    model_limit = 6000
    middleware = CtxShrinkMiddleware(shrinker(), max_tokens=model_limit)
    agent = create_agent(model, [read_log], system_prompt="Read only.", middleware=[middleware])
    agent.invoke(asks(QUESTION), THREAD)
    views = [r for r in middleware.results() if r.goal.max_tokens is not None]
    assert views
    assert all(r.tokens_after <= (r.goal.max_tokens or 0) < model_limit for r in views)
    assert 1 <= len(same_start(model.shown)) <= 20
    assert middleware.problems == ()


def test_a_branch_from_an_earlier_checkpoint_gets_what_was_sent_there() -> None:
    model = Scripted(script=[*steps(0, 8), *steps(20, 22)])
    agent = create_agent(
        model, [read_log], middleware=[CtxShrinkMiddleware(shrinker(), keep=0.3)], checkpointer=InMemorySaver()
    )
    agent.invoke(asks(QUESTION), THREAD)
    history = list(agent.get_state_history(THREAD))
    earlier = next(s for s in history if len(s.values["messages"]) == 10 and s.next == ("model",))
    agent.invoke(None, {**THREAD, **earlier.config})
    before = next(m for m in model.shown if len(m) == 10)
    assert [bytes_of(m) for m in model.shown[9]] == [bytes_of(m) for m in before]
    same_start(model.shown)


def test_without_a_checkpointer_a_history_is_recognised() -> None:
    results: list[Any] = []
    middleware = CtxShrinkMiddleware(shrinker(), keep=0.3, on_result=results.append)
    history: list[Any] = []
    shown: list[list[BaseMessage]] = []
    for turn in range(6):
        model = Scripted(script=steps(3 * turn, 3 * turn + 3))
        history.append(HumanMessage(f"Turn {turn}. " + "Please look at all of it again. " * 20))
        history = create_agent(model, [read_log], middleware=[middleware]).invoke({"messages": history})["messages"]
        shown += model.shown
    assert len(same_start(shown)) <= announced(results)
    assert middleware.problems == ()


@pytest.mark.parametrize("is_async", [False, True])
async def test_it_streams(is_async: bool) -> None:
    class Streaming(GenericFakeChatModel):
        def bind_tools(self, tools: Any, **kwargs: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
            return self

    model = Streaming(messages=iter([AIMessage("Seen until day one.")]))
    middleware = CtxShrinkMiddleware(shrinker(), keep=0.3)
    agent: Any = create_agent(model, [read_log], middleware=[middleware])
    history = {"messages": [HumanMessage(log("web-1", 1)), AIMessage(log("web-1", 2)), *asks(QUESTION)["messages"]]}
    if is_async:
        pieces = [piece async for piece, _ in agent.astream(history, stream_mode="messages")]
    else:
        pieces = [piece for piece, _ in agent.stream(history, stream_mode="messages")]
    said = [str(piece.content) for piece in pieces if isinstance(piece, AIMessageChunk)]
    assert "".join(said) == "Seen until day one."
    assert len([piece for piece in said if piece.strip()]) == 4, "word by word"
    assert len(middleware.results()) == 1


async def test_many_conversations_at_once() -> None:
    middleware = CtxShrinkMiddleware(shrinker(), keep=0.3)
    models = [Scripted(script=steps(0, 4)) for _ in range(6)]
    agents = [create_agent(m, [read_log], middleware=[middleware], checkpointer=InMemorySaver()) for m in models]
    configs: list[Any] = [{"configurable": {"thread_id": str(i)}} for i in range(6)]
    await asyncio.gather(
        *(a.ainvoke(asks(f"{QUESTION} {i}"), c) for i, (a, c) in enumerate(zip(agents, configs, strict=True)))
    )
    assert middleware.problems == ()
    for number, model in enumerate(models):
        assert same_start(model.shown) == []
        assert model.shown[-1][0].content == f"{QUESTION} {number}"


def test_in_a_subgraph() -> None:
    model = Scripted(script=[*steps(0, 4), *steps(4, 8)])
    middleware = CtxShrinkMiddleware(shrinker(), keep=0.3)
    inner = create_agent(model, [read_log], middleware=[middleware])
    graph: Any = StateGraph(MessagesState)
    graph.add_node("inner", inner)
    graph.add_edge(START, "inner")
    outer = graph.compile(checkpointer=InMemorySaver())
    outer.invoke(asks(QUESTION), THREAD)
    state = outer.invoke(asks("And later?"), THREAD)
    assert same_start(model.shown) == []
    assert all(m.artifact for m in tool_messages(state["messages"]))
    assert middleware.problems == ()
