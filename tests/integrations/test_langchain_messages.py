"""LangChain messages: what is locked, what survives, and `shrink_messages` in chains."""

import copy
from typing import Any

import pytest

pytest.importorskip("langchain_core")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import Runnable
from langchain_ctxshrink import LangChainFormat, shrink_messages

from ctxshrink.errors import ConfigError, FormatError
from ctxshrink.policies import Adaptive
from ctxshrink.shrinker import Shrinker
from tests.integrations.material import LOG, PLAIN, QUESTION, TEXTS, tokens

LONG = " ".join(TEXTS)


def _conversation() -> list[BaseMessage]:
    """Old turns with everything that must survive, then recent ones."""
    return [
        SystemMessage("You are a careful mechanic. Never guess.", id="s0"),
        HumanMessage(LONG, id="h1", name="ada", additional_kwargs={"pinned_by": 3}),
        AIMessage(
            [
                {"type": "reasoning", "reasoning": "I should look into the depot. " * 4, "id": "rs_1"},
                {"type": "text", "text": LONG},
                {"type": "tool_use", "id": "c1", "name": "log", "input": {"day": "2026-03-04"}},
            ],
            id="a2",
            tool_calls=[
                {"name": "log", "args": {"day": "2026-03-04"}, "id": "c1"},
                {"name": "stock", "args": {"part": "bolt M14"}, "id": "c2"},
            ],
            response_metadata={"model_name": "toy"},
            usage_metadata={"input_tokens": 5, "output_tokens": 7, "total_tokens": 12},
        ),
        ToolMessage(LOG, tool_call_id="c1", id="t3", artifact={"rows": 60}),
        ToolMessage([{"type": "text", "text": "Traceback: " + LOG}], tool_call_id="c2", id="t4", status="error"),
        AIMessage(LONG, id="a5", additional_kwargs={"reasoning_content": "Some reasoning."}),
        HumanMessage([{"type": "text", "text": LONG}, {"type": "image_url", "image_url": {"url": "data:x"}}], id="h6"),
        AIMessage("It is noted.", id="a7"),
        HumanMessage("Thanks.", id="h8"),
        AIMessage("You are welcome.", id="a9"),
        HumanMessage(QUESTION, id="h10"),
    ]


def _without_text(message: BaseMessage) -> dict[str, Any]:
    return {k: v for k, v in message.model_dump().items() if k != "content"}


def test_everything_but_old_text_survives() -> None:
    given, untouched = _conversation(), _conversation()
    out = shrink_messages(given, keep=0.3, shrinker=PLAIN)
    assert given == untouched
    assert [type(m) for m in out] == [type(m) for m in given]
    assert [_without_text(m) for m in out] == [_without_text(m) for m in given]
    for exact in (0, 4, 7, 8, 9, 10):
        assert out[exact] == given[exact]
    for shrunk in (1, 3, 5):
        assert 0 < len(out[shrunk].content) < len(given[shrunk].content)
    before, after = given[2].content, out[2].content
    assert (after[0], after[2]) == (before[0], before[2])  # reasoning and the tool call
    assert len(after[1]["text"]) < len(before[1]["text"])  # pyright: ignore[reportArgumentType, reportCallIssue]
    assert out[6].content[1] == given[6].content[1]


def test_a_shrinker_reads_langchain_messages_by_itself() -> None:
    result = PLAIN.shrink_messages(_conversation(), keep=0.3)
    assert result.output == shrink_messages(_conversation(), keep=0.3, shrinker=PLAIN)
    assert result.tokens_after < result.tokens_before


def test_what_is_locked_and_why() -> None:
    segments = LangChainFormat().parse(_conversation()).segments
    locks = {s.id: s.lock_reason for s in segments if s.locked}
    kinds = {s.id: s.kind for s in segments}
    assert locks["0.0"] == "an instruction"
    assert locks["2.0"] == "reasoning"
    assert sorted(s.text for s in segments if s.kind == "tool_call") == [
        'log {"day": "2026-03-04"}',
        'stock {"part": "bolt M14"}',
    ], "a call that is in the content and in tool_calls counts once"
    assert locks["4.0.0"] == "a failed tool result"
    assert locks["10.0"] == "the newest user turn"
    assert kinds["3.0"] == "tool_result"
    assert not {"1.0", "2.1", "3.0", "5.0", "6.0"} & locks.keys()


@pytest.mark.parametrize(
    ("message", "lock"),
    [
        (AIMessage([{"type": "text", "text": LONG, "annotations": [{"type": "citation"}]}]), "carries citations"),
        (AIMessage(LONG, additional_kwargs={"annotations": [{"type": "url_citation"}]}), "carries citations"),
        (AIMessage([{"type": "thinking", "thinking": LONG, "signature": "sig"}]), "reasoning"),
        (AIMessage([{"type": "reasoning", "summary": [{"type": "summary_text", "text": LONG}]}]), "reasoning"),
        (AIMessage("", additional_kwargs={"refusal": LONG}), "unknown block type"),
        (AIMessage([{"type": "novelty", "text": LONG}]), "unknown block type"),
        (
            HumanMessage(LONG, additional_kwargs={"cache_control": {"type": "ephemeral"}}),
            "inside the provider cache prefix",
        ),
        (ChatMessage(LONG, role="narrator"), "unknown role"),
        (SystemMessage([{"type": "text", "text": LONG}]), "an instruction"),
        (FunctionMessage(LONG, name="old_style"), None),
        (ChatMessage(LONG, role="human"), None),
        (HumanMessage(["plain ", LONG]), None),
    ],
)
def test_kinds_of_messages(message: BaseMessage, lock: str | None) -> None:
    recent: list[BaseMessage] = [AIMessage("x"), HumanMessage("y")] * 3
    found = [
        s for s in LangChainFormat().parse([message, *recent]).segments if s.id.startswith("0.") and s.text == LONG
    ]
    assert [s.lock_reason for s in found] == [lock]
    out = shrink_messages([message, *recent], keep=0.2, shrinker=PLAIN)
    assert (out[0] == message) == (lock is not None)


def test_pins_by_position_and_by_test() -> None:
    for pin in ([1, -6], lambda m: m.id in ("h1", "a5")):
        out = shrink_messages(_conversation(), keep=0.3, shrinker=PLAIN, pin=pin)
        assert [out[i] == _conversation()[i] for i in (1, 3, 5)] == [True, False, True]


async def test_runnable_form_agrees_in_sync_and_async() -> None:
    runnable = shrink_messages(keep=0.3, shrinker=PLAIN)
    assert isinstance(runnable, Runnable)
    expected = shrink_messages(_conversation(), keep=0.3, shrinker=PLAIN)
    assert runnable.invoke(_conversation()) == expected
    assert await runnable.ainvoke(_conversation()) == expected
    assert runnable.batch([_conversation(), []]) == [expected, []]


def test_in_a_chain_after_a_prompt() -> None:
    seen: list[list[BaseMessage]] = []

    class Model(GenericFakeChatModel):
        def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Any:
            seen.append(messages)
            return super()._generate(messages, *args, **kwargs)

    prompt = ChatPromptTemplate([("system", "Be brief."), MessagesPlaceholder("history"), ("human", "{question}")])
    chain = prompt | shrink_messages(keep=0.3, shrinker=PLAIN) | Model(messages=iter([AIMessage("110 Nm")]))
    assert chain.invoke({"history": _conversation()[1:-1], "question": QUESTION}).content == "110 Nm"
    (messages,) = seen
    assert messages[0] == SystemMessage("Be brief.")
    assert messages[-1] == HumanMessage(QUESTION)
    assert len(messages) == len(_conversation())
    assert len(str(messages)) < len(str(_conversation()))


def test_what_langchain_converts_is_converted() -> None:
    out = shrink_messages([("human", "Hello"), {"role": "assistant", "content": "Hi"}, "Bye"], shrinker=PLAIN)
    assert out == [HumanMessage("Hello"), AIMessage("Hi"), HumanMessage("Bye")]


def test_observe_mode_returns_the_messages() -> None:
    given = _conversation()
    out = shrink_messages(given, keep=0.3, shrinker=Shrinker(guardrail=None, mode="observe"))
    assert all(a is b for a, b in zip(out, given, strict=True))


def test_growing_conversations_keep_their_ids() -> None:
    ids = [s.id for s in LangChainFormat().parse(_conversation()).segments]
    longer = LangChainFormat().parse([*_conversation(), AIMessage("Sure."), HumanMessage("Go on.")]).segments
    assert [s.id for s in longer][: len(ids)] == ids


def test_the_default_guardrail_judges_every_change() -> None:
    result = Shrinker(policy=Adaptive(recent_turns=1)).shrink_messages(_conversation(), QUESTION, keep=0.5)
    judged = [d for d in result.decisions if d.action in ("compressed", "emptied", "fallback")]
    assert judged
    assert all(d.verdict is not None for d in judged if any(a.error is None for a in d.attempts))


def test_the_conversation_is_not_touched_by_editing_the_result() -> None:
    given = _conversation()
    out = shrink_messages(given, keep=0.3, shrinker=PLAIN)
    out[2].content[1]["text"] = "edited"  # pyright: ignore[reportArgumentType, reportCallIssue, reportIndexIssue]
    assert given == _conversation()


_TEXT = st.sampled_from(["", " ", "x", "\x00", LONG, LOG, *TEXTS]) | st.text(max_size=30)
_BLOCK = st.one_of(
    _TEXT,
    st.builds(lambda text: {"type": "text", "text": text}, _TEXT),
    st.builds(lambda text: {"type": "text", "text": text, "annotations": [{"type": "citation"}]}, _TEXT),
    st.builds(lambda text: {"type": "reasoning", "reasoning": text}, _TEXT),
    st.builds(lambda text: {"type": "odd", "text": text, "cache_control": {"type": "ephemeral"}}, _TEXT),
    st.just({"type": "image_url", "image_url": {"url": "data:x"}}),
    st.just({}),
)
_CONTENT = _TEXT | st.lists(_BLOCK, max_size=3)
_CALL = st.builds(lambda i: {"name": "log", "args": {"day": i}, "id": f"c{i}"}, st.integers(0, 3))
_MESSAGE = st.one_of(
    st.builds(HumanMessage, _CONTENT),
    st.builds(SystemMessage, _CONTENT),
    st.builds(lambda content, calls: AIMessage(content, tool_calls=calls), _CONTENT, st.lists(_CALL, max_size=2)),
    st.builds(
        lambda c, i, s: ToolMessage(c, tool_call_id=f"c{i}", status=s),
        _CONTENT,
        st.integers(0, 3),
        st.sampled_from(["success", "error"]),
    ),
    st.builds(lambda content, role: ChatMessage(content, role=role), _CONTENT, st.sampled_from(["human", "odd"])),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_MESSAGE, max_size=12), st.sampled_from([{"keep": 0.3}, {"max_tokens": 40}]))
def test_any_conversation(messages: list[BaseMessage], goal: dict[str, Any]) -> None:
    before = copy.deepcopy(messages)
    parsed = LangChainFormat().parse(messages)
    assert parsed.rebuild({}) == messages
    result = PLAIN.shrink_messages(messages, **goal)
    out = result.output
    assert messages == before
    assert [type(m) for m in out] == [type(m) for m in messages]
    assert [_without_text(m) for m in out] == [_without_text(m) for m in messages]
    assert [(s.id, s.kind) for s in LangChainFormat().parse(out).segments] == [(s.id, s.kind) for s in parsed.segments]
    for old, new in zip(parsed.segments, LangChainFormat().parse(out).segments, strict=True):
        assert tokens(new.text) <= tokens(old.text)
        assert not old.locked or new.text == old.text
    assert sum(tokens(s.text) for s in LangChainFormat().parse(out).segments) == result.tokens_after


@pytest.mark.parametrize("messages", ["Hello", {"role": "user"}, [3], [("a", "b", "c")], [{"content": "x"}], 5])
def test_no_messages_no_output(messages: Any) -> None:
    before = copy.deepcopy(messages)
    with pytest.raises(FormatError):
        shrink_messages(messages, shrinker=PLAIN)
    assert before == messages


def test_wrong_settings_are_refused_at_once() -> None:
    for wrong in ({"keep": 0.0}, {"max_tokens": -1}, {"keep": 0.5, "max_tokens": 5}):
        with pytest.raises(ConfigError):
            shrink_messages(shrinker=PLAIN, **wrong)  # pyright: ignore[reportArgumentType, reportCallIssue]
