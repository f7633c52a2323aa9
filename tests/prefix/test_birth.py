from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from ctxshrink import Adaptive, Conversation, Shrinker
from ctxshrink.prefix import Birth
from ctxshrink.testing import WordCounter
from ctxshrink.types import Call, Candidate, Job, Segment, Trial, Verdict
from tests.prefix.material import (
    LOG,
    RULES_FREE_OF_MINIMUM,
    agent,
    chat,
    lost_from,
    talk,
)


def test_a_tool_result_is_compressed_when_it_is_new_and_keeps_its_bytes() -> None:
    conversation, messages = talk(birth=Birth(keep=0.3)), agent(6)
    sent: list[Any] = []
    for n in range(4, len(messages) + 1, 2):
        result = conversation.shrink(messages[:n])
        newest = result.output[-1]["content"]
        assert len(newest) < 0.6 * len(messages[n - 1]["content"])
        assert "8739" in newest  # The user asked for it.
        assert result.output[: len(sent)] == sent
        assert [d.action for d in result.decisions if d.segment.id == str(n - 1)] == ["compressed"]
        sent = result.output
    assert conversation.epochs == 0


def test_birth_can_be_switched_off() -> None:
    messages = agent(1)
    assert talk(birth=None).shrink(messages).output == messages


@pytest.mark.parametrize(
    ("message", "birth"),
    [
        ({"content": "No entry was found for that page."}, Birth(keep=0.3)),
        ({"content": LOG}, Birth(keep=0.3, min_tokens=100_000)),
        ({"content": LOG}, Birth(keep=0.3, lossy_tokens=100_000)),
    ],
)
def test_short_results_stay_as_they_are(message: dict[str, Any], birth: Birth) -> None:
    messages = agent(1)
    messages[-1] |= message
    decision = talk(birth=birth).shrink(messages).decisions[-1]
    assert decision.action in ("kept", "compressed")
    assert "8739" in decision.text or message["content"] != LOG


def test_a_failed_result_stays_whole_whatever_its_size() -> None:
    block = {"type": "tool_result", "tool_use_id": "t", "content": LOG, "is_error": True}
    use = {"type": "tool_use", "id": "t", "name": "read_log", "input": {}}
    messages = [
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [block]},
    ]
    assert talk(birth=Birth(keep=0.2)).shrink(messages).output == messages
    block["is_error"] = False
    assert talk(birth=Birth(keep=0.2)).shrink(messages).output != messages


def test_a_rejecting_guardrail_leaves_the_result_whole_or_says_it_shorter_without_loss() -> None:
    class Never:
        name = "never"

        def check(self, trials: Sequence[Trial], call: Call, /) -> list[Verdict]:
            return [Verdict(False, 0.9, "no") for _ in trials]

    strict = Shrinker(policy=Adaptive(recent_turns=2), guardrail=Never(), counter=WordCounter())
    decision = Conversation(strict, provider=None).shrink(agent(1), keep=0.3).decisions[-1]
    assert all(str(i * 971) in decision.text for i in range(90))
    assert any(not a.ok for a in decision.attempts)


def test_nothing_is_taken_below_the_smallest_cached_prefix() -> None:
    messages = agent(1)
    size = sum(WordCounter().count([d.segment.text for d in talk(birth=None).shrink(messages).decisions]))
    for minimum, shrunk in ((0, True), (size - 1, False), (size + 500, False)):
        rules = replace(RULES_FREE_OF_MINIMUM, min_prefix=minimum)
        result = talk(provider=rules, birth=Birth(keep=0.3)).shrink(messages)
        assert (result.output != messages) == shrunk
        assert result.tokens_after >= min(minimum, size)
    assert talk(provider=replace(rules, min_prefix=size), prefix_tokens=size).shrink(messages).output != messages


def test_a_callers_breakpoint_does_not_stop_a_new_result_from_being_compressed() -> None:
    conversation, messages = talk(birth=Birth(keep=0.3)), agent(2)
    conversation.shrink(messages[:4])
    part = {"type": "text", "text": messages[5]["content"], "cache_control": {"type": "ephemeral"}}
    marked = [*messages[:5], {**messages[5], "content": [part]}]
    [made] = conversation.shrink(marked).output[5]["content"]
    assert len(made["text"]) < len(part["text"])
    assert made["cache_control"] == {"type": "ephemeral"}
    first = talk(birth=Birth(keep=0.3)).shrink(marked)  # Nobody knows what was sent before.
    assert first.output == marked


SOURCE = "\n".join(f"def step_{i}(x):\n    return x * {i * 37} + {i}" for i in range(40))


def test_lines_that_an_earlier_result_shows_are_referred_to_until_that_changes() -> None:
    messages = agent(8, SOURCE)
    conversation, n = talk(birth=Birth(keep=1.0)), len(messages)
    for k in range(4, n + 1, 2):
        result = conversation.shrink(messages[:k])
    first, *others = [m["content"] for m in result.output if m["role"] == "tool"]
    assert first == messages[3]["content"]
    for i, text in enumerate(others, 1):
        assert text.startswith(f"page {i}\n")
        assert "the same as in tool result 1" in text
        assert len(text) < 100
    again = talk(birth=Birth(keep=1.0, repeats=False))
    for k in range(4, n + 1, 2):
        assert again.shrink(messages[:k]).output == messages[:k]
    small = conversation.shrink(messages, max_tokens=result.tokens_after - 1)
    assert not any("the same as" in m["content"] for m in small.output if m["role"] == "tool")
    assert lost_from(small) is not None


def test_texts_that_refer_to_a_message_are_spelled_out_when_it_is_pinned() -> None:
    table = "\n".join(f"| {i} | {i * 7} | open |" for i in range(40))
    messages = agent(4, "| id | qty | state |\n| --- | --- | --- |\n" + table)
    conversation = talk(birth=Birth(keep=0.5, min_tokens=3, lossy_tokens=3))
    for k in range(4, len(messages) + 1, 2):
        before = conversation.shrink(messages[:k])
    assert before.output[3] != messages[3]
    after = conversation.shrink(messages, pin=[3])
    assert after.output[3] == messages[3]
    assert not any("the same as" in m["content"] for m in after.output)
    assert lost_from(after) == 3
    assert conversation.shrink(messages, pin=[3]).output == after.output


def test_what_was_decided_elsewhere_is_taken_over_and_counted_from_the_original() -> None:
    conversation, messages = talk(), agent(8)
    asked: list[str] = []

    def born(segment: Segment, message: Any) -> str | None:
        asked.append(segment.id)
        assert message["role"] in ("system", "user", "assistant", "tool")
        return f"short {message['tool_call_id']}" if message["role"] == "tool" else None

    for n in range(4, len(messages) + 1, 2):
        result = conversation.shrink(messages[:n], born=born, keep=0.3)
    assert [m["content"] for m in result.output[3::2]] == [f"short c{i}" for i in range(8)]
    assert len(asked) == len(set(asked)) == len(result.decisions)
    assert result.tokens_before == talk(birth=None).shrink(messages).tokens_before
    small = conversation.shrink(messages, max_tokens=result.tokens_after - 1)
    assert small.tokens_after < result.tokens_after
    larger = talk(birth=None).extend(messages, born=lambda segment, message: segment.text + " and more")
    assert larger.output == messages


def test_pinned_messages_do_not_wait_for_a_rewriting_step() -> None:
    messages, conversation = chat(240), talk(expected_turns=10_000)
    for n in range(4, len(messages), 2):
        result = conversation.shrink(messages[:n], keep=0.3, pin=lambda m: True)
    assert conversation.epochs == 0
    assert result.output == messages[: len(result.output)]


def test_a_step_that_would_save_little_is_not_taken() -> None:
    stubborn = Shrinker(policy=Adaptive(recent_turns=2), guardrail=None, counter=WordCounter(), compressors=[Nearly()])
    messages, conversation = chat(240), Conversation(stubborn, provider=RULES_FREE_OF_MINIMUM, expected_turns=500)
    for n in range(4, len(messages), 2):
        result = conversation.shrink(messages[:n], keep=0.3)
    assert conversation.epochs == 0
    assert result.output[4:] == messages[4 : len(result.output)]


class Nearly:
    """Leaves out one word."""

    name = "nearly"

    def compress(self, jobs: Sequence[Job], call: Call, /) -> list[Candidate]:
        return [Candidate(job.segment.text.rsplit(" ", 1)[0]) for job in jobs]
