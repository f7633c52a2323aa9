from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from ctxshrink import Adaptive, ConfigError, Shrinker
from ctxshrink.bench.cache import Outcome, Strategy, replay, strategies, summarize
from ctxshrink.bench.data import ChatRecord, Probe
from ctxshrink.cli import app
from ctxshrink.economics import Usage
from ctxshrink.economics.simulated import SimulatedCache, render
from ctxshrink.prefix import Birth
from ctxshrink.providers import RULES
from ctxshrink.testing import WordCounter

MARKED = replace(RULES["anthropic"], min_prefix=20)
STEPPED = replace(RULES["openai"], min_prefix=20, step=8)


def text(words: int, name: str = "w") -> str:
    return " ".join(f"{name}{i}" for i in range(words))


def talk(*words: int) -> list[dict[str, Any]]:
    return [
        {"role": "system" if i == 0 else ("user", "assistant")[i % 2 - 1], "content": text(n)}
        for i, n in enumerate(words)
    ]


def size(messages: list[dict[str, Any]]) -> int:
    return sum(WordCounter().count([render(m) for m in messages]))


def test_a_growing_conversation_is_read_up_to_its_last_request() -> None:
    cache, messages = SimulatedCache(MARKED, WordCounter()), talk(30, 10, 10, 10)
    assert cache.request(messages[:2]) == Usage(written=size(messages[:2]))
    assert cache.request(messages) == Usage(read=size(messages[:2]), written=size(messages[2:]))
    assert cache.request(messages) == Usage(read=size(messages))


def test_a_change_costs_everything_after_the_last_mark_before_it() -> None:
    cache, messages = SimulatedCache(MARKED, WordCounter()), talk(30, 10, 10, 10, 10)
    for n in (2, 4):
        cache.request(messages[:n])
    changed = [*messages[:3], {"role": "user", "content": "other"}, messages[4]]
    assert cache.request(changed) == Usage(read=size(messages[:2]), written=size(changed[2:]))
    early = [messages[0], {"role": "user", "content": "other"}, *messages[2:]]
    assert cache.request(early) == Usage(read=size(messages[:1]), written=size(early[1:]))


@pytest.mark.parametrize("rules", [MARKED, STEPPED])
def test_short_requests_and_old_entries_are_not_cached(rules: Any) -> None:
    cache, messages = SimulatedCache(replace(rules, min_prefix=60), WordCounter()), talk(4, 4)
    assert cache.request(messages) == Usage(uncached=size(messages))
    assert cache.request(messages) == Usage(uncached=size(messages))
    messages = talk(30, 30)
    first = cache.request(messages)
    assert cache.request(messages, seconds=rules.lifetime).read > 0
    assert cache.request(messages, seconds=rules.lifetime + 1) == first


def test_without_marks_a_prefix_is_read_in_steps_to_the_first_difference() -> None:
    cache = SimulatedCache(STEPPED, WordCounter())
    cache.request([{"role": "user", "content": text(40) + " " + text(40, "a")}])
    usage = cache.request([{"role": "user", "content": text(40) + " " + text(40, "b")}])
    assert 32 <= usage.read <= 48
    assert usage.read % 8 == 0
    assert usage.input == size([{"role": "user", "content": text(80)}])


@given(
    sizes=st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=6), min_size=1, max_size=6),
    rules=st.sampled_from([MARKED, STEPPED]),
)
def test_every_token_is_billed_once(sizes: list[list[int]], rules: Any) -> None:
    cache = SimulatedCache(rules, WordCounter())
    for words in sizes:
        messages = talk(*words)
        usage = cache.request(messages)
        assert usage.input == size(messages)
        assert min(usage.uncached, usage.written, usage.read) >= 0


LOG = "\n".join(f"10:{i % 60:02d} worker-{i % 7} finished job {i * 971} in {i % 13} ms" for i in range(90))


def record() -> ChatRecord:
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": text(120)},
        {"role": "user", "content": "When did job 8739 finish?"},
    ]
    for i in range(4):
        call = {"id": f"c{i}", "type": "function", "function": {"name": "read", "arguments": f'{{"page": {i}}}'}}
        messages.append({"role": "assistant", "content": "I look.", "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": f"c{i}", "content": f"page {i}\n{LOG}"})
    probes = (Probe(("8739",), (3,), True), Probe(("page 0",), (3,), False))
    return ChatRecord("r", "g", "en", tuple(messages), probes)


def shrinker() -> Shrinker:
    return Shrinker(policy=Adaptive(recent_turns=2), guardrail=None, counter=WordCounter(), compressors=["extractive"])


def test_the_conversation_is_cheaper_than_nothing_and_rewriting_dearer() -> None:
    plans = strategies(shrinker(), keep=0.3, birth=Birth(min_tokens=10, lossy_tokens=10), peers=False)
    outcomes = replay(record(), plans, ["anthropic", "openai"], WordCounter())
    lines = {(s.provider, s.strategy): s for s in summarize(outcomes)}
    for provider in ("anthropic", "openai"):
        assert lines[provider, "none"].share == 1
        assert lines[provider, "ctxshrink"].share < 0.9
        assert lines[provider, "ctxshrink"].share < lines[provider, "rewrite every turn"].share
        assert lines[provider, "none"].probes == 1
    assert {o.requests for o in outcomes} == {4}


def test_langchains_strategies_leave_the_messages_messages() -> None:
    pytest.importorskip("langchain")
    from ctxshrink.bench.editing import clear_tool_uses, trim

    messages = [dict(m) for m in record().messages]
    cleared = clear_tool_uses(10).start(messages, MARKED)(messages)
    assert [m["content"] == "[cleared]" for m in cleared] == [i == 3 for i in range(len(messages))]
    assert clear_tool_uses(100_000).start(messages, MARKED)(messages) == messages
    trimmed = trim().start(messages, MARKED)(messages)
    assert trimmed[0] == messages[0]
    assert 1 < len(trimmed) < len(messages)
    assert all(m in messages for m in trimmed)
    assert trimmed[1]["role"] != "tool"


def test_summaries_are_shares_of_doing_nothing() -> None:
    def outcome(record: str, strategy: str, cost: float, probes: float | None) -> Outcome:
        return Outcome(record, strategy, "openai", cost, Usage(uncached=10), 1, probes, None)

    pairs = [outcome("a", "none", 2, 1), outcome("b", "none", 4, None), outcome("c", "none", 0, 1)]
    mine = [outcome("a", "x", 1, 0.5), outcome("b", "x", 5, None), outcome("c", "x", 0, 1)]
    none, line = summarize([*pairs, *mine])
    assert (none.share, none.worst, none.over) == (1, 1, 0)
    assert (line.share, line.worst, line.over) == pytest.approx(((0.5 + 1.25 + 1) / 3, 1.25, 1 / 3))
    assert (line.probes, line.older, line.tokens) == (0.75, None, 1)
    with pytest.raises(ConfigError, match="none"):
        summarize(mine)


def test_an_unknown_provider_is_refused() -> None:
    with pytest.raises(ConfigError, match="--providers"):
        replay(record(), {"none": Strategy(lambda whole, rules: lambda m: m)}, ["nobody"], WordCounter())


def test_the_command_writes_what_it_shows(tmp_path: Path) -> None:
    made = record()
    probes = [{"answers": list(p.answers), "evidence_message_idx": list(p.evidence)} for p in made.probes]
    data, report = tmp_path / "agent.jsonl", tmp_path / "out.json"
    data.write_text(json.dumps({"id": "r", "messages": list(made.messages), "probes": probes}) + "\n")
    options = ["--data", str(data), "--no-guardrail", "--no-peers", "--providers", "anthropic", "--json", str(report)]
    done = CliRunner().invoke(app, ["bench", "cost", *options])
    assert done.exit_code == 0, done.output
    found = json.loads(report.read_text())
    shown = [s["strategy"] for s in found["summaries"]["agent"]]
    assert shown == ["none", "ctxshrink", "rewrite every turn", "ctxshrink, economics", "every turn, economics"]
    assert "rewrite every turn" in done.output
    wrong = CliRunner().invoke(app, ["bench", "cost", "--data", str(data), "--providers", "nobody"])
    assert wrong.exit_code != 0
    assert "anthropic" in wrong.output
