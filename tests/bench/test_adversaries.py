import pytest
from hypothesis import given

from ctxshrink.bench.adversaries import DAMAGING, HARMLESS, Adversary, Case, damaged
from ctxshrink.guardrails._single import single_call
from ctxshrink.types import Job
from tests.strategies import PROPERTY, texts

TEXT = "The heron sleeps. Ann paid 48 euros, not 50, on 3 May in Gera. The gauge was red before that."
CASE = Case(TEXT, "What did Ann pay?", ("48 euros",))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("drop numbers", "The heron sleeps. Ann paid  euros, not , on  May in Gera. The gauge was red before that."),
        (
            "swap numbers",
            "The heron sleeps. Ann paid 50 euros, not 48, on 3 May in Gera. The gauge was red before that.",
        ),
        ("drop negations", "The heron sleeps. Ann paid 48 euros, 50, on 3 May in Gera. The gauge was red before that."),
        ("first sentence", "The heron sleeps."),
        ("filler", "The heron sleeps."),
        ("query", "What did Ann pay?"),
        ("empty", ""),
        ("change a word", TEXT.replace("before", "after")),
    ],
)
def test_does_what_it_says(name: str, text: str) -> None:
    assert DAMAGING[name](CASE) == text
    assert damaged(name, CASE, text)


def test_a_fact_is_changed_in_the_sentence_that_is_needed() -> None:
    text = DAMAGING["change a fact"](CASE)
    assert "48" not in text
    assert "Ann paid" in text


def test_no_damage_where_nothing_is_needed_or_nothing_changed() -> None:
    assert not damaged("drop numbers", Case(TEXT), DAMAGING["drop numbers"](CASE))
    assert not damaged("swap numbers", CASE, TEXT)


@PROPERTY
@given(texts())
def test_all_take_any_text_and_repeat_themselves(text: str) -> None:
    for change in (*DAMAGING.values(), *HARMLESS.values()):
        assert change(Case(text, "who?", (text[:5],), 3)) == change(Case(text, "who?", (text[:5],), 3))


def test_runs_as_a_compressor() -> None:
    call = single_call(TEXT, "What did Ann pay?", None)
    [candidate] = Adversary(DAMAGING["query"], "query").compress([Job(call.segments[0], 0.5, 10)], call)
    assert candidate.text == "What did Ann pay?"
    assert candidate.spans is None
