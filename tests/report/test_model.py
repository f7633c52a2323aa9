"""Every text, span and total of a report's data is that of the results it was made from."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink import Conversation, KeepFacts, ShrinkResult
from ctxshrink.economics import Economics, Prices, net
from ctxshrink.report import Trace
from ctxshrink.report._results import read_results
from ctxshrink.report._savings import ASKED
from ctxshrink.report.model import report_data
from ctxshrink.types import Decision, Segment
from tests.report.traffic import CHUNKS, FILLER, HOSTILE, read, shrinker, turn, user
from tests.strategies import PROPERTY, anthropic_conversations, documents, openai_conversations

PRICED = Economics(prices=Prices(3.0, 15.0, 3.75, 0.3, provider="anthropic"))


def played(path: Path, turns: int = 6, **settings: Any) -> list[ShrinkResult[Any]]:
    side = Conversation(shrinker(Trace(path), **settings))
    return [side.extend(turn(n), keep=0.4) for n in range(turns)]


def agrees(segment: dict[str, Any], decision: Decision, texts: list[str]) -> bool:
    d, s = decision, decision.segment
    said = (segment["id"], segment["kind"], segment["type"], segment["action"], segment["reason"], segment["title"])
    assert said == (s.id, s.kind, s.content_type, d.action, d.reason, s.title)
    assert (segment["before"], segment["after"], segment["keep"]) == (d.tokens_before, d.tokens_after, d.keep)
    assert (texts[segment["in"]], texts[segment["out"]]) == (s.text, d.text)
    assert segment["lock"] == (d.reason if d.action == "locked" else s.lock_reason)
    if d.spans is not None:
        assert segment["spans"] == [list(span) for span in d.spans]
        assert (None if segment["source"] is None else texts[segment["source"]]) == d.source
    assert segment["score"] == (d.verdict.score if d.verdict else segment["score"])
    assert [a["compressor"] for a in segment["attempts"]] == [a.compressor for a in d.attempts]
    assert [a["ok"] for a in segment["attempts"]] == [a.ok for a in d.attempts]
    return True


def check(data: dict[str, Any], results: list[ShrinkResult[Any]]) -> None:
    """The data against whole results."""
    texts = data["texts"]
    assert len(set(texts)) == len(texts)
    assert len(data["calls"]) == len(results)
    for call, result in zip(data["calls"], results, strict=True):
        assert (call["before"], call["after"], call["mode"]) == (result.tokens_before, result.tokens_after, result.mode)
        assert (call["counter"], call["exact"], call["risk"]) == (result.counter, result.exact, result.risk)
        assert call["warnings"] == list(result.warnings)
        assert [age for _, age in call["segments"]] == [d.segment.age for d in result.decisions]
        segments = [data["segments"][i] for i, _ in call["segments"]]
        assert sum(s["before"] for s in segments) == call["before"]
        assert sum(s["after"] for s in segments) == call["after"]
        assert all(agrees(s, d, texts) for s, d in zip(segments, result.decisions, strict=True))
    gross = sum(r.tokens_before for r in results) - sum(r.tokens_after for r in results)
    assert (data["savings"]["gross_tokens"], data["savings"]["of_tokens"]) == (
        gross,
        sum(r.tokens_before for r in results),
    )
    json.dumps(data, allow_nan=False)


@PROPERTY
@given(
    st.lists(documents() | openai_conversations() | anthropic_conversations(), min_size=1, max_size=3),
    st.booleans(),
)
def test_it_agrees_with_the_results(inputs: list[list[Any]], checked: bool) -> None:
    guardrail = KeepFacts() if checked else None
    maker, results = shrinker(guardrail=guardrail, compressors=["extractive", "lead"]), list[ShrinkResult[Any]]()
    for items in inputs:
        messages = bool(items) and isinstance(items[0], dict) and "role" in items[0]
        results.append((maker.shrink_messages if messages else maker.shrink_documents)(items, "beds?", keep=0.4))
    data = report_data(results)
    check(data, results)
    assert data == report_data(results)
    assert (data["heats"], data["heat_by"], data["bench"]) == ([], None, None)


def test_one_result_is_as_good_as_a_list() -> None:
    result = shrinker().shrink_documents(CHUNKS, "Who has plot 14?")
    assert report_data(result) == report_data([result])
    assert report_data(result, title="Post")["title"] == "Post"
    assert report_data([])["calls"] == []


def test_a_conversation_is_shown_whole(tmp_path: Path) -> None:
    played(tmp_path / "t.jsonl")
    recording = read(tmp_path / "t.jsonl")
    data = report_data(recording)
    check(data, list(recording.results()))
    assert [(c["conversation"], c["turn"]) for c in data["calls"]] == [(1, n) for n in range(1, 7)]
    assert [len(c["segments"]) for c in data["calls"]] == sorted({len(c["segments"]) for c in data["calls"]})
    assert all(c["rewrote"] == 0 for c in data["calls"])


def test_results_of_extend_are_completed_without_a_trace(tmp_path: Path) -> None:
    results = played(tmp_path / "t.jsonl")
    data = report_data(results)
    for call in data["calls"]:
        assert sum(data["segments"][i]["before"] for i, _ in call["segments"]) == call["before"]


def test_a_frozen_text_keeps_the_evidence_of_its_birth(tmp_path: Path) -> None:
    played(tmp_path / "t.jsonl")
    data = report_data(read(tmp_path / "t.jsonl"))
    frozen = [s for s in data["segments"] if s["action"] == "frozen" and s["in"] != s["out"]]
    assert frozen
    assert all(s["spans"] for s in frozen)


def test_rewriting_is_counted(tmp_path: Path) -> None:
    side = Conversation(shrinker(Trace(tmp_path / "t.jsonl")))
    results = [side.extend(turn(n), max_tokens=700) for n in range(5)]
    assert side.epochs > 0
    data = report_data(read(tmp_path / "t.jsonl"))
    announced = [any("rewritten" in w or "is lost" in w for w in r.warnings) for r in results]
    assert [c["rewrote"] > 0 for c in data["calls"]] == announced
    assert data["savings"]["net"]["cached tokens written anew"] > 0


def test_the_account_is_that_of_the_economics(tmp_path: Path) -> None:
    results = played(tmp_path / "t.jsonl", economics=PRICED)
    data = report_data(read(tmp_path / "t.jsonl"))
    account = net(results, PRICED, conversation=True)
    assert data["savings"]["notes"][0] == str(account)
    assert account.plain_cost is not None
    assert account.saved_cost is not None
    plain, sent = (sum(c["cost"][i] for c in data["calls"]) for i in (0, 1))
    assert plain == pytest.approx(account.plain_cost)
    assert plain - sent == pytest.approx(account.saved_cost)
    assert "dollars" in " ".join(data["savings"]["net"])


def test_without_prices_it_says_so(tmp_path: Path) -> None:
    played(tmp_path / "t.jsonl", turns=2)
    recording = read(tmp_path / "t.jsonl")
    data = report_data(recording)
    assert any("No prices are known" in note for note in data["savings"]["notes"])
    assert all(c["cost"] is None for c in data["calls"])
    priced = report_data(recording, economics=PRICED)
    assert all(len(c["cost"]) == 2 for c in priced["calls"])
    assert not any("No prices" in note for note in priced["savings"]["notes"])


def test_conversations_and_documents_are_told_apart(tmp_path: Path) -> None:
    maker = shrinker(Trace(tmp_path / "t.jsonl"), mode="observe")
    talk = [user("Whose bed is this? " + FILLER), {"role": "assistant", "content": "Mrs Oyelaran's."}]
    maker.shrink_messages(talk)
    maker.shrink_documents(CHUNKS)
    maker.shrink_messages([user("Where is the hose? " + FILLER)])
    maker.shrink_messages([*talk, user("Thanks.")])
    data = report_data(read(tmp_path / "t.jsonl"))
    assert [c["conversation"] for c in data["calls"]] == [1, None, 2, 1]
    assert [c["turn"] for c in data["calls"]] == [1, 2, 1, 2]
    assert any("only observed" in note for note in data["savings"]["notes"])


def test_tool_results_that_were_shrunk_beforehand_are_not_counted_twice(tmp_path: Path) -> None:
    maker = shrinker(Trace(tmp_path / "t.jsonl"))
    messages = turn(0)
    born = Segment("0", messages[-1]["content"], kind="tool_result", age=9, content_type="log")
    small = maker.shrink_segments([born], keep=0.4)
    side = Conversation(maker)
    result = side.extend(messages, born=lambda s, m: small.output["0"] if s.kind == "tool_result" else None)
    maker.shrink_segments([replace(born, text="Another one. " * 40)], keep=0.4)
    data = report_data(read(tmp_path / "t.jsonl"))
    request, other = data["calls"]
    assert (request["before"], request["after"]) == (result.tokens_before, result.tokens_after)
    assert data["savings"]["of_tokens"] == request["before"] + other["before"]
    shown = data["segments"][request["segments"][-1][0]]
    assert shown["reason"] == "decided elsewhere"
    assert shown["spans"] == [list(span) for span in small.decisions[0].spans or ()]
    assert [a["compressor"] for a in shown["attempts"]] == ["lead"]
    assert any("tool results (1)" in note for note in data["savings"]["notes"])


def test_originals_that_were_asked_for_again_are_subtracted(tmp_path: Path) -> None:
    side = Conversation(shrinker(Trace(tmp_path / "t.jsonl")))
    for messages in (turn(0), turn(1, "expand"), turn(2)):
        result = side.extend(messages, keep=0.4)
    [asked] = (d for d in read(tmp_path / "t.jsonl").results()[1].decisions if d.reason == ASKED)
    found = report_data(read(tmp_path / "t.jsonl"))["savings"]
    assert asked.text == turn(1, "expand")[-1]["content"]
    assert found["net"]["tokens of originals asked for again"] == asked.tokens_before > 0
    assert "net of expansions" in found["notes"][0]
    assert result.tokens_after > asked.tokens_after


def test_counters_that_differ_are_not_added_up(tmp_path: Path) -> None:
    trace = Trace(tmp_path / "t.jsonl")
    shrinker(trace).shrink_documents(CHUNKS)
    shrinker(trace, counter=lambda text: len(text.split())).shrink_documents(CHUNKS)
    found = report_data(read(tmp_path / "t.jsonl"))["savings"]
    assert found["net"] is None
    assert any("different counters" in note for note in found["notes"])


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_are_data(text: str) -> None:
    data = report_data(shrinker().shrink_documents([text + FILLER * 2, text], text), title=text)
    assert data["title"] == text
    assert text in data["texts"]


@PROPERTY
@given(documents() | openai_conversations())
def test_a_result_as_json_shows_the_same(items: list[Any]) -> None:
    maker = shrinker(guardrail=KeepFacts(), compressors=["extractive", "structural", "lead"])
    messages = bool(items) and isinstance(items[0], dict) and "role" in items[0]
    result = (maker.shrink_messages if messages else maker.shrink_documents)(items, keep=0.5)
    written = json.loads(json.dumps({"output": None, **result.to_dict(text=True)}))
    found, straight = report_data(read_results([written], "r.json")), report_data(result)
    for data in (found, straight):
        data["calls"][0] |= {"seconds": 0, "risk": 0}
        data["savings"] |= {"net": None, "notes": []}
        for segment in data["segments"]:
            segment |= {"keep": 0, "score": 0}
            for attempt in segment["attempts"]:
                attempt |= {"keep": 0, "score": 0, "features": {}}
    assert found == straight
