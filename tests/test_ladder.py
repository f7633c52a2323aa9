import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxshrink.compressors import get_compressor
from ctxshrink.ladder import Ladder, softer
from ctxshrink.testing import BrokenCompressor, ScriptedGuardrail, call_for, jobs_for
from ctxshrink.types import Call, Candidate, Job, OnReject, Trial, Verdict

TEXTS = ["one two three four five six seven eight nine ten", "a b c d e f g h i j"]


class Words:
    """Keeps the first words."""

    name = "words"

    def __init__(self) -> None:
        self.batches: list[list[Job]] = []

    def compress(self, jobs: Sequence[Job], call: Call, /) -> list[Candidate]:
        self.batches.append(list(jobs))
        return [Candidate(" ".join(j.segment.text.split()[: j.max_tokens])) for j in jobs]


def run(compressors: list[Any], guardrail: Any = None, on_reject: OnReject = "exceed", keep: float = 0.4, **call: Any):
    made = replace(call_for(TEXTS), **call)
    ladder = Ladder(compressors, guardrail, on_reject, get_compressor("lead"))
    return ladder.run(jobs_for(made, keep), made)


def test_accepted_at_once() -> None:
    decisions = run([Words()], ScriptedGuardrail())
    assert [d.text for d in decisions.values()] == ["one two three four", "a b c d"]
    assert {d.action for d in decisions.values()} == {"compressed"}
    assert all(len(d.attempts) == 1 and d.tokens_after == 4 for d in decisions.values())


def test_a_rejection_leads_to_a_softer_keep_of_that_segment_alone() -> None:
    compressor = Words()
    decisions = run([compressor], ScriptedGuardrail([False, True, True]))
    assert [len(b) for b in compressor.batches] == [2, 1]
    assert decisions["0"].tokens_after == 7 == int(10 * softer(0.4))
    assert [a.ok for a in decisions["0"].attempts] == [False, True]
    assert len(decisions["1"].attempts) == 1


def test_then_the_next_compressor_then_the_original() -> None:
    first, second = Words(), Words()
    decisions = run([first, second], ScriptedGuardrail([False, True, False, False, False]))
    assert decisions["0"].action == "fallback"
    assert decisions["0"].text == TEXTS[0]
    assert "as scripted" in decisions["0"].reason
    assert [a.ok for a in decisions["0"].attempts] == [False] * 4
    assert len(second.batches) == 2


@pytest.mark.parametrize("how", ["raise", "short", "grow", "error"])
@pytest.mark.parametrize("on_reject", ["exceed", "budget"])
def test_a_broken_compressor_is_a_failed_attempt(how: str, on_reject: OnReject) -> None:
    decisions = run([BrokenCompressor(how), Words()], on_reject=on_reject)
    assert [d.text for d in decisions.values()] == ["one two three four", "a b c d"]
    assert all(d.attempts[0].error for d in decisions.values())


def test_a_poisoned_text_costs_only_itself() -> None:
    class Picky(Words):
        def compress(self, jobs: Sequence[Job], call: Call, /) -> list[Candidate]:
            if any("three" in j.segment.text for j in jobs):
                raise ValueError("poison")
            return super().compress(jobs, call)

    decisions = run([Picky()])
    assert decisions["0"].action == "fallback"
    assert "ValueError: poison" in decisions["0"].reason
    assert decisions["1"].action == "compressed"


def test_the_budget_holds_when_all_is_rejected() -> None:
    decisions = run([Words()], ScriptedGuardrail([False] * 9), "budget")
    assert [d.action for d in decisions.values()] == ["forced", "forced"]
    assert sum(d.tokens_after for d in decisions.values()) <= 8
    assert all("forced by the budget, against the verdict: as scripted" in d.reason for d in decisions.values())


def test_the_budget_holds_when_all_compressors_fail() -> None:
    decisions = run([BrokenCompressor()], None, "budget")
    assert sum(d.tokens_after for d in decisions.values()) <= 8
    assert {d.action for d in decisions.values()} == {"forced"}
    assert all("scripted failure" in d.reason for d in decisions.values())


def test_what_one_leaves_over_softens_another() -> None:
    class Thrifty(Words):
        def compress(self, jobs: Sequence[Job], call: Call, /) -> list[Candidate]:
            made = super().compress(jobs, call)
            return [Candidate("a") if j.segment.id == "1" else c for j, c in zip(jobs, made, strict=True)]

    decisions = run([Thrifty()], ScriptedGuardrail([False, True, True]), "budget")
    assert decisions["0"].tokens_after == 7
    assert sum(d.tokens_after for d in decisions.values()) <= 8


def test_jobs_may_trade_but_not_exceed_the_sum() -> None:
    class Greedy(Words):
        def compress(self, jobs: Sequence[Job], call: Call, /) -> list[Candidate]:
            return [Candidate(" ".join(j.segment.text.split()[:9])) for j in jobs]

    decisions = run([Greedy()])
    assert {d.action for d in decisions.values()} == {"fallback"}
    assert all("more than its share of 4" in (d.attempts[0].error or "") for d in decisions.values())


class Raising:
    name = "raising"

    def check(self, trials: Sequence[Trial], call: Call, /) -> list[Verdict]:
        raise OSError("model file is gone")


class Short:
    name = "short"

    def check(self, trials: Sequence[Trial], call: Call, /) -> list[Verdict]:
        return []


class NotANumber:
    name = "nan"

    def check(self, trials: Sequence[Trial], call: Call, /) -> list[Verdict]:
        return [Verdict(True, float("nan"), "fine") for _ in trials]


@pytest.mark.parametrize(
    ("guardrail", "said"),
    [(Raising(), "model file is gone"), (Short(), "0 verdicts for 2 texts"), (NotANumber(), "not a number")],
)
def test_a_broken_guardrail_accepts_nothing(guardrail: Any, said: str) -> None:
    decisions = run([Words()], guardrail)
    assert {d.action for d in decisions.values()} == {"fallback"}
    assert said in decisions["0"].reason


@pytest.mark.parametrize("on_reject", ["exceed", "budget"])
def test_a_hanging_compressor_is_left_behind(on_reject: OnReject) -> None:
    release = threading.Event()

    class Hanging(Words):
        def compress(self, jobs: Sequence[Job], call: Call, /) -> list[Candidate]:
            release.wait(30)
            return super().compress(jobs, call)

    decisions = run([Hanging()], None, on_reject, deadline=time.monotonic() + 0.05)
    release.set()
    assert all("deadline" in d.reason for d in decisions.values())
    assert {d.action for d in decisions.values()} == ({"fallback"} if on_reject == "exceed" else {"forced"})


def test_identical_text_is_kept_and_not_judged() -> None:
    class Nothing(Words):
        def compress(self, jobs: Sequence[Job], call: Call, /) -> list[Candidate]:
            return [Candidate(j.segment.text) for j in jobs]

    guardrail = ScriptedGuardrail([False])
    made = call_for(TEXTS[:1])
    jobs = [Job(made.segments[0], 0.9, 10)]
    [decision] = Ladder([Nothing()], guardrail, "exceed", get_compressor("lead")).run(jobs, made).values()
    assert decision.action == "kept"
    assert not guardrail.seen


def test_the_verdict_is_on_the_text_that_came_out() -> None:
    class Scores:
        name = "scores"

        def check(self, trials: Sequence[Trial], call: Call, /) -> list[Verdict]:
            return [Verdict(False, 0.6 if len(t.text.split()) <= 4 else 0.9, "no") for t in trials]

    decisions = run([Words(), Words()], Scores(), "budget")
    assert {d.verdict.score for d in decisions.values() if d.verdict} == {0.6}
    assert all(d.tokens_after == 4 for d in decisions.values())


class Trader:
    """Shares the batch's tokens out anew: some texts get more than their own share, others less."""

    def __init__(self, name: str, greed: list[float]) -> None:
        self.name, self.greed = name, greed

    def compress(self, jobs: Sequence[Job], call: Call, /) -> list[Candidate]:
        left = sum(j.max_tokens for j in jobs)
        out: list[Candidate] = []
        for j, greed in zip(jobs, self.greed, strict=False):
            words = j.segment.text.split()
            taken = min(len(words), int(greed * left))
            left -= taken
            out.append(Candidate(" ".join(words[:taken])))
        return out


class Verdicts:
    """Accepts and rejects as told, over and over."""

    name = "verdicts"

    def __init__(self, told: list[bool]) -> None:
        self.told, self.at = told, 0

    def check(self, trials: Sequence[Trial], call: Call, /) -> list[Verdict]:
        first, self.at = self.at, self.at + len(trials)
        return [Verdict(self.told[i % len(self.told)], 0.5, "as told") for i in range(first, self.at)]


GREED = st.lists(st.floats(0, 1), min_size=4, max_size=4)


@settings(max_examples=300, deadline=None)
@given(st.lists(GREED, min_size=1, max_size=3), st.lists(st.booleans(), min_size=1, max_size=9), st.floats(0.05, 0.9))
def test_the_shares_bind_whatever_was_traded_and_rejected(
    greeds: list[list[float]], told: list[bool], keep: float
) -> None:
    call = call_for([*TEXTS, "w " * 40, "x y z " * 4])
    jobs = jobs_for(call, keep)
    compressors = [Trader(f"trader {i}", greed) for i, greed in enumerate(greeds)]
    decisions = Ladder(compressors, Verdicts(told), "budget", get_compressor("lead")).run(jobs, call)
    assert sum(d.tokens_after for d in decisions.values()) <= sum(j.max_tokens for j in jobs)


class Shorter:
    """Renders everything with one word less, or fails."""

    name = "shorter"

    def __init__(self, fails: bool = False) -> None:
        self.fails = fails

    def compress(self, jobs: Sequence[Job], call: Call, /) -> list[Candidate]:
        if self.fails:
            raise OSError("gone")
        whole = [" ".join(j.segment.text.split()[1:]) for j in jobs]
        return [Candidate(t, source=t, form="fewer words") for t in whole]


def test_what_is_restored_keeps_its_attempts_and_says_why() -> None:
    call = call_for(TEXTS)
    ladder = Ladder([Words()], ScriptedGuardrail(), "exceed", get_compressor("lead"))
    decided = ladder.run(jobs_for(call, 0.4), call)
    [back] = ladder.restore([decided["1"]], call, "it was too much").values()
    assert (back.segment.id, back.action, back.text) == ("1", "fallback", TEXTS[1])
    assert (back.tokens_after, back.spans, back.source) == (10, ((0, len(TEXTS[1])),), None)
    assert back.reason == "original kept: it was too much"
    assert back.attempts == decided["1"].attempts
    assert ladder.restore([], call, "nothing") == {}


def test_what_is_restored_is_rendered_where_that_is_shorter() -> None:
    call = call_for([*TEXTS, "k"])
    made = Ladder([Words()], ScriptedGuardrail(), "exceed", get_compressor("lead"))
    decided = list(made.run(jobs_for(call, 0.4), call).values())
    restored = replace(made, whole=Shorter()).restore(decided, call, "it was too much")
    assert [d.tokens_after for d in restored.values()] == [9, 9, 0]
    assert restored["0"].reason == "nothing left out, rendered as fewer words: it was too much"
    assert [a.compressor for a in restored["0"].attempts] == ["words", "shorter"]
    broken = replace(made, whole=Shorter(fails=True)).restore(decided, call, "it was too much")
    assert [d.text for d in broken.values()] == [*TEXTS, "k"]
    late = replace(call, deadline=time.monotonic() - 1)
    passed = replace(made, whole=Shorter()).restore(decided, late, "it was too much")
    assert [d.text for d in passed.values()] == [*TEXTS, "k"]
    assert "the deadline passed; it was too much" in passed["0"].reason
