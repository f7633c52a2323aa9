"""The promises, for every seat that takes documents. Numbers are those of the design."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink import PerplexityGuardrail, Shrinker
from ctxshrink.structure import lay_out
from ctxshrink.testing import BrokenCompressor, FakeScorer, ScriptedGuardrail, WordCounter
from ctxshrink.text import content_type
from tests.promises.seats import DOCUMENT_SEATS, CommandLine
from tests.strategies import PROPERTY, texts

SEATS = sorted(DOCUMENT_SEATS)
DOCS = st.lists(texts(), min_size=1, max_size=5)
QUERIES = st.sampled_from(
    ["When must INV-2291 be paid?", "Wann wurde die Brücke gesperrt?", "图书馆几点关门？", "x", " "]
)
GOALS = st.one_of(
    st.builds(lambda k: {"keep": k}, st.sampled_from([0.05, 0.3, 0.5, 0.9, 1.0])),
    st.builds(lambda n: {"max_tokens": n}, st.integers(0, 120)),
)
MARKER = re.compile(r"\[…[^\]\n]*\]|…\d*")


def make(**settings: Any) -> Shrinker:
    # A threshold in the middle: some compressions are accepted, some are not.
    judge = PerplexityGuardrail(FakeScorer(), threshold=0.5)
    return Shrinker(**{"guardrail": judge, "counter": WordCounter(), **settings})


def count(texts: list[str]) -> list[int]:
    return WordCounter().count(texts)


def assert_verbatim(before: str, after: str) -> None:
    """What came out, markers aside, stands in the original, in order; no word or number in it is cut.

    A text with a rendering of its own (JSON, say) has its own order: there each word and number is one of the
    original's or of that rendering.
    """
    laid = lay_out(before, content_type(before))
    if laid.form and after != before:
        said = set(re.findall(r"\w+", f"{before} {laid.text}"))
        assert set(re.findall(r"\w+", MARKER.sub("\n", after))) <= said
        return
    at = 0
    for piece in MARKER.sub("\n", after).split():
        found = before.find(piece, at)
        assert found >= 0, f"{piece!r} is not in the original after position {at}"
        at = found + len(piece)
    numbers = set(re.findall(r"\d+(?:[.,:/-]\d+)*", before))
    assert set(re.findall(r"\d+(?:[.,:/-]\d+)*", MARKER.sub("\n", after))) <= numbers


@pytest.mark.parametrize("seat", SEATS)
@PROPERTY
@given(docs=DOCS, query=QUERIES, goal=GOALS)
def test_2_3_4_never_larger_within_budget_and_in_place(seat: str, docs: list[str], query: str, goal: Any) -> None:
    output = DOCUMENT_SEATS[seat](make(), docs, query, goal)
    assert len(output) == len(docs)
    assert all(a <= b for a, b in zip(count(output), count(docs), strict=True))
    if "max_tokens" in goal:
        assert sum(count(output)) <= goal["max_tokens"]


@pytest.mark.parametrize("seat", SEATS)
@PROPERTY
@given(docs=DOCS, query=QUERIES, goal=GOALS)
def test_5_what_is_kept_is_verbatim(seat: str, docs: list[str], query: str, goal: Any) -> None:
    for before, after in zip(docs, DOCUMENT_SEATS[seat](make(guardrail=None), docs, query, goal), strict=True):
        assert_verbatim(before, after)


class RaisingGuardrail:
    name = "raising"

    def check(self, trials: Any, call: Any, /) -> Any:
        raise OSError("gone")


class RaisingOutputGuardrail(ScriptedGuardrail):
    def check_output(self, trials: Any, call: Any, /) -> Any:
        raise OSError("gone")


@pytest.mark.parametrize("seat", SEATS)
@pytest.mark.parametrize(
    "settings",
    [
        *({"compressors": [BrokenCompressor(how)]} for how in ("raise", "short", "grow", "error")),
        {"guardrail": RaisingGuardrail()},
        {"guardrail": RaisingOutputGuardrail()},
        {"deadline": 1e-9},
    ],
    ids=["raise", "short", "grow", "error", "guardrail", "output-guardrail", "deadline"],
)
def test_6_fail_open(seat: str, settings: dict[str, Any]) -> None:
    docs = ["One thing is red. Another is blue.\nA third one is green.", "Four. Five! Six? Seven."]
    assert DOCUMENT_SEATS[seat](make(**settings), docs, "What is red?", {"keep": 0.4}) == docs


@pytest.mark.parametrize("seat", SEATS)
@PROPERTY
@given(docs=DOCS, query=QUERIES, goal=GOALS)
def test_7_9_deterministic_and_without_mutation(seat: str, docs: list[str], query: str, goal: Any) -> None:
    given_docs = copy.copy(docs)
    first = DOCUMENT_SEATS[seat](make(), docs, query, goal)
    assert docs == given_docs
    assert DOCUMENT_SEATS[seat](make(), docs, query, goal) == first


@PROPERTY
@given(docs=DOCS, query=QUERIES, goal=GOALS)
def test_9_seats_agree(docs: list[str], query: str, goal: Any) -> None:
    asked = {s for s in SEATS if s not in ("langchain-transformer", "llamaindex-transform")}
    outputs = {seat: DOCUMENT_SEATS[seat](make(), docs, query, goal) for seat in SEATS}
    assert all(outputs[seat] == outputs["shrinker"] for seat in asked)
    assert outputs["langchain-transformer"] == outputs["llamaindex-transform"]


@pytest.mark.parametrize("goal", [{"keep": 0.3}, {"max_tokens": 25}])
def test_the_command_line_keeps_them_too(goal: dict[str, Any]) -> None:
    docs = [
        "Rent is 940 euros. The flat faces south. Pets are allowed.",
        {"text": "Keys are with Mrs Amsel. Ring twice.", "id": 9},
    ]
    [(name, value)] = goal.items()
    options = (f"--{name.replace('_', '-')}", str(value), "--query", "How much is the rent?")
    done = CommandLine.run(docs, *options)
    assert CommandLine.run(docs, *options).output == done.output
    assert done.output[1]["id"] == 9
    assert_verbatim(docs[0], done.output[0])  # type: ignore[arg-type]
    assert "940" in done.output[0]
    assert done.account["tokens_after"] <= value * (done.account["tokens_before"] if name == "keep" else 1)
