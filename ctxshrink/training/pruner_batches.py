"""Batches for training the pruner: windows, windows like them, and questions about all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ctxshrink.training.pruner_data import PrunerData


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step reads.

    Attributes:
        ids: Rows of token ids: first the windows, then the questions.
        windows: Number of windows.
        unit: For each token of the windows, laid end to end row by row, its unit in the batch, or -1.
        answer: For each of these tokens whether it is part of an answer.
        of_row: The window row of each unit, shape (units,).
        asked: Whether people ask about each unit, (units,).
        gold: Which units answer which question, (questions, units).
        masked: Which units must not count as wrong for a question: they hold its answer elsewhere.
    """

    ids: list[list[int]]
    windows: int
    unit: list[NDArray[np.int64]]
    answer: list[NDArray[np.bool_]]
    of_row: NDArray[np.int64]
    asked: NDArray[np.bool_]
    gold: NDArray[np.bool_]
    masked: NDArray[np.bool_]


class Draws:
    """Batches without end: seed windows in random order, windows like theirs beside them, questions about all.

    Args:
        data: What to draw from.
        windows: Windows a batch.
        questions: Most questions a batch.
        seed: Of the order.
    """

    def __init__(self, data: PrunerData, windows: int, questions: int, seed: int) -> None:
        self._data, self._windows, self._questions = data, windows, questions
        self._cls, self._sep = data.special["cls"], data.special["sep"]
        self._rng = np.random.default_rng(seed)
        self._order: list[int] = []

    def next(self) -> Batch:
        """The next batch."""
        rng, data = self._rng, self._data
        rows: dict[int, None] = {}
        picked: dict[int, None] = {}
        while len(rows) < self._windows:
            if not self._order:
                self._order = rng.permutation(sorted(data.of_window)).tolist()
            seed = self._order.pop()
            asked: list[int] = rng.permutation(data.of_window[seed])[:3].tolist()
            picked |= dict.fromkeys(asked)
            # A question about a long meeting has a dozen windows: two of them are enough for one batch.
            rows |= dict.fromkeys([seed, *(w for q in asked for w in sorted(data.questions[q].gold)[:2])])
            similar = [w for q in asked for w in data.hard[q]]
            rows |= dict.fromkeys(rng.permutation(similar)[:3].tolist())
        for row in rows:
            if len(picked) >= self._questions:
                break
            picked |= dict.fromkeys(rng.permutation(data.of_window.get(row, []))[:2].tolist())
        return self._lay(list(rows), list(picked)[: self._questions])

    def _lay(self, rows: list[int], questions: list[int]) -> Batch:
        data = self._data
        ids: list[list[int]] = []
        unit: list[NDArray[np.int64]] = []
        answer: list[NDArray[np.bool_]] = []
        first: dict[int, int] = {}
        of_row: list[int] = []
        asked: list[bool] = []
        texts: list[str] = []
        for r, number in enumerate(rows):
            w = data.windows[number]
            title = w.title if self._rng.random() < 0.7 else []
            head = [self._cls, *title, self._sep] if title else [self._cls]
            first[number] = len(of_row)
            units, marks = [-1] * len(head), [False] * len(head)
            for i, tokens in enumerate(w.units):
                units += [len(of_row)] * len(tokens)
                marks += w.answer[i]
                of_row.append(r)
                asked.append(w.asked[i])
                texts.append(w.texts[i])
            ids.append([*head, *(t for tokens in w.units for t in tokens), self._sep])
            unit.append(np.array([*units, -1]))
            answer.append(np.array([*marks, False]))
        gold = np.zeros((len(questions), len(of_row)), dtype=bool)
        masked = np.zeros_like(gold)
        for i, number in enumerate(questions):
            q = data.questions[number]
            ids.append([self._cls, *q.ids, self._sep])
            for window, places in q.gold.items():
                if window in first:
                    gold[i, [first[window] + p for p in places]] = True
            masked[i] = [any(a in text for a in q.answers) for text in texts]
        return Batch(ids, len(rows), unit, answer, np.array(of_row), np.array(asked), gold, masked & ~gold)
