"""Tool results on their way into the state: what is shrunk, what is left alone, and where the original goes."""

from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("langchain")

from hypothesis import given
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_ctxshrink import CtxShrinkMiddleware
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.types import Command

from ctxshrink import ConfigError
from ctxshrink.expand import find_references
from ctxshrink.prefix import Birth
from ctxshrink.store import Store
from ctxshrink.types import Call, Candidate, Job
from tests.integrations.agents import Scripted, asks, calls, log, shrinker
from tests.strategies import PROPERTY

TEXT = log("web-1", 3)
PLAIN = shrinker()


def request(**call: Any) -> ToolCallRequest:
    made: Any = {"name": "read_log", "args": {"host": "web-1"}, "id": "a", "type": "tool_call"} | call
    state = {"messages": [HumanMessage("Which order was charged twice?"), AIMessage("", tool_calls=[made])]}
    return ToolCallRequest(tool_call=made, tool=None, state=state, runtime=None)  # pyright: ignore[reportArgumentType]


def message(content: Any = TEXT, **fields: Any) -> ToolMessage:
    return ToolMessage(content, **{"tool_call_id": "a", "name": "read_log", **fields})


def shrunk(given: Any, middleware: CtxShrinkMiddleware | None = None, **call: Any) -> Any:
    used = middleware or CtxShrinkMiddleware(PLAIN, keep=0.3)
    made = used.wrap_tool_call(request(**call), lambda _: given)
    assert used.problems == ()
    return made


def test_a_result_is_shrunk_and_the_original_is_its_artifact() -> None:
    given = message(id="m", additional_kwargs={"k": 1}, response_metadata={"r": 2})
    made = shrunk(given)
    assert len(made.content) < 0.7 * len(TEXT)
    assert made.artifact == TEXT
    assert given.content == TEXT
    assert given.artifact is None
    assert (made.id, made.name, made.tool_call_id, made.additional_kwargs) == ("m", "read_log", "a", {"k": 1})
    figures = made.response_metadata.pop("ctxshrink")
    assert made.response_metadata == {"r": 2}
    assert figures["tokens_after"] < figures["tokens_before"]


def test_a_tools_own_artifact_stays() -> None:
    own = {"rows": 3}
    made = shrunk(message(artifact=own))
    assert made.artifact is own
    assert made.response_metadata["ctxshrink"]["original"] is None
    with Store.memory() as store:
        made = shrunk(message(artifact=own), CtxShrinkMiddleware(shrinker(store=store), keep=0.3))
        assert made.artifact is own
        assert store.load(find_references(made.content)[-1]) == TEXT


@pytest.mark.parametrize(
    ("given", "call"),
    [
        (message(status="error"), {}),
        (message(name="expand"), {"name": "expand"}),
        (message(name=None), {"name": "expand"}),
        (message(name="secret"), {"name": "secret"}),
        (message(response_metadata={"ctxshrink": {}}), {}),
        (message("short"), {}),
        (message([{"type": "image", "url": "http://a/b.png"}]), {}),
        (message("Traceback (most recent call last):\n" + TEXT + "\nValueError: no"), {}),
        (Command(goto="elsewhere"), {}),
        (Command(update={"files": [TEXT]}), {}),
        (Command(update=[("messages", [HumanMessage(TEXT)])]), {}),
        ("no message", {}),
    ],
)
def test_left_alone(given: Any, call: dict[str, Any]) -> None:
    made = shrunk(given, CtxShrinkMiddleware(PLAIN, keep=0.3, exclude_tools={"secret"}), **call)
    if isinstance(given, ToolMessage):
        assert (made.content, made.artifact) == (given.content, given.artifact)
    else:
        assert made is given


def test_text_blocks_are_shrunk_and_others_stay() -> None:
    image = {"type": "image", "url": "http://a/b.png"}
    blocks = [{"type": "text", "text": TEXT}, image, "plain: " + TEXT, {"type": "text", "text": "s", "id": "x"}]
    made = shrunk(message(blocks))
    assert len(made.content[0]["text"]) < len(TEXT)
    assert made.content[1] == image
    assert len(made.content[2]) < len(TEXT)
    assert made.content[3] == blocks[3]
    assert made.artifact == blocks


def test_messages_in_a_command() -> None:
    other = HumanMessage(TEXT)
    given = Command(update={"messages": [message(), other], "seen": True}, goto="model")
    made = shrunk(given)
    assert made.goto == "model"
    assert made.update["seen"] is True
    assert made.update["messages"][0].artifact == TEXT
    assert made.update["messages"][1] is other
    assert given.update["messages"][0].content == TEXT  # pyright: ignore[reportOptionalSubscript]
    assert shrunk([given, message()])[1].artifact == TEXT


def test_birth_can_be_switched_off_and_bounded() -> None:
    given = message()
    assert shrunk(given, CtxShrinkMiddleware(PLAIN, keep=0.3, birth=None)) is given
    short = shrunk(given, CtxShrinkMiddleware(PLAIN, keep=0.9, birth=Birth(keep=0.2)))
    long = shrunk(given, CtxShrinkMiddleware(PLAIN, keep=0.2, birth=Birth(keep=0.9)))
    assert len(short.content) < len(long.content)


def test_what_it_is_read_for() -> None:
    asked: list[str | None] = []

    class Asking:
        name = "asking"

        def compress(self, jobs: list[Job], call: Call) -> list[Candidate]:
            asked.append(call.query)
            return [Candidate("", error="asked") for _ in jobs]

    shrunk(message(), CtxShrinkMiddleware(shrinker(compressors=[Asking()]), keep=0.3))
    assert asked[0] == 'Which order was charged twice?\nread_log {"host": "web-1"}'


async def test_async_gives_the_same() -> None:
    async def handler(_: Any) -> ToolMessage:
        return message()

    made = await CtxShrinkMiddleware(PLAIN, keep=0.3).awrap_tool_call(request(), handler)
    assert made == shrunk(message())


def test_a_tool_that_returns_a_command() -> None:
    @tool
    def remember(host: str) -> Command:
        """Reads and remembers."""
        return Command(update={"messages": [message(tool_call_id="call-0-0", name="remember")]})

    model = Scripted(script=[calls(0, {"host": "web-1"}, tool="remember"), AIMessage("Done.")])
    state = create_agent(model, [remember], middleware=[CtxShrinkMiddleware(PLAIN, keep=0.3)]).invoke(asks("Which?"))
    assert state["messages"][2].artifact == TEXT


@PROPERTY
@given(
    st.one_of(
        st.text(max_size=2000),
        st.lists(st.one_of(st.text(max_size=300), st.fixed_dictionaries({"type": st.just("text"), "text": st.text()}))),
    ),
    st.sampled_from(["\n".join(f"{i} {i * i} {i * 7}" for i in range(200)), ""]),
)
def test_any_content(content: Any, more: str) -> None:
    given = message(content + more if isinstance(content, str) else [*content, more])
    before = given.model_copy(deep=True)
    made = shrunk(given)
    assert given == before
    if made.content != given.content:
        assert made.artifact == given.content
        assert type(made.content) is type(given.content)
    assert replace(request(), state=[]).state == []


@pytest.mark.parametrize("state", [None, [], {}, {"messages": None}, {"messages": ["x"]}])
def test_any_state(state: Any) -> None:
    used = CtxShrinkMiddleware(PLAIN, keep=0.3)
    made = used.wrap_tool_call(replace(request(), state=state), lambda _: message())
    assert made.artifact == TEXT
    assert used.problems == ()


@pytest.mark.parametrize(
    "setting",
    [
        {"keep": 0},
        {"keep": 2},
        {"max_tokens": -1},
        {"max_tokens": ("messages", 3)},
        {"max_tokens": ("fraction", 2)},
        {"trigger": ("turns", 3)},
        {"trigger": ("fraction", 0)},
        {"trigger": 3},
        {"birth": 0.5},
        {"exclude_tools": "read_log"},
        {"provider": "nobody"},
        {"headroom": 1},
        {"on_result": 1},
        {"shrinker": 1},
    ],
)
def test_a_wrong_setting_is_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(setting))):
        CtxShrinkMiddleware(**setting)
