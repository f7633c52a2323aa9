"""The summarizer, by itself and in LangChain's middleware."""

from typing import Any

import pytest

pytest.importorskip("langchain_core")

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_ctxshrink import CtxShrinkSummarizer

from ctxshrink import ConfigError, Shrinker
from ctxshrink.expand import find_references
from ctxshrink.store import Store
from tests.integrations.agents import calls, log, shrinker
from tests.strategies import PROPERTY

PLAIN = shrinker()
TASK = "Find the order that was charged twice."


def history(turns: int) -> list[AnyMessage]:
    made: list[AnyMessage] = [HumanMessage(TASK)]
    for day in range(turns):
        made.append(calls(day, {"host": "web-1", "day": day}))
        made.append(ToolMessage(log("web-1", day), tool_call_id=f"call-{day}-0", name="read_log"))
    return made


def size(text: str) -> int:
    return PLAIN.counter.count([text])[0]


def test_all_messages_are_read_and_the_bound_holds() -> None:
    for bound in (200, 600, 2000):
        summary = CtxShrinkSummarizer(PLAIN, max_tokens=bound).invoke(history(12))
        assert size(summary) <= bound
        assert f"user: {TASK}" in summary
        assert "left out]" in summary or "omitted]" in summary
    assert sum(f"order {day * 1000 + 7} was charged twice" in summary for day in range(12)) >= 10
    assert 'read_log({"host": "web-1", "day": 0}): ' in summary


def test_what_it_says_was_said() -> None:
    said = [[f"Depot {n * 9 + i} has {i * 7} free bays." for i in range(12)] for n in range(4)]
    summary = CtxShrinkSummarizer(PLAIN, keep=0.3).invoke([AIMessage(" ".join(sentences)) for sentences in said])
    known = {sentence for sentences in said for sentence in sentences}
    for paragraph in summary.split("\n\n"):
        shown = paragraph.removeprefix("assistant: ").replace(" … ", " ").strip(" …")
        assert all(f"Depot {sentence}".strip() in known for sentence in shown.split("Depot ") if sentence)
    assert summary.count("free bays") < 24


async def test_async_gives_the_same() -> None:
    summarizer = CtxShrinkSummarizer(PLAIN, max_tokens=500)
    assert await summarizer.ainvoke(history(4)) == summarizer.invoke(history(4))


def test_nothing_is_lost_of_an_earlier_summary_without_being_counted() -> None:
    first = CtxShrinkSummarizer(PLAIN, keep=0.2).invoke(history(3))
    mark = {"lc_source": "summarization"}
    earlier = HumanMessage(f"Here is a summary of the conversation to date:\n\n{first}", additional_kwargs=mark)
    more = [earlier, *history(3)[1:]]
    again = CtxShrinkSummarizer(PLAIN, keep=0.2).invoke(more)
    assert again.startswith(first), "under keep it stays exact, without a second introduction"
    short = CtxShrinkSummarizer(PLAIN, max_tokens=120).invoke(more)
    assert size(short) <= 120
    assert TASK in short, "the task survives every summary"


def test_the_counts_of_an_earlier_summary_are_added_up() -> None:
    mark = {"lc_source": "summarization"}
    earlier = HumanMessage("user: Do it.\n\n[41 texts left out]\n\n[1 text left out]", additional_kwargs=mark)
    assert CtxShrinkSummarizer(PLAIN, max_tokens=100).invoke([earlier]) == "user: Do it.\n\n[42 texts left out]"


def test_what_is_no_text_is_named_and_instructions_stay() -> None:
    image = {"type": "image_url", "image_url": {"url": "http://a/b.png"}}
    messages: list[AnyMessage] = [
        SystemMessage("Never guess."),
        HumanMessage([{"type": "text", "text": "What is this?"}, image]),
        AIMessage([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "A wheel."}]),
        calls(1, {"text": "x" * 300}),
        ToolMessage("", tool_call_id="other"),
    ]
    made = CtxShrinkSummarizer(PLAIN, keep=1.0).invoke(messages)
    said = "instruction: Never guess.\n\nuser: What is this?\n\n[image_url: left out]\n\nassistant: A wheel.\n\n"
    assert made == said + "assistant: Step 1.\n\nassistant called: read_log(" + '{"text": "' + "x" * 300 + '"})'


def test_what_was_left_out_can_be_had_again() -> None:
    with Store.memory() as store:
        summary = CtxShrinkSummarizer(shrinker(store=store), keep=0.3).invoke(history(2))
        assert {store.load(reference) for reference in find_references(summary)} >= {log("web-1", 0), log("web-1", 1)}


def test_when_the_shrinker_fails_the_summary_is_the_transcript() -> None:
    class Broken:
        name, exact = "broken", True

        def count(self, texts: Any) -> list[int]:
            raise RuntimeError("no")

    messages: list[AnyMessage] = [HumanMessage("One."), AIMessage("Two.")]
    assert CtxShrinkSummarizer(Shrinker(counter=Broken(), guardrail=None)).invoke(messages) == (
        "user: One.\n\nassistant: Two."
    )


@PROPERTY
@given(texts=st.lists(st.text(max_size=120), max_size=8), bound=st.integers(1, 300))
def test_any_text_is_summarised(texts: list[str], bound: int) -> None:
    messages: list[AnyMessage] = [HumanMessage(t) if i % 2 else AIMessage(t) for i, t in enumerate(texts)]
    results: list[Any] = []
    summary = CtxShrinkSummarizer(PLAIN, max_tokens=bound, on_result=results.append).invoke(messages)
    over = any("over max_tokens" in w for w in results[0].warnings)
    assert over or size(summary) <= bound


def test_one_goal() -> None:
    with pytest.raises(ConfigError, match="not both"):
        CtxShrinkSummarizer(PLAIN, keep=0.5, max_tokens=100)
