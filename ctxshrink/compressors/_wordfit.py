"""The best words of a batch of texts under a budget of counted tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ctxshrink.compressors._words import Words, render_words
from ctxshrink.types import Call, Candidate, Job, Span

CORE = 0.3
"""Share of a sentence's tokens that stays at least when anything of it does: less says nothing."""
ROUNDS = 14
"""Most times a selection is corrected to the counted size of its text."""
CLOSE = 0.005
"""A selection that leaves no more than this share of the budget unused is not made larger."""
_LOOK = 400
"""Words behind the first one that does not fit that are tried in its place."""

Floats = NDArray[np.float64]


def select_words(
    jobs: Sequence[Job], words: Sequence[Words], scores: Sequence[Floats], call: Call, *, core: float = CORE
) -> list[Candidate]:
    """Keeps the best words of each job's text.

    A sentence is entered with its core: the words that must stay when anything of it does, and its best others until
    the core has a share of its tokens. The rank of a core is its mean score; the other words follow by their own, but
    never before their core. So a budget that is too small for a sentence's facts drops the sentence. Each job first
    spends its own `Job.max_tokens` in this order; what is left over goes to the best words of the batch.

    Args:
        jobs: What to compress.
        words: The words of each job's text.
        scores: For each job the worth of its words, higher is kept first, shape (words,); of NaN, the least.
        call: The call; its counter counts.
        core: Share of a sentence's tokens that its core has at least, in [0, 1].

    Returns:
        A candidate with spans for each job. Their counted tokens are together at most the sum of the jobs'
        `max_tokens` (unless the emptied segments' placeholders are more), and none is larger than its original.
    """
    if not jobs:
        return []
    full = [call.tokens[job.segment.id] for job in jobs]
    queues = _queues(words, scores, full, call, core)
    return _Batch(jobs, words, full, queues, call).fit()


@dataclass(frozen=True, slots=True)
class _Queue:
    """One text's steps, best first. A step keeps a core or one more word.

    Attributes:
        members: Words of each step.
        unit: Sentence of each step.
        opens: Whether it is a core, shape (steps,).
        key: Rank, descending, shape (steps,).
        cost: Tokens of each step by estimate, shape (steps,).
        reach: Running sum of `cost`.
    """

    members: list[list[int]]
    unit: list[int]
    opens: list[bool]
    key: Floats
    cost: Floats
    reach: Floats


def _queues(
    words: Sequence[Words], scores: Sequence[Floats], full: Sequence[int], call: Call, core: float
) -> list[_Queue]:
    pieces: dict[str, int] = {}
    names = [[_piece(w, i) for i in range(len(w))] for w in words]
    for row in names:
        pieces.update(dict.fromkeys(row, 0))
    counts = dict(zip(pieces, call.counter.count(list(pieces)), strict=True))
    out: list[_Queue] = []
    for w, row, score, total in zip(words, names, scores, full, strict=True):
        cost = np.array([counts[p] for p in row], dtype=np.float64)
        cost *= total / max(1.0, float(cost.sum()))  # what they cost together
        out.append(
            _queue(w, np.nan_to_num(score.astype(np.float64), nan=-np.inf, neginf=-1e30, posinf=1e30), cost, core)
        )
    return out


def _piece(words: Words, i: int) -> str:
    """A word with the space before it, as a tokenizer sees it."""
    s, e = words.spans[i]
    return " " + words.text[s:e] if s and words.text[s - 1].isspace() else words.text[s:e]


def _queue(words: Words, score: Floats, cost: Floats, core: float) -> _Queue:
    steps: list[tuple[float, int, int, list[int]]] = []  # minus the key, 0 for a core, sentence, words
    bounds = np.flatnonzero(np.diff(words.unit, prepend=-1)).tolist()
    for unit, (a, b) in enumerate(zip(bounds, [*bounds[1:], len(words)][: len(bounds)], strict=True)):
        inside = set(np.flatnonzero(words.must[a:b]).tolist())
        spent, wanted = float(cost[a:b][list(inside)].sum()), core * float(cost[a:b].sum())
        order: list[int] = np.argsort(-score[a:b], kind="stable").tolist()
        bare = all(words.end[a + i] for i in inside)  # nothing but the mark at the end
        for i in order:
            if spent >= wanted and not bare:
                break
            if i not in inside:
                inside.add(i)
                spent += float(cost[a + i])
                bare = False
        chosen = [a + i for i in sorted(inside)]
        weight = np.maximum(cost[chosen], 1e-6)
        key = float((score[chosen] * weight).sum() / weight.sum())
        steps.append((-key, 0, unit, chosen))
        steps += [(-min(key, float(score[a + i])), 1, unit, [a + i]) for i in order if i not in inside]
    steps.sort(key=lambda step: (step[0], step[1], step[3][0]))
    spend = np.array([float(cost[members].sum()) for *_, members in steps], dtype=np.float64)
    return _Queue(
        members=[members for *_, members in steps],
        unit=[unit for _, _, unit, _ in steps],
        opens=[kind == 0 for _, kind, _, _ in steps],
        key=np.array([-step[0] for step in steps], dtype=np.float64),
        cost=spend,
        reach=np.cumsum(spend),
    )


class _Batch:
    """A selection over all texts, corrected until the counted texts fit."""

    def __init__(
        self, jobs: Sequence[Job], words: Sequence[Words], full: Sequence[int], queues: Sequence[_Queue], call: Call
    ) -> None:
        self._jobs, self._words, self._full, self._queues, self._call = jobs, words, full, queues, call
        self._caps = [max(0, min(job.max_tokens, n)) for job, n in zip(jobs, full, strict=True)]
        self._budget = min(sum(max(0, job.max_tokens) for job in jobs), sum(full))
        self._empty = call.counter.count([job.segment.empty for job in jobs])
        self._memo: dict[tuple[int, bytes], tuple[Candidate, int]] = {}

    def fit(self) -> list[Candidate]:
        """The largest selection that was found to be within the budget."""
        budget = self._budget
        fits, over, estimate = 0.0, float("inf"), float(budget)
        best, found = -1, self._emptied()
        for _ in range(ROUNDS):
            made, real = self._try(estimate)
            if real <= budget:
                fits = max(fits, estimate)
                if real > best:
                    best, found = real, made
                if budget - real <= CLOSE * budget:
                    break
                estimate += max(1.0, budget - real)
            else:
                over = min(over, estimate)
                estimate = min(estimate - 1, estimate * budget / real)
            if not fits < estimate < over:
                estimate = (fits + over) / 2
            if estimate <= 0 or over - fits < 0.5 or estimate > 4 * budget + 64:
                break
        return found

    def _emptied(self) -> list[Candidate]:
        return [self._made(i, np.zeros(len(w), dtype=np.bool_))[0] for i, w in enumerate(self._words)]

    def _try(self, estimate: float) -> tuple[list[Candidate], int]:
        scale = estimate / max(1, self._budget)
        kept = [np.zeros(len(w), dtype=np.bool_) for w in self._words]
        taken = [np.zeros(len(q.members), dtype=np.bool_) for q in self._queues]
        spent = 0.0
        for i, queue in enumerate(self._queues):
            spent += self._fill(queue, taken[i], self._caps[i] * scale)
        self._spread(taken, estimate - spent)
        for i, queue in enumerate(self._queues):
            for step in np.flatnonzero(taken[i]).tolist():
                kept[i][queue.members[step]] = True
        self._count([(i, k) for i, k in enumerate(kept) if (i, k.tobytes()) not in self._memo])
        made = [self._memo[i, k.tobytes()] for i, k in enumerate(kept)]
        return [candidate for candidate, _ in made], sum(size for _, size in made)

    def _fill(self, queue: _Queue, taken: NDArray[np.bool_], cap: float) -> float:
        """Takes the steps from the first that fit together, then smaller ones behind them."""
        first = int(np.searchsorted(queue.reach, cap + 1e-6, side="right"))
        taken[:first] = True
        spent = float(queue.reach[first - 1]) if first else 0.0
        shut: set[int] = set()
        for step in range(first, min(len(taken), first + _LOOK)):
            fits = spent + queue.cost[step] <= cap + 1e-6
            if queue.unit[step] in shut or not fits:
                if queue.opens[step]:
                    shut.add(queue.unit[step])
                continue
            taken[step] = True
            spent += float(queue.cost[step])
        return spent

    def _spread(self, taken: list[NDArray[np.bool_]], room: float) -> None:
        """Spends what is left over on the best steps of the whole batch."""
        if room < 1 or len(taken) < 2:
            return
        rest: list[tuple[int, int]] = []
        for i, t in enumerate(taken):
            places: list[int] = np.flatnonzero(~t)[:_LOOK].tolist()
            rest += [(i, step) for step in places]
        rest.sort(key=lambda at: (-self._queues[at[0]].key[at[1]], not self._queues[at[0]].opens[at[1]], at))
        shut = {
            (i, queue.unit[step])
            for i, queue in enumerate(self._queues)
            for step in np.flatnonzero(~taken[i]).tolist()
            if queue.opens[step]
        }
        for i, step in rest:
            queue = self._queues[i]
            at = i, queue.unit[step]
            if (at in shut and not queue.opens[step]) or queue.cost[step] > room:
                continue
            shut.discard(at)
            taken[i][step] = True
            room -= float(queue.cost[step])

    def _made(self, i: int, kept: NDArray[np.bool_]) -> tuple[Candidate, int]:
        key = i, kept.tobytes()
        if key not in self._memo:
            self._count([(i, kept)])
        return self._memo[key]

    def _count(self, wanted: list[tuple[int, NDArray[np.bool_]]]) -> None:
        """Renders and counts; what is no smaller than all of it gives way to all of it."""
        rendered: list[tuple[str, tuple[Span, ...]]] = []
        for i, kept in wanted:
            empty = self._jobs[i].segment.empty
            rendered.append(render_words(self._words[i], kept) if kept.any() else (empty, ()))
        sizes = self._call.counter.count([text for text, _ in rendered])
        for (i, kept), (text, spans), size in zip(wanted, rendered, sizes, strict=True):
            whole = self._jobs[i].segment.text
            if size > self._full[i] or (kept.any() and size == self._full[i]):
                text, spans, size = whole, ((0, len(whole)),) if whole else (), self._full[i]
            self._memo[i, kept.tobytes()] = Candidate(text, spans), size
