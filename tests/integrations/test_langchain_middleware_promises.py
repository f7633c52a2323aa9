"""What holds for any conversation: the bytes that were sent are sent again, in any process, and nothing is refused."""

import itertools
import json
from typing import Any

import pytest

pytest.importorskip("langchain")

from hypothesis import given, settings
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain.agents.middleware import ModelRequest, ModelResponse
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_ctxshrink import CtxShrinkMiddleware
from langgraph.checkpoint.memory import InMemorySaver

from tests.integrations.agents import Scripted, asks, bytes_of, calls, check_request, log, shrinker
from tests.strategies import PROPERTY

SAID = st.sampled_from(["Yes.", "Please look at everything once more and think about it with care. " * 15, log("x", 1)])
TURN = st.tuples(SAID, st.lists(SAID, max_size=3), SAID)
"""What the user says, what tools return in one step, what the model answers."""
PLAIN = shrinker()


def send(middleware: CtxShrinkMiddleware, messages: list[BaseMessage], state: Any) -> tuple[list[BaseMessage], Any]:
    """One model call: what the model was shown, and what stands in the state then."""
    shown: list[list[BaseMessage]] = []

    def handler(request: ModelRequest) -> ModelResponse:
        shown.append(list(request.messages))
        return ModelResponse(result=[AIMessage("Yes.")])

    request = ModelRequest(
        model=Scripted(script=[]),
        messages=list(messages),  # pyright: ignore[reportArgumentType]
        system_message=SystemMessage("Be brief."),
        state={"messages": messages, **({"ctxshrink": state} if state else {})},  # pyright: ignore[reportArgumentType]
    )
    answer: Any = middleware.wrap_model_call(request, handler)
    assert middleware.problems == ()
    return shown[0], answer.command.update["ctxshrink"]


def conversation(turns: list[Any]) -> list[list[BaseMessage]]:
    """The messages of each request of a conversation."""
    messages: list[BaseMessage] = []
    requests: list[list[BaseMessage]] = []
    for number, (asked, returned, answered) in enumerate(turns):
        messages.append(HumanMessage(asked))
        requests.append(list(messages))
        if returned:
            messages.append(calls(number, *({"n": i} for i in range(len(returned)))))
            ids = [f"call-{number}-{i}" for i in range(len(returned))]
            messages += [ToolMessage(t, tool_call_id=i, name="read_log") for t, i in zip(returned, ids, strict=True)]
            requests.append(list(messages))
        messages.append(AIMessage(answered))
    return requests


@settings(PROPERTY, max_examples=15)
@given(
    turns=st.lists(TURN, min_size=2, max_size=8),
    restarts=st.sets(st.integers(0, 15)),
    goal=st.sampled_from([{"keep": 0.3}, {"keep": 0.3, "provider": None}, {"max_tokens": 1500}]),
)
def test_what_was_sent_is_sent_again(turns: list[Any], restarts: set[int], goal: dict[str, Any]) -> None:
    results: list[Any] = []
    middleware, state, before = CtxShrinkMiddleware(PLAIN, on_result=results.append, **goal), None, []
    for number, messages in enumerate(conversation(turns)):
        if number in restarts:  # Another process, from a checkpoint.
            middleware = CtxShrinkMiddleware(PLAIN, on_result=results.append, **goal)
            state = json.loads(json.dumps(state)) if state else None
            messages = [m.model_copy(deep=True) for m in messages]
        shown, state = send(middleware, messages, state)
        check_request(shown)
        sent = [bytes_of(m) for m in shown]
        rewritten = any("cache is lost" in warning for warning in results[-1].warnings)
        if "provider" not in goal:  # Without a prompt cache to lose there is nothing to announce.
            assert rewritten or sent[: len(before)] == before
        assert [bytes_of(m)[2:] for m in shown] == [bytes_of(m)[2:] for m in messages], "calls and ids are untouched"
        before = sent


def test_a_call_in_the_same_state_gives_the_same() -> None:
    turns = [("Yes. " * 9, [log("x", n), f"{n} x " * 90], "No. " * 90) for n in range(4)]
    middleware, state = CtxShrinkMiddleware(PLAIN, keep=0.3), None
    for messages in conversation(turns):
        first, after = send(middleware, messages, state)
        again, _ = send(middleware, messages, state)
        other, _ = send(CtxShrinkMiddleware(PLAIN, keep=0.3), messages, state)
        assert [bytes_of(m) for m in first] == [bytes_of(m) for m in again] == [bytes_of(m) for m in other]
        state = after


def test_the_state_is_small() -> None:
    said = "Please look at everything once more and think about it with care. " * 15
    middleware, state = CtxShrinkMiddleware(PLAIN, keep=0.2, provider=None), None
    messages: list[BaseMessage] = []
    for messages in conversation([(said, [], said)] * 30):
        _, state = send(middleware, messages, state)
    assert 0 < len(json.dumps(state)) < 0.6 * sum(len(m.text) for m in messages)


def test_the_database_of_langgraph(tmp_path: Any) -> None:
    sqlite = pytest.importorskip("langgraph.checkpoint.sqlite")
    thread: Any = {"configurable": {"thread_id": "one"}}
    shown: list[list[BaseMessage]] = []
    for turn in range(3):
        with sqlite.SqliteSaver.from_conn_string(str(tmp_path / "agent.db")) as checkpoints:
            model = Scripted(script=[AIMessage("Yes. " + "I looked at all of it with care. " * 30)])
            ours = CtxShrinkMiddleware(shrinker(), keep=0.3)
            create_agent(model, [], middleware=[ours], checkpointer=checkpoints).invoke(
                asks(f"Turn {turn}. " + "Look at it. " * 50), thread
            )
            assert ours.problems == ()
            shown += model.shown
    for before, after in itertools.pairwise(shown):
        assert [bytes_of(m) for m in after][: len(before)] == [bytes_of(m) for m in before]


def test_it_works_beside_an_agent_without_state() -> None:
    model = Scripted(script=[AIMessage("Yes.")])
    agent = create_agent(model, [], middleware=[CtxShrinkMiddleware(PLAIN)], checkpointer=InMemorySaver())
    schema = agent.get_output_jsonschema()
    assert "ctxshrink" not in schema["properties"], "what the middleware remembers is nobody's output"
    assert "ctxshrink" not in agent.get_input_jsonschema()["properties"]
