"""Whole outputs: judged once more, and softened until they are accepted."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink import AllOf, KeepFacts, PerplexityGuardrail, Shrinker
from ctxshrink._output import settle
from ctxshrink.compressors import get_compressor
from ctxshrink.drift import rejected_nothing
from ctxshrink.ladder import Ladder
from ctxshrink.testing import FakeScorer, ScriptedGuardrail, WordCounter, call_for, jobs_for
from ctxshrink.types import Call, Candidate, Decision, Job, OnReject, OutputGuardrail, Trial, Verdict
from tests.strategies import PROPERTY, texts

TEXTS = ("one two three four five six seven eight nine ten", "a b c d e f g h i j", "red green blue white black grey")
DOCS = [
    "The canteen opens at noon. Soup is served first. The cook is called Irma. Bread is free on Mondays.",
    "The bridge was closed on 3 May. Lorries take the ring road. Cyclists may pass. The toll is 7 euros.",
    "The harbour master keeps the keys. Boats leave at dawn. Fog delays them. Pier 4 is under water.",
]


class Words:
    """Keeps the first words."""

    name = "words"

    def compress(self, jobs: Sequence[Job], call: Call, /) -> list[Candidate]:
        return [Candidate(" ".join(j.segment.text.split()[: j.max_tokens])) for j in jobs]


class Whole(ScriptedGuardrail):
    """Accepts every segment, with a risk by its id, and outputs by a rule; notes what it judged."""

    def __init__(self, rule: Callable[[Mapping[str, Trial]], bool], risks: Mapping[str, float] | None = None) -> None:
        super().__init__(name="whole")
        self.rule, self.risks = rule, risks or {}
        self.outputs: list[dict[str, str]] = []

    def check(self, trials: Sequence[Trial], call: Call, /) -> list[Verdict]:
        return [Verdict(True, self.risks.get(t.segment.id, 0.1), "accepted alone") for t in trials]

    def check_output(self, trials: Sequence[Trial], call: Call, /) -> Verdict:
        self.outputs.append({t.segment.id: t.text for t in trials})
        ok = self.rule({t.segment.id: t for t in trials})
        return Verdict(ok, 0.2 if ok else 0.8, "keeps enough" if ok else "drops too much")


def lost(trials: Mapping[str, Trial]) -> int:
    return sum(len(t.segment.text.split()) - len(t.text.split()) for t in trials.values())


def run(guardrail: Any, on_reject: OnReject = "exceed", keep: float = 0.4, **changes: Any) -> Any:
    call = replace(call_for(TEXTS), **changes)
    jobs = jobs_for(call, keep)
    ladder = Ladder([Words()], guardrail, on_reject, get_compressor("lead"))
    decided = ladder.run(jobs, replace(call, deadline=None))
    return decided, settle(decided, jobs, ladder, guardrail, call, on_reject == "exceed")


def actions(decisions: Mapping[str, Decision]) -> dict[str, str]:
    return {i: d.action for i, d in decisions.items()}


def test_an_accepted_output_is_left_as_it_is() -> None:
    decided, settled = run(Whole(lambda trials: True))
    assert settled.decisions == decided
    assert settled.first == settled.last == Verdict(True, 0.2, "keeps enough")


def test_the_riskiest_comes_back_and_no_more_than_need_be() -> None:
    guardrail = Whole(lambda trials: "1" not in trials, {"0": 0.1, "1": 0.9, "2": 0.2})
    decided, settled = run(guardrail)
    assert actions(settled.decisions) == {"0": "compressed", "1": "fallback", "2": "compressed"}
    back = settled.decisions["1"]
    assert back.text == TEXTS[1]
    assert back.tokens_after == back.tokens_before
    assert back.reason == "original kept: the whole output drops too much"
    assert settled.decisions["0"] == decided["0"]
    assert (settled.first.ok, settled.last.ok) == (False, True)


def test_what_came_out_first_stays_on_record_with_the_verdict_on_the_output() -> None:
    decided, settled = run(Whole(lambda trials: "1" not in trials, {"1": 0.9}))
    first, last = settled.decisions["1"].attempts
    assert (first, last.verdict) == (decided["1"].attempts[0], settled.first)
    assert last == replace(first, verdict=settled.first)
    assert not last.ok


def test_a_softer_output_is_taken_where_it_is_cheaper_than_whole_segments() -> None:
    _, settled = run(Whole(lambda trials: lost(trials) <= 8))
    assert actions(settled.decisions) == dict.fromkeys("012", "compressed")
    assert settled.last.ok
    for decision in settled.decisions.values():
        assert [a.ok for a in decision.attempts] == [True, False, True]
        assert decision.tokens_after > 0.6 * decision.tokens_before
        assert decision.keep == jobs_for(call_for(TEXTS), 0.4)[0].keep  # what was asked for, not what it came to
    assert sum(d.tokens_after for d in settled.decisions.values()) >= 26 - 8


def test_where_nothing_is_accepted_all_of_it_comes_back() -> None:
    _, settled = run(Whole(lambda trials: False))
    assert [d.text for d in settled.decisions.values()] == list(TEXTS)
    assert set(actions(settled.decisions).values()) == {"fallback"}
    assert settled.last is None


def test_a_budget_binds_whatever_the_verdict() -> None:
    decided, settled = run(Whole(lambda trials: False), "budget")
    assert list(settled.decisions) == list(decided)
    assert settled.first == settled.last == Verdict(False, 0.8, "drops too much")
    for i, decision in settled.decisions.items():
        *earlier, last = decision.attempts
        assert last == replace(earlier[-1], verdict=settled.first)
        assert replace(decision, attempts=tuple(earlier)) == decided[i]


def test_a_budget_leaves_no_rejection_where_nothing_was_rejected_or_left_out() -> None:
    decided, settled = run(Whole(lambda trials: True), "budget")
    assert settled.decisions == decided
    decided, settled = run(Whole(lambda trials: False), "budget", keep=1.0)
    assert settled.decisions == decided
    assert settled.first is None


@PROPERTY
@given(
    allowed=st.integers(0, 20),
    risks=st.fixed_dictionaries({i: st.floats(0, 1) for i in "012"}),
    keep=st.sampled_from([0.0, 0.1, 0.4, 0.8]),
)
def test_the_output_that_stands_is_accepted_or_whole(allowed: int, risks: dict[str, float], keep: float) -> None:
    guardrail = Whole(lambda trials: lost(trials) <= allowed, risks)
    decided, settled = run(guardrail, keep=keep)
    assert list(settled.decisions) == list(decided)
    if settled.last is None:
        assert [d.text for d in settled.decisions.values()] == list(TEXTS)
    else:
        assert settled.last.ok
    left_out = sum(d.tokens_before - d.tokens_after for d in settled.decisions.values())
    assert 0 <= left_out <= allowed
    for i, decision in settled.decisions.items():
        assert decision.attempts[: len(decided[i].attempts)] == decided[i].attempts
        assert (decision.action == "fallback") == (decision.text == decision.segment.text)
    assert len(guardrail.outputs) < 24


class Raising(Whole):
    def check_output(self, trials: Sequence[Trial], call: Call, /) -> Verdict:
        raise OSError(f"gone: {trials[0].text}")


class NotANumber(Whole):
    def check_output(self, trials: Sequence[Trial], call: Call, /) -> Verdict:
        return Verdict(True, float("nan"), "is fine")


@pytest.mark.parametrize(
    ("made", "said"),
    [(Raising, "was not judged: guardrail whole failed: OSError: gone"), (NotANumber, "has the score nan")],
)
def test_what_nobody_could_judge_is_taken_back(made: Any, said: str, caplog: pytest.LogCaptureFixture) -> None:
    _, settled = run(made(lambda trials: True))
    assert [d.text for d in settled.decisions.values()] == list(TEXTS)
    assert said in settled.decisions["0"].reason
    assert "one two" not in caplog.text


@pytest.mark.parametrize("on_reject", ["exceed", "budget"])
def test_a_deadline_that_has_passed_leaves_a_usable_output(on_reject: OnReject) -> None:
    decided, settled = run(Whole(lambda trials: True), on_reject, deadline=time.monotonic() - 1)
    if on_reject == "budget":
        assert {i: d.text for i, d in settled.decisions.items()} == {i: d.text for i, d in decided.items()}
        assert not settled.last.ok
    else:
        assert [d.text for d in settled.decisions.values()] == list(TEXTS)
        assert settled.last is None
        assert all("was not judged: the deadline passed" in d.reason for d in settled.decisions.values())


def test_a_guardrail_that_hangs_is_left_behind() -> None:
    class Slow(Whole):
        def check_output(self, trials: Sequence[Trial], call: Call, /) -> Verdict:
            time.sleep(0.4)
            return super().check_output(trials, call)

    _, settled = run(Slow(lambda trials: True), deadline=time.monotonic() + 0.1)
    assert [d.text for d in settled.decisions.values()] == list(TEXTS)


def test_a_deadline_in_the_middle_leaves_what_was_accepted() -> None:
    class Tiring(Whole):
        def check_output(self, trials: Sequence[Trial], call: Call, /) -> Verdict:
            if len(self.outputs) == 2:
                time.sleep(max(0.0, (call.deadline or 0.0) - time.monotonic()) + 0.1)
            return super().check_output(trials, call)

    guardrail = Tiring(lambda trials: len(trials) < 3, {"0": 0.9})
    _, settled = run(guardrail, deadline=time.monotonic() + 0.5)
    assert actions(settled.decisions)["0"] == "fallback"
    assert settled.last is None or settled.last.ok


# Through a Shrinker


def make(guardrail: Any, **settings: Any) -> Shrinker:
    return Shrinker(guardrail=guardrail, counter=WordCounter(), **settings)


def test_a_shrinker_returns_an_accepted_output() -> None:
    guardrail = Whole(lambda trials: lost(trials) <= 12)
    result = make(guardrail).shrink_documents(DOCS, "Who cooks?", keep=0.3)
    assert result.tokens_before - result.tokens_after > 0
    final = {str(i): text for i, text in enumerate(result.output) if text != DOCS[i]}
    assert final in guardrail.outputs
    assert not any("guardrail rejects" in w for w in result.warnings)


def test_a_budget_is_kept_and_the_rejection_is_told() -> None:
    result = make(Whole(lambda trials: False)).shrink_documents(DOCS, "Who cooks?", max_tokens=25)
    assert result.tokens_after <= 25
    assert "the budget imposed an output that the guardrail rejects: it drops too much" in result.warnings


@pytest.mark.parametrize("on_reject", ["exceed", "budget"])
@pytest.mark.parametrize("accepts", [True, False])
def test_what_becomes_of_the_output_is_seen_in_the_attempts(on_reject: OnReject, accepts: bool) -> None:
    settings = {"query": "Who cooks?", "keep": 0.4, "on_reject": on_reject}
    result = make(Whole(lambda trials: accepts)).shrink_documents(DOCS, **settings)
    assert rejected_nothing(result.decisions) is accepts


def test_exceeding_is_a_choice() -> None:
    result = make(Whole(lambda trials: False)).shrink_documents(DOCS, "cook?", max_tokens=25, on_reject="exceed")
    assert result.output == DOCS
    assert any("over max_tokens=25" in w for w in result.warnings)


def test_a_rule_that_judges_no_outputs_is_not_asked() -> None:
    assert not isinstance(KeepFacts(), OutputGuardrail)
    alone = make(KeepFacts()).shrink_documents(DOCS, "Who cooks?", keep=0.4)
    assert alone.tokens_after < alone.tokens_before
    joined = make(AllOf(KeepFacts())).shrink_documents(DOCS, "Who cooks?", keep=0.4)
    assert joined.output == alone.output


def test_all_of_takes_outputs_back_too() -> None:
    result = make(AllOf(KeepFacts(), Whole(lambda trials: False))).shrink_documents(DOCS, "Who cooks?", keep=0.4)
    assert result.output == DOCS


def test_what_is_taken_back_is_rendered_without_loss_where_that_is_shorter() -> None:
    rows = "[" + ", ".join(f'{{"city": "C{i}", "visitors": {i * 37}, "open": true}}' for i in range(30)) + "]"
    result = make(Whole(lambda trials: False)).shrink_documents([rows], "How many visitors has C7?", keep=0.2)
    [decision] = result.decisions
    assert decision.action == "fallback"
    assert decision.reason.startswith("nothing left out, rendered as ")
    assert "the whole output drops too much" in decision.reason
    assert result.tokens_after < result.tokens_before


@PROPERTY
@given(
    docs=st.lists(texts(), min_size=1, max_size=4),
    goal=st.sampled_from([{"keep": 0.05}, {"keep": 0.5}, {"max_tokens": 12}, {"max_tokens": 60}]),
    on_reject=st.sampled_from([None, "exceed", "budget"]),
    limit=st.sampled_from([0.01, 0.3, 1.0]),
    query=st.sampled_from([None, "When must INV-2291 be paid?"]),
)
def test_any_input_comes_out_no_larger_and_accepted_or_whole(
    docs: list[str], goal: dict[str, Any], on_reject: OnReject | None, limit: float, query: str | None
) -> None:
    guardrail = PerplexityGuardrail(FakeScorer(), threshold=limit)
    result = make(guardrail).shrink_documents(docs, query, on_reject=on_reject, **goal)
    assert result.tokens_after <= result.tokens_before
    assert all(d.tokens_after <= d.tokens_before for d in result.decisions)
    binding = on_reject == "budget" or (on_reject is None and "max_tokens" in goal)
    if binding:
        assert result.tokens_after <= goal.get("max_tokens", goal.get("keep", 1) * result.tokens_before)
    else:
        assert not any("imposed" in w for w in result.warnings)
