from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink.compressors._index import index
from ctxshrink.guardrails import load_detector
from ctxshrink.guardrails._needs import FEATURES, features, groups, locked, mode_of, needs
from ctxshrink.testing import SAMPLES, call_for
from ctxshrink.types import Call, Kind
from tests.guardrails.detectors import detector
from tests.strategies import PROPERTY, texts

DETECTOR = load_detector()
TEXT = "Our heron sleeps on one leg. The invoice INV-2291 must be paid before 14 March 2026. The weather was fine."


@pytest.mark.parametrize("structured", [True, False])
@PROPERTY
@given(docs=st.lists(texts(), max_size=4), query=st.sampled_from([None, "What of INV-2291?", "\ud800", "x" * 5000]))
def test_any_call_has_finite_features_and_probabilities(structured: bool, docs: list[str], query: str | None) -> None:
    call = call_for(docs, query)
    found, size = features(call, structured), index(call, structured).size
    assert found.shape == (size, len(FEATURES[mode_of(call)]))
    assert np.isfinite(found).all()
    probabilities = needs(call, structured, DETECTOR)
    assert probabilities.shape == (size,)
    assert ((probabilities >= 0) & (probabilities <= 1)).all()


@pytest.mark.parametrize("query", [None, "When must INV-2291 be paid?"])
def test_the_unit_with_the_facts_is_needed_most(query: str | None) -> None:
    assert int(np.argmax(needs(call_for([TEXT], query), True, DETECTOR))) == 1


def test_locked_units_are_not_needed_from_anybody() -> None:
    call = call_for([TEXT, TEXT], "INV-2291?")
    segments = replace(call.segments[0], lock_reason="pinned"), call.segments[1]
    call = Call(segments, call.tokens, call.counter, query=call.query)
    found = needs(call, True, DETECTOR)
    assert not found[:3].any()
    assert found[3:].all()
    assert locked(index(call)).tolist() == [True] * 3 + [False] * 3


def test_records_and_events_have_models_of_their_own() -> None:
    call = call_for(["One thing.", '{"a": 1, "b": 2}', "INFO start\nERROR stop", "a|b\n1|2", "def f():\n    pass"])
    types = ("prose", "json", "log", "table", "code")
    segments = tuple(replace(s, content_type=t) for s, t in zip(call.segments, types, strict=True))
    idx = index(Call(segments, call.tokens, call.counter))
    assert [set(groups(idx)[idx.segment == i]) for i in range(5)] == [
        {"text"},
        {"records"},
        {"events"},
        {"records"},
        {"text"},
    ]


@pytest.mark.parametrize(("kind", "name"), [("user", "user"), ("assistant", "assistant"), ("tool_result", "tool")])
def test_without_a_question_it_matters_who_speaks(kind: Kind, name: str) -> None:
    at = FEATURES["blind"].index(name)
    assert features(call_for([TEXT], kind=kind), True)[:, at].tolist() == [1.0] * 3
    assert not features(call_for([TEXT]), True)[:, at].any()


def test_they_are_worked_out_once_for_each_detector() -> None:
    call = call_for(SAMPLES)
    assert needs(call, True, DETECTOR) is needs(call, True, DETECTOR)
    assert needs(call, True, detector()) is not needs(call, True, DETECTOR)
    assert np.array_equal(needs(call, True, DETECTOR), needs(call_for(SAMPLES), True, DETECTOR))
