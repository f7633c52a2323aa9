from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink import Adaptive, Conversation, Shrinker
from ctxshrink.prefix import Birth, Memo
from ctxshrink.testing import WordCounter
from ctxshrink.types import Call, Trial, Verdict
from tests.prefix.material import (
    GOALS,
    SETTINGS,
    agent,
    lost_from,
    talk,
    turns,
)
from tests.strategies import PROPERTY, anthropic_conversations, openai_conversations


@PROPERTY
@given(
    pair=st.one_of(*(st.tuples(h, h) for h in (openai_conversations(), anthropic_conversations()))),
    goal=GOALS,
    settings=SETTINGS,
)
def test_after_a_restart_with_the_same_memo_the_bytes_are_the_same(
    pair: tuple[list[Any], list[Any]], goal: Any, settings: Any
) -> None:
    memo, (messages, more) = Memo(), pair
    before = talk(memo=memo, **settings)
    for turn in turns(messages):
        sent = before.extend(turn, **goal).output
    result = talk(memo=memo, **settings).shrink([*messages, *more], **goal)
    lost = lost_from(result)
    if messages and settings["provider"] is not None:
        assert result.output[:lost][: len(messages)] == sent[:lost]


def test_a_memo_serves_another_conversation_with_the_same_result() -> None:
    class Counting:
        name, calls = "counting", 0

        def check(self, trials: Sequence[Trial], call: Call, /) -> list[Verdict]:
            self.calls += 1
            return [Verdict(True, 0.0, "yes") for _ in trials]

        def __repr__(self) -> str:
            return "Counting()"

    guardrail, memo, other = Counting(), Memo(), agent(1)
    settings: Any = {"policy": Adaptive(recent_turns=2), "guardrail": guardrail, "counter": WordCounter()}
    other[0] = {"role": "system", "content": "Be brief."}
    one = Conversation(Shrinker(**settings), provider=None, memo=memo).shrink(agent(1), keep=0.3)
    asked = guardrail.calls
    two = Conversation(Shrinker(**settings), provider=None, memo=memo).shrink(other, keep=0.3)
    assert asked
    assert guardrail.calls == asked
    assert one.output[-1] == two.output[-1]


def test_a_failing_memo_costs_a_warning() -> None:
    class Broken:
        def remember(self, texts: Mapping[str, str], /) -> None:
            raise OSError("disk full")

        def recall(self, keys: Sequence[str], /) -> dict[str, str]:
            raise OSError("no such table")

    messages = agent(3)
    result = talk(memo=Broken()).shrink(messages, keep=0.3)
    assert result.output == talk().shrink(messages, keep=0.3).output
    assert {"disk full" in w for w in result.warnings} == {True, False}


def test_a_memo_is_bounded() -> None:
    memo = Memo(most=2000)
    memo.remember({str(i): "x" * 100 for i in range(50)})
    assert len(memo.recall([str(i) for i in range(50)])) < 5
    assert memo.recall(["49"]) == {"49": "x" * 100}


def test_threads_share_a_conversation() -> None:
    messages, conversation = agent(8), talk(birth=Birth(keep=0.3))
    with ThreadPoolExecutor(4) as pool:
        outputs = list(pool.map(lambda _: conversation.shrink(messages, keep=0.3).output, range(8)))
    assert all(o == outputs[0] for o in outputs)


WORKER = """
import json, sys
from ctxshrink.store import Store
from tests.prefix.material import agent, talk
from ctxshrink.prefix import Birth
conversation, messages = talk(birth=Birth(keep=0.3), memo=Store(sys.argv[1])), agent(200)
for n in range(4, len(messages) + 1, 2):
    print(json.dumps(conversation.shrink(messages[:n], max_tokens=6000).output), flush=True)
"""


def test_a_killed_process_goes_on_with_the_same_bytes(tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    from ctxshrink.store import Store

    url = f"sqlite:///{tmp_path / 'memo.db'}"
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", WORKER, url], stdout=subprocess.PIPE, cwd=root, text=True) as worker:
        assert worker.stdout is not None
        lines = [worker.stdout.readline() for _ in range(5)]
        worker.kill()
    sent = json.loads(lines[-1])
    restarted = talk(birth=Birth(keep=0.3), memo=Store(url))
    result = restarted.shrink(agent(200)[: len(sent)], max_tokens=6000)
    assert result.output == sent
    assert sent != agent(200)[: len(sent)]
    assert [d.segment.text for d in result.decisions if d.segment.kind == "tool_result"] == [
        m["content"] for m in agent(200)[: len(sent)] if m["role"] == "tool"
    ]
