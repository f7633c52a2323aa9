import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink.compressors._index import index
from ctxshrink.guardrails import load_detector
from ctxshrink.guardrails._omission import FEATURES, Omission, output_omission, segment_omissions
from ctxshrink.guardrails._views import View
from ctxshrink.testing import call_for
from ctxshrink.text import _substrings
from ctxshrink.types import Call, Span, Trial
from tests.strategies import PROPERTY, SENTENCES, filled_texts

DETECTOR = load_detector()
QUERIES = st.sampled_from([None, "When must INV-2291 be paid?", "猫はどこ？"])
AT = {name: i for i, name in enumerate(FEATURES)}
DOCS = (
    "The invoice INV-2291 must be paid before 14 March 2026. Our heron sleeps on one leg. The gauge read 3.75 bar.",
    "Der Zug nach Gera fährt nicht. El faro del puerto parpadea cada 12 segundos.",
    '[{"id": 1, "city": "Lyon"}, {"id": 2, "city": "Gera"}, {"id": 3, "city": "Bonn"}]',
)


def spans_of(call: Call, place: int) -> list[Span]:
    idx = index(call, False)
    return idx.spans[int(idx.offset[place]) : int(idx.offset[place + 1])]


def extract(call: Call, place: int, kept: Sequence[int], spans: bool = True) -> Trial:
    """The trial that keeps these units of a segment."""
    segment = call.segments[place]
    ranges = [spans_of(call, place)[i] for i in kept]
    text = " ".join(segment.text[a:b] for a, b in ranges)
    return Trial(segment, text, tuple(ranges) if spans else None)


def named(omission: Omission) -> dict[str, float]:
    found = omission.features()
    assert np.isfinite(found).all()
    return dict(zip(FEATURES, found.tolist(), strict=True))


@PROPERTY
@given(
    texts=st.lists(filled_texts(), min_size=1, max_size=4),
    query=QUERIES,
    order=st.randoms(use_true_random=False),
)
def test_the_more_is_left_out_the_more_is_lost(texts: list[str], query: str | None, order: Any) -> None:
    """Along any order of dropping units, whatever each feature means: lost needs and dropped tokens only grow."""
    call = call_for(texts, query)
    kept = {place: list(range(len(spans_of(call, place)))) for place in range(len(texts))}
    units = [(place, unit) for place, all_ in kept.items() for unit in all_]
    order.shuffle(units)
    last: dict[str, float] | None = None
    for place, unit in units[:6]:
        kept[place].remove(unit)
        trials = [extract(call, p, k) for p, k in kept.items() if len(k) < len(spans_of(call, p))]
        found = named(output_omission(trials, call, DETECTOR))
        if last is not None:
            for name in ("lost", "left_out", "worst", "any", "dropped", "worst_share"):
                assert found[name] >= last[name] - 1e-9, name
            assert found["kept"] <= last["kept"] + 1e-9
            assert found["first_left_out"] <= last["first_left_out"] + 1e-9
        last = found


@pytest.mark.parametrize("query", [None, "Who paints the door?"])
def test_what_stands_elsewhere_may_go_sooner(query: str | None) -> None:
    door, gate = "The tall painter lacquered the oak door.", "The small carpenter mended the garden gate."
    call = call_for([f"{door} {gate} {door}"], query)
    twice, once = (segment_omissions([extract(call, 0, k)], call, DETECTOR)[0] for k in ((0, 1), (0, 2)))
    assert twice.new[2] == 0 < once.new[1]
    assert named(twice)["lost"] < named(once)["lost"]


def test_what_stands_in_another_whole_segment_is_not_lost_by_the_output() -> None:
    text = DOCS[0]
    call = call_for([text, text])
    trial = Trial(call.segments[0], "", ())
    [alone] = segment_omissions([trial], call, DETECTOR)
    assert named(alone)["lost"] > named(output_omission([trial], call, DETECTOR))["lost"]
    both = [Trial(s, "", ()) for s in call.segments]
    assert named(output_omission(both, call, DETECTOR))["lost"] > 5


def test_dropping_the_answer_weighs_more_than_filler() -> None:
    call = call_for([DOCS[0]], "When must INV-2291 be paid?")
    answer, filler = (segment_omissions([extract(call, 0, k)], call, DETECTOR)[0] for k in ((1, 2), (0, 2)))
    for name in ("lost", "left_out", "worst", "any"):
        assert named(answer)[name] > named(filler)[name]
    assert answer.worst() == (index(call), 0)
    assert filler.worst() == (index(call), 1)


@pytest.mark.parametrize("query", [None, "When must INV-2291 be paid?"])
def test_an_omission_does_not_depend_on_batch_mates(query: str | None) -> None:
    call = call_for(DOCS, query)
    trials = [extract(call, p, k) for p, k in ((0, [1]), (0, []), (1, [0]), (2, [0]))]
    together = segment_omissions(trials, call, DETECTOR)
    for trial, omission in zip(trials, together, strict=True):
        [alone] = segment_omissions([trial], call_for(DOCS, query), DETECTOR)
        assert named(alone) == named(omission)


@pytest.mark.parametrize("query", [None, "When must INV-2291 be paid?"])
def test_an_output_does_not_depend_on_the_order_of_trials(query: str | None) -> None:
    trials = {p: (p, k) for p, k in ((0, [1]), (1, [0]), (2, [0]))}
    found: list[dict[str, float]] = []
    for order in itertools.permutations(trials):
        call = call_for(DOCS, query)
        found.append(named(output_omission([extract(call, *trials[p]) for p in order], call, DETECTOR)))
    assert all(f == found[0] for f in found)


@PROPERTY
@given(
    sentences=st.lists(st.sampled_from(SENTENCES), min_size=2, max_size=8, unique=True),
    chosen=st.sets(st.integers(0, 7)),
    query=QUERIES,
)
def test_without_spans_the_units_are_looked_up(sentences: list[str], chosen: set[int], query: str | None) -> None:
    call = call_for([" ".join(sentences)], query)
    kept = [i for i in range(len(spans_of(call, 0))) if i in chosen]
    with_, without = extract(call, 0, kept), extract(call, 0, kept, spans=False)
    [exact], [looked] = (segment_omissions([t], call, DETECTOR) for t in (with_, without))
    assert list(exact.out > 0) == [i not in kept for i in range(len(exact.out))]
    assert set(np.flatnonzero(looked.out > 0)) <= set(np.flatnonzero(exact.out > 0))
    # How far a unit is left out is then its share of words that are gone: some of them, "the" say, may be kept.
    assert named(exact)["lost"] - 0.7 <= named(looked)["lost"] <= named(exact)["lost"] + 1e-9


@PROPERTY
@given(text=filled_texts(), start=st.integers(0, 60), end=st.integers(0, 60))
def test_a_unit_is_looked_up_letter_by_letter(text: str, start: int, end: int) -> None:
    call = call_for([text])
    trial = Trial(call.segments[0], text[start : max(start, len(text) - end)])
    view = View.of(call, trial)
    units = [view.idx.text(unit) for unit in range(view.idx.size)]
    assert view.left_out(trial).tolist() == [float(unit not in trial.text) for unit in units]


@PROPERTY
@given(texts=st.lists(filled_texts(), min_size=1, max_size=3), changed=filled_texts(), query=QUERIES)
def test_units_of_long_texts_are_looked_up_as_those_of_short_ones(
    texts: list[str], changed: str, query: str | None
) -> None:
    def found() -> list[list[float]]:
        call = call_for(texts, query)
        trials = [Trial(s, t) for s in call.segments for t in (s.text[len(s.text) // 2 :], changed, s.text[:-1])]
        return [o.features().tolist() for o in segment_omissions(trials, call, DETECTOR)]

    directly = found()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_substrings, "DIRECT", 0)
        assert found() == directly


@pytest.mark.parametrize("query", [None, "When must INV-2291 be paid?"])
def test_an_emptied_text_is_left_out_with_spans_and_without(query: str | None) -> None:
    """Also where all of its words stand in other segments: that makes it no loss, not kept."""
    call = call_for([DOCS[0], DOCS[0], DOCS[1]], query)
    bare, spans = (output_omission([Trial(call.segments[0], "", s)], call, DETECTOR) for s in (None, ()))
    assert named(bare) == pytest.approx(named(spans), abs=1e-6)
    assert bare.features()[AT["dropped"]] > 0.3


def test_nothing_left_out_is_no_loss() -> None:
    call = call_for([DOCS[0], ""])
    whole = extract(call, 0, [0, 1, 2])
    [omission] = segment_omissions([whole], call, DETECTOR)
    assert omission.worst() is None
    assert named(omission)["lost"] < -9
    assert named(omission)["dropped"] == 0
    [empty] = segment_omissions([Trial(call.segments[1], "", ())], call, DETECTOR)
    assert empty.worst() is None
    assert named(empty)["lost"] < -9


def test_locked_text_is_not_weighed() -> None:
    call = call_for(DOCS[:2], "When must INV-2291 be paid?")
    locked = replace(call.segments[0], lock_reason="pinned")
    call = Call((locked, call.segments[1]), call.tokens, call.counter, query=call.query)
    omission = output_omission([extract(call, 1, [])], call, DETECTOR)
    assert {int(idx.segment[unit]) for idx, unit in omission.source} == {1}


def test_a_rendered_text_is_judged_by_the_rendering_it_was_selected_from() -> None:
    rows = "[" + ", ".join(f'{{"city": "C{i}", "visitors": {i * 37}, "open": true}}' for i in range(12)) + "]"
    call = call_for([rows], content_type="json")
    layout = index(call).layouts[0]
    assert layout.form
    assert layout.renderer is not None
    kept = list(range(len(layout.spans) // 2))
    trial = Trial(call.segments[0], layout.renderer(kept, True), tuple(layout.spans[i] for i in kept), layout.text)
    [omission] = segment_omissions([trial], call, DETECTOR)
    assert list(np.flatnonzero(omission.out == 0)) == kept


def test_a_part_of_a_unit_is_less_than_none_of_it() -> None:
    call = call_for([DOCS[0]])
    part, none = Trial(call.segments[0], "The invoice INV-2291", ((0, 20),)), Trial(call.segments[0], "", ())
    [some], [nothing] = (segment_omissions([t], call, DETECTOR) for t in (part, none))
    assert some.out[0] * some.new[0] < nothing.out[0] * nothing.new[0]
    assert named(some)["lost"] < named(nothing)["lost"]
