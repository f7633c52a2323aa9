"""What is recorded is what happened, in any seat, thread and process."""

import asyncio
import dataclasses
import itertools
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink import Conversation, ShrinkResult, shrink_prompt
from ctxshrink.economics import Economics, Prices
from ctxshrink.observe import Observer
from ctxshrink.report import Trace
from tests.report.traffic import CHUNKS, FILLER, HOSTILE, facts, moved, read, shrinker, turn, user
from tests.strategies import PROPERTY, anthropic_conversations, documents, openai_conversations


def same(found: ShrinkResult[Any], result: ShrinkResult[Any]) -> bool:
    """All that a result says, but for its output."""
    return dataclasses.replace(found, output=None) == dataclasses.replace(result, output=None)


@PROPERTY
@given(st.lists(documents() | openai_conversations() | anthropic_conversations(), min_size=1, max_size=3))
def test_every_result_is_read_back(inputs: list[list[Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.jsonl"
        maker, results = shrinker(Trace(path)), list[ShrinkResult[Any]]()
        for items in inputs:
            messages = bool(items) and isinstance(items[0], dict) and "role" in items[0]
            results.append((maker.shrink_messages if messages else maker.shrink_documents)(items, "water?", keep=0.4))
        found = read(path).results()
    assert len(found) == len(results)
    assert all(map(same, found, results))


@PROPERTY
@given(openai_conversations(max_turns=4) | anthropic_conversations(max_turns=4), st.sampled_from([None, 60]))
def test_a_conversation_is_recorded_whole_although_only_what_is_new_is_decided(
    messages: list[dict[str, Any]], limit: int | None
) -> None:
    starts = [i for i, m in enumerate(messages) if m["role"] == "assistant" and i]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.jsonl"
        recorded, twin = Conversation(shrinker(Trace(path))), Conversation(shrinker())
        expected: list[Any] = []
        for first, last in itertools.pairwise([0, *starts, len(messages)]):
            result = recorded.extend(messages[first:last], keep=0.4, max_tokens=limit)
            whole = twin.shrink(messages[:last], keep=0.4, max_tokens=limit)
            assert result.output == whole.output
            expected.append([moved(d) for d in whole.decisions])
        found = read(path)
    assert [[moved(d) for d in r.decisions] for r in found.results()] == expected
    assert len({c.conversation for c in found.calls if c.conversation}) <= 1


@pytest.mark.parametrize("limit", [None, 900])
def test_what_was_not_decided_anew_is_said_as_the_conversation_says_it(tmp_path: Path, limit: int | None) -> None:
    recorded, twin = Conversation(shrinker(Trace(tmp_path / "t.jsonl"))), Conversation(shrinker())
    messages, expected = [{"role": "system", "content": "You read the post."}], list[Any]()
    recorded.extend(messages)
    twin.shrink(messages)
    for n in range(8):
        messages += turn(n)
        recorded.extend(turn(n), keep=0.4, max_tokens=limit)
        expected.append([facts(d) for d in twin.shrink(messages, keep=0.4, max_tokens=limit).decisions])
    assert [[facts(d) for d in r.decisions] for r in read(tmp_path / "t.jsonl").results()[1:]] == expected
    assert twin.epochs > 0 if limit else twin.epochs == 0


@pytest.mark.parametrize("mode", ["apply", "observe"])
def test_conversations_side_by_side_stay_apart(tmp_path: Path, mode: str) -> None:
    maker = shrinker(Trace(tmp_path / "t.jsonl"), mode=mode)
    sides = {name: Conversation(maker) for name in ("post", "mail")}
    expected: list[Any] = []
    for n in range(6):
        for name, side in sides.items():
            side.extend(turn(n, name), keep=0.4)
            whole = [m for k in range(n + 1) for m in turn(k, name)]
            expected.append([m["content"] for m in whole if m["content"]])
    for result, texts in zip(read(tmp_path / "t.jsonl").results(), expected, strict=True):
        assert [d.segment.text for d in result.decisions if d.segment.kind != "tool_call"] == texts


def test_a_trace_grows_with_what_is_new(tmp_path: Path) -> None:
    sizes: dict[str, int] = {}
    for how in ("extend", "shrink"):
        for turns in (8, 16):
            path = tmp_path / f"{how}-{turns}.jsonl"
            side, messages = Conversation(shrinker(Trace(path))), list[dict[str, Any]]()
            for n in range(turns):
                messages += turn(n)
                side.extend(turn(n), keep=0.4) if how == "extend" else side.shrink(messages, keep=0.4)
            assert len(read(path).calls) == turns
            sizes[path.stem] = path.stat().st_size
    assert sizes["extend-16"] < 2.3 * sizes["extend-8"]
    assert sizes["shrink-16"] < 2.3 * sizes["shrink-8"]


def test_each_text_is_there_once_whoever_writes(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    one, two = Trace(path), Trace(path)
    for trace in (one, two, one, two):
        shrinker(trace).shrink_documents(CHUNKS, "Who has plot 14?")
    lines = path.read_text("ascii").splitlines()
    texts = [line for line in lines if line.startswith('{"text"')]
    assert len(texts) == len(set(texts)) > 2
    assert len([line for line in lines if line.startswith('{"trace"')]) == 2
    assert len(read(path).calls) == 4


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_come_back(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.jsonl"
    result = shrinker(Trace(path)).shrink_documents([text, text + FILLER * 3], text)
    assert same(read(path).results()[0], result)


def test_a_call_that_takes_several_is_one(tmp_path: Path) -> None:
    maker = shrinker(Trace(tmp_path / "t.jsonl"))

    @shrink_prompt(context=["notes", "mail"], keep=0.5, shrinker=maker)
    def build(notes: list[str], mail: list[dict[str, Any]]) -> str:
        return f"{notes} {mail}"

    build(CHUNKS, [user(FILLER), {"role": "assistant", "content": FILLER}, user("Who?")])
    asyncio.run(maker.ashrink_documents(CHUNKS))
    assert len(read(tmp_path / "t.jsonl").calls) == 2


def test_it_composes_with_other_hooks(tmp_path: Path) -> None:
    inner = Observer()
    shrinker(Trace(tmp_path / "a.jsonl", telemetry=inner), mode="observe").shrink_documents(CHUNKS)
    outer = Observer(telemetry=Trace(tmp_path / "b.jsonl"))
    shrinker(outer, mode="observe").shrink_documents(CHUNKS)
    assert inner.report().calls == outer.report().calls == 1
    [one], [two] = read(tmp_path / "a.jsonl").results(), read(tmp_path / "b.jsonl").results()
    assert one == dataclasses.replace(two, seconds=one.seconds)
    assert one.mode == "observe"


def test_prices_are_recorded(tmp_path: Path) -> None:
    economics = Economics(prices=Prices(3.0, 15.0, 3.75, 0.3, provider="anthropic"), turns=4, throughput=1000.0)
    shrinker(Trace(tmp_path / "t.jsonl"), economics=economics).shrink_documents(CHUNKS)
    [call] = read(tmp_path / "t.jsonl").calls
    assert call.economics is not None
    assert call.economics.priced == economics.priced
    assert (call.economics.cache, call.economics.turns) == (economics.cache, 4)
    assert call.economics.latency == economics.latency


def test_seats_of_frameworks_are_recorded(tmp_path: Path) -> None:
    documents = pytest.importorskip("langchain_core.documents")
    seat = pytest.importorskip("langchain_ctxshrink")
    maker = shrinker(Trace(tmp_path / "t.jsonl"))
    given = [documents.Document(text) for text in CHUNKS]
    out = seat.CtxShrinkCompressor(shrinker=maker, keep=0.5).compress_documents(given, "Who has plot 14?")
    [result] = read(tmp_path / "t.jsonl").results()
    assert result.query == "Who has plot 14?"
    assert [d.text for d in result.decisions] == [d.page_content for d in out]
