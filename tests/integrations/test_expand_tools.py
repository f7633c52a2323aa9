"""The expand tool in the frameworks' own loops."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

pytest.importorskip("langchain")
pytest.importorskip("llama_index.core")

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_ctxshrink.expand import expand_tool as langchain_tool
from llama_index.core.tools import ToolOutput
from llama_index_ctxshrink.expand import expand_tool as llama_index_tool
from pydantic import Field

from ctxshrink.expand import ARGUMENTS, DESCRIPTION, Expander, find_references, reference_line
from ctxshrink.store import Store
from tests.integrations.material import LOG


@pytest.fixture
def store() -> Store:
    return Store.memory()


class _Reader(BaseChatModel):
    """Asks for the original of the reference it was shown, in several ways, and then answers."""

    asked: list[dict[str, Any]]
    tools: list[Any] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "reader"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> "_Reader":  # pyright: ignore[reportIncompatibleMethodOverride]
        self.tools.extend(tools)
        return self

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        if isinstance(messages[-1], ToolMessage):
            return ChatResult(generations=[ChatGeneration(message=AIMessage("read"))])
        (id,) = find_references(str(messages[-1].content))
        calls = [{"name": "expand", "args": {"id": id, **more}, "id": f"call-{n}"} for n, more in enumerate(self.asked)]
        return ChatResult(generations=[ChatGeneration(message=AIMessage("", tool_calls=calls))])  # pyright: ignore[reportArgumentType]


ASKED: list[dict[str, Any]] = [{"lines": "2-3"}, {"search": "depot 37 "}, {"lines": 2}, {"lines": "x"}, {"line": 2}]


def _check(messages: list[Any]) -> None:
    results = [m for m in messages if isinstance(m, ToolMessage)]
    lines = LOG.split("\n")
    assert [m.name for m in results] == ["expand"] * 5
    assert results[0].content == "\n".join(lines[1:3])
    assert f"2: {lines[1]}" in results[1].content
    assert results[2].content == lines[1]
    assert "is no range" in results[3].content
    assert 'Call it like {"id"' in results[4].content
    assert messages[-1].content == "read"


def test_langchain_agent(store: Store) -> None:
    agent = create_agent(_Reader(asked=ASKED), [langchain_tool(store)])
    (id,) = store.save([LOG])
    state = agent.invoke({"messages": [HumanMessage(f"A log.\n{reference_line(id)}")]})
    _check(state["messages"])


async def test_langchain_agent_async(store: Store) -> None:
    agent = create_agent(_Reader(asked=ASKED), [langchain_tool(store)])
    (id,) = store.save([LOG])
    state = await agent.ainvoke({"messages": [HumanMessage(f"A log.\n{reference_line(id)}")]})
    _check(state["messages"])


def test_langchain_shows_the_model_what_to_say(store: Store) -> None:
    function = convert_to_openai_tool(langchain_tool(store))["function"]
    assert (function["name"], function["description"]) == ("expand", DESCRIPTION)
    properties = function["parameters"]["properties"]
    assert {key: value["description"] for key, value in properties.items()} == dict(ARGUMENTS)
    assert function["parameters"]["required"] == ["id"]


async def test_llama_index_tool(store: Store) -> None:
    tool = llama_index_tool(store)
    (id,) = store.save([LOG])
    lines = LOG.split("\n")
    for output in (tool.call(id=id, lines="2-3"), await tool.acall(id=id, lines="2-3")):
        assert isinstance(output, ToolOutput)
        assert (output.tool_name, output.content) == ("expand", "\n".join(lines[1:3]))
    assert f"2: {lines[1]}" in tool.call(id=id, search="DEPOT 37 ").content
    assert tool.call(id=id).content == LOG
    assert "There is no original" in tool.call(id="aaaaaaaaaa").content
    assert (tool.metadata.name, tool.metadata.description) == ("expand", DESCRIPTION)
    properties = json.loads(tool.metadata.fn_schema_str)["properties"]
    assert {key: value["description"] for key, value in properties.items()} == dict(ARGUMENTS)


def test_an_expander_brings_its_own_bound(store: Store) -> None:
    (id,) = store.save([LOG])
    small = Expander(store, max_chars=100)
    for answer in (langchain_tool(small).invoke({"id": id}), llama_index_tool(small).call(id=id).content):
        assert answer == small.expand(id)
        assert answer.endswith('for more: lines="2-"]')
