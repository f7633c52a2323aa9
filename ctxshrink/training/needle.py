"""The needle task: a few facts of a context are asked about, and only the context's topic says which.

A context is ``BOS, topic, word, word, ...``. Words belong to topics. A *fact* is a word that occurs once, together with
the word behind it; the question ``ASK, word`` has the word behind as its answer. Asked about are only facts whose first
word belongs to the topic that the context names at its start. As many other words as wished (*distractors*) occur
exactly once too, and are facts of the same form that are never asked about; every other position holds filler from the
same vocabulary. So the choice of what to keep can be made before any question is known, but only by who relates each
word to the topic: the tokens of askable facts, distractors and filler come from one distribution.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ctxshrink.errors import ConfigError

BOS = 0
ASK = 1
_SPECIAL = 2


@dataclass(frozen=True, slots=True)
class NeedleTask:
    """What contexts look like.

    Attributes:
        length: Tokens of a context.
        facts: Facts that may be asked about.
        distractors: Facts of the same form that are not asked about.
        questions: Questions per context, at most ``facts``.
        topics: Topics of the vocabulary.
        words: Words of a topic.
        topic: The topic of every context; None draws one for each. A domain has one topic.
        keys: Askable words are drawn from this many of the topic's; None takes all of them. A domain has few.
        near: Further distractors that are of the context's own topic: words that are not among `keys`.
    """

    length: int = 512
    facts: int = 16
    distractors: int = 112
    questions: int = 8
    topics: int = 8
    words: int = 32
    topic: int | None = None
    keys: int | None = None
    near: int = 0

    def __post_init__(self) -> None:
        others = (self.topics - 1) * self.words
        problem = ""
        if not 1 <= self.facts <= (self.keys or self.words) <= self.words:
            problem = f"facts ({self.facts}) must be 1 to keys ({self.keys}), and keys at most words ({self.words})"
        elif not 1 <= self.questions <= self.facts:
            problem = f"questions ({self.questions}) must be 1 to facts ({self.facts})"
        elif not 0 <= self.near <= self.words - (self.keys or self.words):
            problem = f"near ({self.near}) must be 0 to words less keys ({self.words - (self.keys or self.words)})"
        elif self.total > self.pairs:
            problem = f"{self.total} facts need a length of {2 + 2 * self.total}"
        elif not 0 <= self.distractors < others:
            problem = f"distractors ({self.distractors}) must be 0 to {others - 1}, the words of other topics less one"
        elif self.topic is not None and not 0 <= self.topic < self.topics:
            problem = f"topic ({self.topic}) must be 0 to {self.topics - 1}"
        if problem:
            raise ConfigError(f"needle task: {problem}")

    @property
    def total(self) -> int:
        """Facts of all kinds."""
        return self.facts + self.near + self.distractors

    @property
    def pairs(self) -> int:
        """Places for a fact."""
        return (self.length - 2) // 2

    @property
    def vocab_size(self) -> int:
        """Token ids: BOS, ASK, a name for each topic, the words."""
        return _SPECIAL + self.topics + self.topics * self.words


@dataclass(frozen=True, slots=True)
class NeedleBatch:
    """Contexts with questions; all arrays hold int64 token ids, or positions in the context.

    Attributes:
        context_ids: (contexts, length).
        question_ids: (contexts, questions, 2).
        answers: (contexts, questions).
        positions: (contexts, questions), where the answer stands in the context.
        distractor_ids: (contexts, near + distractors, 2), questions about the distractors, for training a base model.
        distractor_answers: (contexts, near + distractors).
    """

    context_ids: NDArray[np.int64]
    question_ids: NDArray[np.int64]
    answers: NDArray[np.int64]
    positions: NDArray[np.int64]
    distractor_ids: NDArray[np.int64]
    distractor_answers: NDArray[np.int64]


def domain_task(
    task: NeedleTask, *, topic: int = 3, keys: int = 8, facts: int = 4, near: int | None = None
) -> NeedleTask:
    """The task within a domain: all contexts are about one topic, and few of its words are ever asked about.

    Args:
        task: The task.
        topic: Of all contexts.
        keys: Words that may be asked about.
        facts: How many of them occur in a context.
        near: Facts about other words of the topic, never asked about; None makes up for the facts that there are fewer.
    """
    near = max(0, min(task.facts - facts, task.words - keys)) if near is None else near
    return replace(task, topic=topic, keys=keys, facts=facts, near=near, questions=min(task.questions, facts))


def needle_batch(task: NeedleTask, seed: int, count: int) -> NeedleBatch:
    """Draws contexts; the same task, seed and count give the same batch.

    Args:
        task: What they look like.
        seed: Of the draw.
        count: Contexts.
    """
    rng = np.random.default_rng([seed, count, task.length, task.facts])
    first = _SPECIAL + task.topics
    topic = rng.integers(0, task.topics, count) if task.topic is None else np.full(count, task.topic)

    # Words in a random order, those of the context's topic first; a word is first + topic + topics * number.
    number, of = np.divmod(np.arange(task.topics * task.words), task.topics)
    own = of[None] == topic[:, None]
    noise = rng.random((count, task.topics * task.words))
    allowed = number < (task.keys or task.words)
    order = np.argsort(np.where(own, np.where(allowed, 0.0, 1.0), 2.0) + noise, axis=1)
    known, others = task.keys or task.words, task.words
    parts = ((0, task.facts), (known, known + task.near), (others, others + task.distractors))
    keys = np.concatenate([order[:, start:end] for start, end in parts], 1) + first
    rest = order[:, task.words + task.distractors :] + first

    fill = rng.integers(0, rest.shape[1], (count, task.length - 2))
    context = np.empty((count, task.length), np.int64)
    context[:, 0], context[:, 1] = BOS, _SPECIAL + topic
    context[:, 2:] = np.take_along_axis(rest, fill, 1)
    places = 2 + 2 * np.argsort(rng.random((count, task.pairs)), axis=1)[:, : task.total]
    np.put_along_axis(context, places, keys, 1)
    values = np.take_along_axis(context, places + 1, 1)
    asked = np.stack([np.full_like(keys, ASK), keys], -1)
    q, f = task.questions, task.facts
    return NeedleBatch(context, asked[:, :q], values[:, :q], places[:, :q] + 1, asked[:, f:], values[:, f:])
