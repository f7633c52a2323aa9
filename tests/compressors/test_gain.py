"""Order of gain: a permutation of the units that follows the next hop and spreads over documents."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxshrink.compressors._gain import PICKS, Gains, by_gain
from ctxshrink.compressors._index import index
from ctxshrink.types import Call, Segment

from .test_contract import COUNTER

GAINS = Gains(hop=6.0, document=0.3)


def call(*documents: tuple[str, str]) -> Call:
    segments = tuple(Segment(str(i), text, title=title) for i, (title, text) in enumerate(documents))
    counts = COUNTER.count([s.text for s in segments])
    return Call(segments, dict(zip((s.id for s in segments), counts, strict=True)), COUNTER)


FILM = call(
    ("The Gravy Train (film)", "The Gravy Train was directed by Jack Starrett. It was shot in Ohio. Critics liked it."),
    ("Rail freight", "Freight trains carry gravel. They are long."),
    ("Jack Starrett (director)", "Starrett died in 1989. He liked boats."),
)


def first(c: Call, score: list[float], n: int) -> list[str]:
    idx = index(c)
    key = by_gain(idx, np.array(score), GAINS)
    return [idx.text(u) for u in np.argsort(-key)[:n]]


def test_a_document_that_a_pick_names_comes_next():
    assert first(FILM, [9, 5, 4, 3, 3, 2, 0], 2) == [
        "The Gravy Train was directed by Jack Starrett.",
        "Starrett died in 1989.",
    ]


def test_a_mention_in_an_irrelevant_unit_counts_little():
    # The unit that names him is the worst of all: when it is picked, he is no longer worth the jump.
    idx = index(FILM)
    key = by_gain(idx, np.array([-30.0, 5, 4, 3, 3, -40, -40]), GAINS)
    assert [idx.text(u) for u in np.argsort(-key)][-2:] == ["Starrett died in 1989.", "He liked boats."]


def test_a_title_inside_a_longer_word_is_no_mention():
    c = call(("A", "We met Anna Starrettson there. Rain fell."), ("Starrett", "He died. He lived."))
    assert first(c, [9, 5, 0, 0], 2) == ["We met Anna Starrettson there.", "Rain fell."]


def test_titles_are_found_in_text_without_blanks():
    c = call(("电影", "导演是张艺谋。电影很长。"), ("张艺谋", "他生于西安。"))
    assert first(c, [9, 5, 0], 2) == ["导演是张艺谋。", "他生于西安。"]


def test_chunks_of_one_document_do_not_lift_each_other():
    c = call(("Oslo", "Oslo is big. Oslo is old."), ("Oslo", "Oslo has a port."))
    assert first(c, [9, 5, 0], 2) == ["Oslo is big.", "Oslo is old."]


def test_equal_units_are_spread_over_documents():
    c = call(("", "One thing. Two things. Three things."), ("", "Four things. Five things."))
    assert first(c, [5.2, 5.1, 5.0, 5.0, 4.9], 2) == ["One thing.", "Four things."]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(["Ann went.", "Bob saw Ann.", "Nothing."]), max_size=30), max_size=4),
    st.randoms(use_true_random=False),
)
def test_every_unit_gets_one_place(texts: list[list[str]], random: np.random.Generator):
    c = call(*((("Ann", "Bob")[i % 2], " ".join(t)) for i, t in enumerate(texts)))
    idx = index(c)
    key = by_gain(idx, np.array([random.random() * 10 for _ in range(idx.size)]), GAINS)
    assert sorted(key.tolist()) == list(range(1, idx.size + 1))
    assert (by_gain(idx, key, GAINS) == by_gain(idx, key, GAINS)).all()


def test_beyond_the_picks_units_follow_by_score():
    text = " ".join(f"Unit number {i}." for i in range(PICKS + 20))
    idx = index(call(("", text)))
    key = by_gain(idx, -np.arange(idx.size, dtype=float), GAINS)
    assert np.argsort(-key).tolist() == list(range(idx.size))
