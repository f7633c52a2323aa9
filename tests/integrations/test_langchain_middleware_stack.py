"""The middleware beside others, in either order, and what it does when something goes wrong."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("langchain")

from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    ClearToolUsesEdit,
    ContextEditingMiddleware,
    HumanInTheLoopMiddleware,
    ModelRequest,
    ModelResponse,
    ModelRetryMiddleware,
    SummarizationMiddleware,
)
from langchain.agents.structured_output import ToolStrategy
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.tools import tool
from langchain_ctxshrink import CtxShrinkMiddleware, CtxShrinkSummarizer
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from pydantic import BaseModel

from ctxshrink import Shrinker
from tests.integrations.agents import Scripted, asks, bytes_of, calls, check_request, log, same_start, shrinker

THREAD: Any = {"configurable": {"thread_id": "one"}, "recursion_limit": 500}
QUESTION = "Which order was charged twice on web-1?"
WORDS = "Please look at everything once more and think about it with care. " * 12


@tool
def read_log(host: str, day: int) -> str:
    """A day's log of a host."""
    return log(host, day)


def steps(last: int) -> list[AIMessage]:
    made = [calls(n, {"host": "web-1", "day": n}, {"host": "web-2", "day": n}) for n in range(last)]
    return [*made, AIMessage("Done.")]


class Caching(AgentMiddleware):
    """Marks what langchain-anthropic's caching middleware marks, and the last message, as its older versions did."""

    def wrap_model_call(self, request: ModelRequest, handler: Callable[[ModelRequest], ModelResponse]) -> ModelResponse:
        mark = {"cache_control": {"type": "ephemeral"}}
        system = request.system_message
        assert system is not None
        *before, last = request.messages
        blocks: list[Any] = [{"type": "text", "text": last.text}] if isinstance(last.content, str) else last.content
        marked = last.model_copy(update={"content": [*blocks[:-1], {**blocks[-1], **mark}]})
        settings = {**request.model_settings, **mark}
        content: Any = [{"type": "text", "text": system.text, **mark}]
        return handler(
            request.override(messages=[*before, marked], system_message=SystemMessage(content), model_settings=settings)
        )


@pytest.mark.parametrize("outer", [True, False])
def test_prompt_caching(outer: bool) -> None:
    plain, model = Scripted(script=steps(8)), Scripted(script=steps(8))
    ours = [CtxShrinkMiddleware(shrinker(), keep=0.3) for _ in range(2)]
    create_agent(plain, [read_log], system_prompt="Read only.", middleware=[ours[0]]).invoke(asks(QUESTION))
    stack = [Caching(), ours[1]] if outer else [ours[1], Caching()]
    create_agent(model, [read_log], system_prompt="Read only.", middleware=stack).invoke(asks(QUESTION))

    assert ours[1].problems == ()
    assert all(s["cache_control"] for s in model.settings)
    for mine, marked in zip(plain.shown, model.shown, strict=True):
        check_request(marked)
        assert marked[0].content == [{"type": "text", "text": "Read only.", "cache_control": {"type": "ephemeral"}}]
        assert "cache_control" in marked[-1].content[-1]
        assert [m.text for m in marked] == [m.text for m in mine], "the marks change no text"


@pytest.mark.parametrize("first", [True, False])
def test_summarization(first: bool) -> None:
    model = Scripted(script=steps(14))
    ours = CtxShrinkMiddleware(shrinker(), keep=0.3)
    summaries = SummarizationMiddleware(
        model,
        trigger=("tokens", 3000),
        keep=("messages", 6),
        summarizer=CtxShrinkSummarizer(shrinker(), max_tokens=400),
        trim_tokens_to_summarize=None,
    )
    agent = create_agent(
        model,
        [read_log],
        middleware=[summaries, ours] if first else [ours, summaries],
        checkpointer=InMemorySaver(),
    )
    agent.invoke(asks(QUESTION), THREAD)
    assert ours.problems == ()
    for messages in model.shown:
        check_request(messages)
    assert "summary" in str(model.shown[-1][0].content)
    assert f"user: {QUESTION}" in str(model.shown[-1][0].content)


@pytest.mark.parametrize("outer", [True, False])
def test_context_editing(outer: bool) -> None:
    model = Scripted(script=steps(10))
    ours = CtxShrinkMiddleware(shrinker(), keep=0.3)
    editing = ContextEditingMiddleware(edits=[ClearToolUsesEdit(trigger=1500, keep=4)])
    stack = [editing, ours] if outer else [ours, editing]
    create_agent(model, [read_log], middleware=stack).invoke(asks(QUESTION))
    assert ours.problems == ()
    for messages in model.shown:
        check_request(messages)
    assert [m.content for m in model.shown[-1]].count("[cleared]") == 2 * 10 - 4


def test_a_human_in_the_loop() -> None:
    model = Scripted(script=[calls(0, {"host": "web-1", "day": 1}), AIMessage("Done.")])
    ours = CtxShrinkMiddleware(shrinker(), keep=0.3)
    human = HumanInTheLoopMiddleware(interrupt_on={"read_log": True})
    agent = create_agent(model, [read_log], middleware=[human, ours], checkpointer=InMemorySaver())
    state = agent.invoke(asks(QUESTION), THREAD)
    assert state["__interrupt__"]
    state = agent.invoke(Command(resume={"decisions": [{"type": "approve"}]}), THREAD)
    assert state["messages"][-1].content == "Done."
    assert same_start(model.shown) == []
    assert state["messages"][2].artifact == log("web-1", 1)


def test_structured_output() -> None:
    class Finding(BaseModel):
        order: int

    model = Scripted(script=[*steps(3)[:-1], calls(9, {"order": 7}, tool="Finding")])
    ours = CtxShrinkMiddleware(shrinker(), keep=0.3)
    agent = create_agent(model, [read_log], middleware=[ours], response_format=ToolStrategy(Finding))
    state = agent.invoke(asks(QUESTION))
    assert state["structured_response"] == Finding(order=7)
    assert ours.problems == ()
    assert same_start(model.shown) == []


def test_a_call_that_is_retried_sends_the_same() -> None:
    class Flaky(Scripted):
        def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
            self.bound.append("try")
            if len(self.bound) % 2:
                self.settings.append({"tried": [bytes_of(m) for m in messages]})
                raise TimeoutError("flaky")
            return super()._generate(messages, *args, **kwargs)

        def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
            return self

    model = Flaky(script=steps(5))
    retry = ModelRetryMiddleware(max_retries=1, initial_delay=0.0, jitter=False)
    ours = CtxShrinkMiddleware(shrinker(), keep=0.3)
    create_agent(model, [read_log], middleware=[retry, ours]).invoke(asks(QUESTION))
    tried = [s["tried"] for s in model.settings if "tried" in s]
    assert tried == [[bytes_of(m) for m in messages] for messages in model.shown]


def test_a_trigger_begins_once_and_then_goes_on() -> None:
    model = Scripted(script=[AIMessage("Yes. " + WORDS) for _ in range(12)])
    ours = CtxShrinkMiddleware(shrinker(), keep=0.3, trigger=[("messages", 9), ("tokens", 10**9)], provider=None)
    agent = create_agent(model, [], middleware=[ours], checkpointer=InMemorySaver())
    for number in range(12):
        agent.invoke(asks(f"Turn {number}. {WORDS}"), THREAD)
    state = agent.get_state(THREAD).values["messages"]
    small = [
        number
        for number, messages in enumerate(model.shown)
        if any(m.content != s.content for m, s in zip(messages, state, strict=False))
    ]
    assert small == list(range(4, 12)), "request 4 is the first with 9 messages"
    assert ours.problems == ()


@pytest.mark.parametrize("profile", [None, {"max_input_tokens": 2000}])
def test_a_share_of_the_window(profile: Any) -> None:
    model = Scripted(script=[AIMessage("Yes. " + WORDS) for _ in range(10)], profile=profile)
    ours = CtxShrinkMiddleware(shrinker(), max_tokens=("fraction", 0.5))
    agent = create_agent(model, [], middleware=[ours], checkpointer=InMemorySaver())
    for number in range(10):
        agent.invoke(asks(f"Turn {number}. {WORDS}"), THREAD)
    if profile is None:
        assert "profile" in ours.problems[-1]
        assert model.shown[-1][0].content == f"Turn 0. {WORDS}"
    else:
        assert ours.problems == ()
        assert all(r.tokens_after <= 1000 for r in ours.results())


def test_it_fails_open(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        name, exact = "broken", True

        def count(self, texts: Any) -> list[int]:
            raise RuntimeError("no")

    seen: list[list[Any]] = []
    for middleware in ([], [CtxShrinkMiddleware(Shrinker(counter=Broken(), guardrail=None))]):
        model = Scripted(script=steps(3))
        create_agent(model, [read_log], middleware=middleware).invoke(asks(QUESTION))
        asyncio.run(create_agent(Scripted(script=steps(3)), [read_log], middleware=middleware).ainvoke(asks(QUESTION)))
        seen.append([[bytes_of(m) for m in messages] for messages in model.shown])
    assert seen[0] == seen[1]
    assert len(middleware[0].problems) > 4
    assert len([r for r in caplog.records if "logged once" in r.message]) == 2


def test_a_failing_tool_and_a_failing_model_still_raise() -> None:
    def broken(host: str) -> str:
        """Fails."""
        raise ValueError("the tool's own")

    ours = CtxShrinkMiddleware(shrinker(), keep=0.3)
    with pytest.raises(ValueError, match="the tool's own"):
        create_agent(Scripted(script=[calls(0, {"host": "a"}, tool="broken")]), [broken], middleware=[ours]).invoke(
            asks(QUESTION)
        )
    with pytest.raises(IndexError):
        create_agent(Scripted(script=[]), [], middleware=[ours]).invoke(asks(QUESTION))
    assert ours.problems == ()


def test_a_failing_hook_changes_nothing() -> None:
    def hook(result: Any) -> None:
        raise ValueError("observer")

    models = [Scripted(script=steps(2)) for _ in range(2)]
    hooked = [CtxShrinkMiddleware(shrinker(), keep=0.3, on_result=h) for h in (None, hook)]
    for model, middleware in zip(models, hooked, strict=True):
        create_agent(model, [read_log], middleware=[middleware]).invoke(asks(QUESTION))
    assert [[bytes_of(m) for m in r] for r in models[0].shown] == [[bytes_of(m) for m in r] for r in models[1].shown]
    assert "on_result failed" in hooked[1].problems[0]


def test_observe_changes_nothing() -> None:
    model = Scripted(script=steps(4))
    ours = CtxShrinkMiddleware(shrinker(mode="observe"), keep=0.3)
    state = create_agent(model, [read_log], middleware=[ours]).invoke(asks(QUESTION))
    assert state["messages"][2].content == log("web-1", 0)
    assert model.shown[-1][2].content == log("web-1", 0)
    assert any(r.tokens_after < r.tokens_before for r in ours.results())


def test_what_was_removed_from_a_result_does_not_come_back() -> None:
    class Redacting(AgentMiddleware):
        def before_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
            found = [m for m in state["messages"] if m.type == "tool" and "charged twice" in m.content]
            return {"messages": [m.model_copy(update={"content": m.content.replace("order", "█")}) for m in found]}

    model = Scripted(script=steps(10))
    ours = CtxShrinkMiddleware(shrinker(), max_tokens=2000)
    create_agent(model, [read_log], middleware=[Redacting(), ours]).invoke(asks("Which was charged twice?"))
    assert ours.problems == ()
    assert any("cache is lost" in w for r in ours.results() for w in r.warnings), "it was decided anew"
    assert not [m for messages in model.shown for m in messages if m.type == "tool" and "order" in m.text]


def test_an_empty_request() -> None:
    model = Scripted(script=[AIMessage("Hello.")])
    ours = CtxShrinkMiddleware(shrinker())
    create_agent(model, [], system_prompt="Say hello.", middleware=[ours]).invoke({"messages": []})
    assert ours.problems == ()
    assert HumanMessage not in [type(m) for m in model.shown[0]]


@pytest.mark.parametrize("cached", [True, False])
def test_results_of_blocks(cached: bool) -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}

    @tool
    def look(day: int) -> list[Any]:
        """A log and a picture, or a log in one block."""
        text = {"type": "text", "text": log("web-1", day)}
        return [text, image] if day % 2 else [text]

    script = [calls(n, {"day": n}, tool="look") for n in range(6)]
    model = Scripted(script=[*script, AIMessage("Done.")])
    ours = CtxShrinkMiddleware(shrinker(), max_tokens=1800)
    stack = [Caching(), ours] if cached else [ours]
    state = create_agent(model, [look], system_prompt="Read only.", middleware=stack).invoke(asks(QUESTION))
    assert ours.problems == ()
    for number, messages in enumerate(model.shown):
        results = [m for m in messages if m.type == "tool"]
        assert [len(m.content) for m in results[:-1]] == [1 + n % 2 for n in range(number)][: len(results) - 1]
        assert all(m.content[1] == image for m in results[:-1] if len(m.content) == 2)
    returned = [m for m in state["messages"] if m.type == "tool"]
    assert [m.artifact[0]["text"] for m in returned] == [log("web-1", n) for n in range(6)]
    assert any(r.goal.max_tokens and r.tokens_before > r.goal.max_tokens >= r.tokens_after for r in ours.results())
