from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from ctxshrink import Shrinker
from ctxshrink.bench.data import ChatRecord, Probe, RagRecord, ToolRecord
from ctxshrink.bench.scoring import Haystack
from ctxshrink.bench.tasks import TASKS, Chat, Rag, Tools
from ctxshrink.errors import ConfigError

LONG = (
    "The order was placed on Monday. It was confirmed on Tuesday. It was shipped on Friday. Nobody complained so far."
)
MESSAGES: tuple[dict[str, Any], ...] = (
    {"role": "system", "content": "Never promise a date."},
    *({"role": r, "content": f"{LONG} This was note {i}."} for i in range(4) for r in ("user", "assistant")),
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "x", "type": "function", "function": {"name": "find", "arguments": '{"n": 48213}'}}],
    },
    {"role": "tool", "tool_call_id": "x", "content": "found 1"},
    {"role": "user", "content": "And now?"},
)


def chat(*probes: Probe) -> ChatRecord:
    return ChatRecord("c", "c", "en", MESSAGES, probes)


class Meddling:
    """A shrinker whose output somebody changed."""

    def __init__(self, change: Callable[[list[dict[str, Any]]], None]) -> None:
        self._real, self._change = Shrinker(guardrail=None), change
        self.counter = self._real.counter

    def shrink_messages(self, messages: Any, **settings: Any) -> Any:
        result = self._real.shrink_messages(messages, **settings)
        output = copy.deepcopy(result.output)
        self._change(output)
        return result.with_output(output)


def test_an_honest_conversation_breaks_nothing_and_meets_its_budget() -> None:
    shrinker = Shrinker(guardrail=None)
    shrunk = Chat().shrink(shrinker, chat(), 0.4)
    assert shrunk.broken == 0
    free = [d for d in shrunk.result.decisions if not d.segment.locked]
    assert shrunk.budget == int(0.4 * sum(d.tokens_before for d in free))
    assert 0 < sum(shrinker.counter.count(list(shrunk.bound))) <= shrunk.budget
    assert len(shrunk.bound) == len(free)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m[0].update(content="Promise a date."),
        lambda m: m[-1].update(content="And now"),
        lambda m: m[-2].update(content="found 2"),
        lambda m: m[-2].update(tool_call_id="y"),
        lambda m: m[1].update(role="assistant"),
        lambda m: m[-3]["tool_calls"][0]["function"].update(arguments="{}"),
        lambda m: m.pop(1),
    ],
)
def test_every_change_to_what_is_locked_is_seen(change: Callable[[list[dict[str, Any]]], None]) -> None:
    shrunk = Chat().shrink(Meddling(change), chat(), 0.4)  # type: ignore[arg-type]
    assert shrunk.broken > 0


def test_chat_does_not_search_the_arguments_of_tool_calls() -> None:
    shrunk = Chat().shrink(Shrinker(guardrail=None), chat(), 0.4)
    assert not shrunk.haystack.contains("48213")
    assert shrunk.haystack.contains("found 1")


def test_chat_scores() -> None:
    text = Haystack("note 1, and confirmed on Tuesday")
    older, recent = Probe(("note 1", "note one"), (3,), False), Probe(("note 9",), (), True)
    told = Probe((), (3, 4), None)
    scores = Chat().scores(chat(older, recent, told), text)
    assert list(scores)[:2] == ["score", "probes"]
    assert (scores["score"], scores["probes"], scores["older"]) == (0.5, 0.5, 1.0)
    assert 0 < scores["evidence"] < 1
    assert Chat().needed(chat(older, recent, told), text) == [True, False]
    only_told = Chat().scores(chat(told), text)
    assert list(only_told) == ["score", "evidence"]
    assert Chat().scores(chat(Probe((), (), None)), text) == {}


def test_rag_scores_by_answers_then_facts_then_support() -> None:
    text = Haystack("Ada met Bo in Turin on Monday.")
    support = ("Ada met Bo in Turin",)

    def record(answers: tuple[str, ...], facts: tuple[str, ...]) -> RagRecord:
        return RagRecord("r", "r", "en", "q", ({"text": "t", "title": ""},), answers, facts, support)

    assert Rag().scores(record(("Eve",), ("Ada",)), text) == {
        "score": 0.0,
        "answers": 0.0,
        "facts": 1.0,
        "support": 1.0,
    }
    assert Rag().scores(record((), ("Ada", "Eve")), text) == {"score": 0.5, "facts": 0.5, "support": 1.0}
    assert Rag().scores(record((), ()), text) == {"score": 1.0, "support": 1.0}
    assert Rag().needed(record(("Eve", "Bo"), ()), text) == [True]
    assert Rag().needed(record((), ("Bo", "Eve")), text) == [True, False]
    assert Rag().needed(record((), ()), text) == [True]
    assert Rag().needed(record((), ()), Haystack("Ada met Eve in Rome.")) == [False]


def test_a_multi_hop_record_is_kept_when_all_its_support_is() -> None:
    one, other = "Ada met Bo in Turin on Monday.", "Turin is the capital of the region."
    record = RagRecord("r", "r", "en", "q", ({"text": "t", "title": ""},), ("Monday",), (), (one, other), True)
    both, half = Haystack(f"{one} {other}"), Haystack(f"{one} Nothing else.")
    assert Rag().scores(record, both) == {"score": 1.0, "all support": 1.0, "answers": 1.0, "support": 1.0}
    assert Rag().scores(record, half) == {"score": 0.0, "all support": 0.0, "answers": 1.0, "support": 0.5}
    assert list(Rag().scores(record, half))[:2] == ["score", "all support"]
    unsupported = RagRecord("r", "r", "en", "q", ({"text": "t", "title": ""},), ("Monday",), (), (), True)
    assert Rag().scores(unsupported, half) == {"score": 1.0, "answers": 1.0}


def test_rag_budget_is_a_share_of_all_chunks() -> None:
    shrinker = Shrinker(guardrail=None)
    docs = tuple({"text": f"{LONG} {i}", "title": "Orders"} for i in range(3))
    record = RagRecord("r", "r", "en", "When was it shipped?", docs, ("Friday",), (), ())
    shrunk = Rag().shrink(shrinker, record, 0.3)
    assert shrunk.budget == int(0.3 * sum(shrinker.counter.count([d["text"] for d in docs])))
    assert sum(shrinker.counter.count(list(shrunk.texts))) <= shrunk.budget
    assert len(shrunk.texts) == 3
    assert shrunk.haystack.contains("Friday")


def test_tools_scores_each_needle_by_any_of_its_spellings() -> None:
    record = ToolRecord("t", "t", "en", "q", "c", (("batch 17", "batch seventeen"), ("E42",)))
    assert Tools().scores(record, Haystack("Batch seventeen failed")) == {"score": 0.5, "needles": 0.5}
    assert Tools().needed(record, Haystack("E42 E421")) == [False, True]


def test_tasks_are_listed_by_name() -> None:
    assert list(TASKS) == ["rag", "chat", "tools"]
    assert [task.asks for task in TASKS.values()] == [True, False, True]


def test_what_another_process_gets_and_gives_back_for_texts() -> None:
    docs = tuple({"text": f"{LONG} {i}", "title": "Orders"} for i in range(3))
    record = RagRecord("r", "r", "en", "When was it shipped?", docs, ("Friday",), (), ())
    reference = Rag().shrink(Shrinker(guardrail=None), record, 0.5)
    assert Rag().request(record) == {"query": record.query, "texts": [d["text"] for d in docs]}
    returned = Rag().returned(reference, {"texts": ["one", "two"], "seconds": 1})
    assert (returned.texts, returned.counted, returned.broken) == (("one", "two"), ("one", "two"), 0)
    for wrong in ({}, {"texts": "one"}, {"texts": [1]}):
        with pytest.raises(ConfigError, match="without texts"):
            Rag().returned(reference, wrong)
    tool = ToolRecord("t", "t", "en", "q", "c", (("E42",),))
    assert Tools().request(tool) == {"query": "q", "texts": ["c"]}
    assert Tools().returned(reference, {"texts": ["c"]}).texts == ("c",)


def test_what_another_process_gives_back_for_a_conversation() -> None:
    reference = Chat().shrink(Shrinker(guardrail=None), chat(), 0.4)
    assert Chat().request(chat()) == {"messages": list(MESSAGES)}
    whole = Chat().returned(reference, {"messages": list(MESSAGES)})
    assert whole.broken == 0
    # The arguments of calls are counted and not searched.
    assert any("48213" in text for text in whole.counted)
    assert not any("48213" in text for text in whole.texts)
    locked = sum(d.segment.locked for d in reference.result.decisions)
    summary = {"role": "user", "content": "Prior context: orders."}
    assert Chat().returned(reference, {"messages": [summary]}).broken == locked
    shorter = [MESSAGES[0], summary, *MESSAGES[-4:]]
    assert Chat().returned(reference, {"messages": shorter}).broken < locked
    changed = [{**MESSAGES[0], "content": "Promise a date."}, *MESSAGES[1:]]
    assert Chat().returned(reference, {"messages": changed}).broken == 1
    for wrong in ({}, {"messages": "none"}, {"messages": ["text"]}, {"messages": [{"role": 5}]}):
        with pytest.raises(ConfigError):
            Chat().returned(reference, wrong)
