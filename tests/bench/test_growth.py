from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from ctxshrink import Adaptive, Conversation, Shrinker
from ctxshrink.bench.growth import grow, synthetic
from ctxshrink.cli import app
from ctxshrink.messages import detect
from ctxshrink.testing import WordCounter


class Counting:
    """Counts words, and how many it was asked to count."""

    name, exact = "counting", False

    def __init__(self) -> None:
        self.asked = 0

    def count(self, texts: Any, /) -> list[int]:
        counts = WordCounter().count(texts)
        self.asked += sum(counts)
        return counts


def conversation(counter: Any, **settings: Any) -> Conversation:
    shrinker = Shrinker(policy=Adaptive(), guardrail=None, counter=counter, compressors=["lead"])
    return Conversation(shrinker, **settings)


def test_work_goes_with_what_is_new() -> None:
    counter = Counting()
    talk, asked = conversation(counter, expected_turns=1), list[int]()
    for messages in synthetic(200):
        before = counter.asked
        talk.extend(messages, keep=0.5)
        asked.append(counter.asked - before)
    first, last = sum(asked[20:60]), sum(asked[160:200])
    assert last < 1.3 * first


def test_every_turn_starts_with_the_one_before_unless_it_is_announced() -> None:
    found = grow(conversation(WordCounter(), expected_turns=100_000, birth=None), 120, every=30)
    assert found.broken == ()
    assert found.epochs
    assert len(found.seconds) == len(found.tokens_before) == 4
    assert found.tokens_after[-1] < 0.8 * found.tokens_before[-1]
    assert found.memory == ()


def test_a_break_is_noticed() -> None:
    class Forgetful(Conversation):
        def extend(self, *args: Any, **settings: Any) -> Any:
            result = super().extend(*args, **settings)
            return result.with_output([{**m, "content": f"{len(result.output)}"} for m in result.output])

    made = Forgetful(Shrinker(guardrail=None, counter=WordCounter(), compressors=["lead"]))
    assert grow(made, 6, every=3).broken == (1, 2, 3, 4, 5)


def test_memory_is_measured_where_asked_for() -> None:
    found = grow(conversation(WordCounter()), 20, every=10, memory=True)
    assert 0 < found.memory[0] < found.memory[1]


def test_synthetic_messages_are_a_valid_conversation_and_the_same_each_time() -> None:
    messages = [m for turn in synthetic(30) for m in turn]
    assert messages == [m for turn in synthetic(30) for m in turn]
    assert detect(messages).name == "openai"
    called = [c["id"] for m in messages for c in m.get("tool_calls", ())]
    assert called == [m["tool_call_id"] for m in messages if m["role"] == "tool"]


def test_the_command(tmp_path: Path) -> None:
    report = tmp_path / "out.json"
    done = CliRunner().invoke(app, ["bench", "growth", "--turns", "12", "--no-guardrail", "--json", str(report)])
    assert done.exit_code == 0, done.output
    assert "every turn starts with the one before" in done.output
    assert json.loads(report.read_text())["turns"] == 12
