"""The needle task: what its contexts promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxshrink.errors import ConfigError
from ctxshrink.training.needle import ASK, BOS, NeedleTask, needle_batch

TASKS = st.builds(
    lambda facts, few, many, extra, topic, narrow, near: NeedleTask(
        length=2 + 2 * (facts + many + (near if narrow else 0)) + extra, facts=facts, distractors=many,
        questions=min(few, facts), topics=4, words=24, topic=topic, keys=max(facts, narrow) if narrow else None,
        near=near if narrow else 0,
    ),
    st.integers(1, 12), st.integers(1, 12), st.integers(0, 60), st.integers(0, 31),
    st.none() | st.integers(0, 3), st.none() | st.integers(1, 16), st.integers(0, 8),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(TASKS, st.integers(0, 2**40), st.integers(1, 4))
def test_a_question_has_one_answer_and_the_topic_says_which_are_asked(task: NeedleTask, seed: int, count: int) -> None:
    batch = needle_batch(task, seed, count)
    first = 2 + task.topics
    assert batch.context_ids.shape == (count, task.length)
    assert batch.question_ids.shape == (count, task.questions, 2)
    assert batch.distractor_ids.shape == (count, task.near + task.distractors, 2)
    for row in range(count):
        context = batch.context_ids[row]
        topic = context[1] - 2
        assert context[0] == BOS
        assert 0 <= topic < task.topics
        assert task.topic in (None, topic)
        assert context[2:].min() >= first
        assert context.max() < task.vocab_size
        asked = batch.question_ids[row]
        assert (asked[:, 0] == ASK).all()
        for key, answer, place in zip(asked[:, 1], batch.answers[row], batch.positions[row], strict=True):
            assert (context == key).sum() == 1
            assert context[place] == answer
            assert context[place - 1] == key
            assert (key - first) % task.topics == topic
            assert (key - first) // task.topics < (task.keys or task.words)
        for key, answer in zip(batch.distractor_ids[row, :, 1], batch.distractor_answers[row], strict=True):
            [place] = np.flatnonzero(context == key)
            assert context[place + 1] == answer
            near = (key - first) % task.topics == topic
            assert not near or (key - first) // task.topics >= (task.keys or task.words)
        own = (context[2:] - first) % task.topics == topic
        assert own.sum() == task.facts + task.near  # the topic's words are keys and nothing else


def test_the_same_draw_gives_the_same_batch_and_another_another() -> None:
    task = NeedleTask()
    one, same, other = needle_batch(task, 3, 4), needle_batch(task, 3, 4), needle_batch(task, 4, 4)
    assert (one.context_ids == same.context_ids).all()
    assert (one.answers == same.answers).all()
    assert (one.context_ids != other.context_ids).any()


def test_askable_facts_and_distractors_come_from_the_same_words() -> None:
    """Over many contexts each word is a key of both kinds and a value: no word gives away what it is."""
    task = NeedleTask(length=130, facts=8, distractors=8, questions=8, topics=2, words=16)
    batch = needle_batch(task, 0, 400)
    first = 2 + task.topics
    words = set(range(first, task.vocab_size))
    assert set(batch.question_ids[..., 1].ravel()) == words
    assert set(batch.distractor_ids[..., 1].ravel()) == words
    assert set(batch.answers.ravel()) == words


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"facts": 0}, "facts"),
        ({"facts": 40, "keys": 8}, "keys"),
        ({"questions": 17}, "questions"),
        ({"length": 100}, "length"),
        ({"distractors": 224, "length": 2000}, "distractors"),
        ({"topic": 8}, "topic"),
        ({"near": 1}, "near"),
    ],
)
def test_an_impossible_task_is_refused(wrong: dict[str, int], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        NeedleTask(**wrong)
