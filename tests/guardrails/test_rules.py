from typing import Any

import pytest

from ctxshrink import AllOf, ConfigError, KeepFacts
from ctxshrink.testing import ScriptedGuardrail, call_for, check_guardrail
from ctxshrink.types import OutputGuardrail, Trial, Verdict

INVOICE = "The invoice INV-2291 was sent on 2024-05-13. It is about chairs. The weather was fine."


@pytest.mark.parametrize("query", [None, "When was invoice INV-2291 sent?"])
@pytest.mark.parametrize("scope", ["anchor", "all"])
def test_contract(scope: str, query: str | None) -> None:
    check_guardrail(KeepFacts(scope=scope), query=query)
    check_guardrail(AllOf(KeepFacts(scope=scope)), query=query)


@pytest.mark.parametrize(
    ("before", "after", "query", "lost"),
    [
        (INVOICE, INVOICE[45:], "What of INV-2291?", "inv-2291"),
        ("Ask Mr Olsen or call Berta Holm today.", "Ask or call today.", "Where is Berta Holm?", "berta holm"),
        ("It costs 1,200 now.", "It costs now.", "Why 1200?", "1200"),
    ],
)
def test_a_needed_fact_must_survive(before: str, after: str, query: str, lost: str) -> None:
    verdict = KeepFacts().judge(before, after, query)
    assert not verdict.ok
    assert lost in verdict.reason


def test_facts_nobody_asked_for_may_go() -> None:
    assert KeepFacts().judge(INVOICE, "It is about chairs.", "What is it about?").ok
    assert not KeepFacts(scope="all").judge(INVOICE, "It is about chairs.", "What is it about?").ok


def test_a_dropped_negation_is_a_lost_fact() -> None:
    strict = KeepFacts(["negation"], scope="all")
    assert not strict.judge("Do not open the valve.", "Open the valve.").ok
    assert strict.judge("Do not open the valve. Thanks.", "Do not open the valve.").ok


def test_an_altered_number_is_noticed() -> None:
    verdict = KeepFacts().judge("It opened in 1998.", "It opened in 1989.", "When?")
    assert not verdict.ok
    assert "1989" in verdict.reason


@pytest.mark.parametrize("arguments", [{"kinds": ["smell"]}, {"scope": "some"}])
def test_wrong_settings_are_named(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(arguments))):
        KeepFacts(**arguments)


def test_all_of_rejects_what_one_rejects() -> None:
    call = call_for(["a b c", "d e f"])
    trials = [Trial(s, "a") for s in call.segments]
    both = AllOf(ScriptedGuardrail([True, False]), ScriptedGuardrail([True, True]))
    assert [v.ok for v in both.check(trials, call)] == [True, False]
    assert both.check(trials, call)[0].score == 0.1
    with pytest.raises(ConfigError, match="AllOf"):
        AllOf()


class Whole(ScriptedGuardrail):
    """Judges whole outputs as told."""

    def __init__(self, told: Verdict) -> None:
        super().__init__()
        self.told = told

    def check_output(self, trials: Any, call: Any, /) -> Verdict:
        return self.told


def test_all_of_joins_the_verdicts_on_whole_outputs() -> None:
    call = call_for(["a b c"])
    trials = [Trial(call.segments[0], "a")]
    good, bad = Verdict(True, 0.3, "is fine", {"x": 1.0}), Verdict(False, 0.2, "drops b", {"y": 2.0})
    assert isinstance(AllOf(KeepFacts()), OutputGuardrail)
    assert AllOf(KeepFacts()).check_output(trials, call).ok
    assert AllOf(KeepFacts(), Whole(good)).check_output(trials, call) == good
    joined = AllOf(Whole(good), KeepFacts(), Whole(bad)).check_output(trials, call)
    assert joined == Verdict(False, 0.3, "drops b")
    assert joined.features == {"x": 1.0, "y": 2.0}
