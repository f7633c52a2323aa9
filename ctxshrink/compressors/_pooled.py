"""Base of the compressors that pick units: a key for every unit, then the best of the pool that the budget holds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ctxshrink.compressors._index import Index, index
from ctxshrink.compressors._render import Markers, Style, marker, render, style
from ctxshrink.compressors._select import Costs, Selection, ranking
from ctxshrink.errors import ConfigError
from ctxshrink.types import Call, Candidate, Job, Segment, Span

ROUNDS = 12
"""Most times a selection is corrected to the counted size of its text."""
REFILLS = 6
"""Most times a selection that fits is made larger."""
_SLACK = 4


class PooledCompressor(ABC):
    """Keeps the units of a call that rank first. Subclasses say what ranks first.

    Every unit has one key, computed from the whole call and not from the batch at hand. A batch first fills each job's
    own `Job.max_tokens` in order of the key, then spends what is left over anywhere in the batch.

    Args:
        markers: How omissions show. "auto": a counting marker line in line-like content and tool results, " … " in
            messages, nothing in prose documents; "always": " … " there too; "never": nothing anywhere, where the text
            is not of a kind that has its own rendering.
        structure: Select from renderings with fewer tokens, where they lose nothing; see `ctxshrink.structure`.

    Raises:
        ConfigError: `markers` is none of these.
    """

    name: str

    def __init__(self, *, markers: Markers = "auto", structure: bool = False) -> None:
        if markers not in ("auto", "always", "never"):
            raise ConfigError(f'markers must be "auto", "always" or "never", not {markers!r}')
        self.markers: Markers = markers
        self.structure = structure

    @abstractmethod
    def key(self, idx: Index, call: Call) -> NDArray[np.float64]:
        """Rank of each unit of the call, higher is kept first; shape (units,)."""

    def compress(self, jobs: Sequence[Job], call: Call, /) -> list[Candidate]:
        """One verbatim extract per job, from its text or from a rendering of it that loses nothing.

        The sum of the outputs' tokens is at most the sum of the jobs' `max_tokens` (unless even the emptied segments'
        placeholders are more), and none is larger than its original.
        """
        if not jobs:
            return []
        idx = index(call, self.structure)
        places = [idx.position[job.segment.id] for job in jobs]
        costs = self._costs(idx, places, call)
        order = self._order(idx, places, call)
        caps = {p: min(job.max_tokens, costs[p].full) for job, p in zip(jobs, places, strict=True)}
        texts = _Fitted(idx, places, costs, order, caps, {p: self._style(idx.segments[p]) for p in places}, call)
        texts.fit(min(sum(job.max_tokens for job in jobs), sum(costs[p].full for p in places)))
        sources = (idx.layouts[p] for p in places)
        return [
            Candidate(
                texts.text[p], texts.spans[p], source=made.text if made.form else None, form=made.form, exact=made.exact
            )
            for p, made in zip(places, sources, strict=True)
        ]

    def relevance(self, segments: Sequence[Segment], keep: float, call: Call, /) -> list[float]:
        """For each segment the share of it that is among the best ``keep`` of all their tokens."""
        if not segments:
            return []
        idx = index(call, self.structure)
        places = [idx.position[s.id] for s in segments]
        costs = self._costs(idx, places, call)
        chosen = Selection(idx, costs)
        total = sum(c.total for c in costs.values())
        chosen.fill(self._order(idx, places, call), round(keep * total), {p: c.full for p, c in costs.items()})
        return [
            min(1.0, chosen.used[p] / costs[p].total) if chosen.count[p] and costs[p].total else 0.0 for p in places
        ]

    def _order(self, idx: Index, places: list[int], call: Call) -> list[int]:
        cached = call.cache.get(self)
        if cached is None:
            cached = self.key(idx, call)
            call.cache[self] = cached
        allowed = np.zeros(len(idx.segments), dtype=bool)
        allowed[places] = True
        return ranking(cached, allowed[idx.segment])

    def _style(self, segment: Segment) -> Style:
        return style(segment, self.markers)

    def _costs(self, idx: Index, places: list[int], call: Call) -> dict[int, Costs]:
        samples: dict[str, int] = {}
        for p in places:
            samples.update({idx.segments[p].empty: 0, self._gap_text(idx, p): 0})
        samples = dict(zip(samples, call.counter.count(list(samples)), strict=True))
        out: dict[int, Costs] = {}
        for p in places:
            seg = idx.segments[p]
            total = call.tokens[seg.id]
            empty = min(total, samples[seg.empty])
            out[p] = Costs(total, int(idx.full[p]), empty, samples[self._gap_text(idx, p)])
        return out

    def _gap_text(self, idx: Index, place: int) -> str:
        layout, how = idx.layouts[place], self._style(idx.segments[place])
        if layout.gap:
            return layout.gap
        return "" if how == "none" else " …" if how == "dots" else "\n" + marker(layout, 12)


class _Fitted:
    """Renders a selection and corrects it until the counted texts fit."""

    def __init__(
        self,
        idx: Index,
        places: list[int],
        costs: dict[int, Costs],
        order: list[int],
        caps: dict[int, int],
        styles: dict[int, Style],
        call: Call,
    ) -> None:
        self._idx, self._places, self._costs, self._order, self._caps = idx, places, costs, order, caps
        self._styles, self._call = styles, call
        self._memo: dict[tuple[int, tuple[int, ...]], tuple[str, tuple[Span, ...], int]] = {}
        self.text: dict[int, str] = {}
        self.spans: dict[int, tuple[Span, ...]] = {}

    def fit(self, budget: int) -> None:
        """Finds the largest selection whose counted size is within the budget; emptied texts are the last resort."""
        estimate, fits, over = budget, 0, 0  # the largest estimate that fitted, the smallest that did not
        best = -1
        found = self.text, self.spans
        for attempt in range(ROUNDS):
            real = self._try(estimate)
            if real <= budget:
                fits = estimate
                if real > best:
                    best = real
                    found = dict(self.text), dict(self.spans)
                if attempt >= REFILLS or budget - real <= _SLACK:
                    break
                # Units can cost far less together than apart: the columns of a table vanish from its header.
                estimate = max(estimate + max(1, budget - real - _SLACK // 2), int(estimate * budget / max(1, real)))
            else:
                over = estimate
                if best >= 0 and attempt >= REFILLS:
                    break
                estimate = min(estimate - 1, int(estimate * budget / max(1, real))) - attempt
            if over and not fits < estimate < over:
                estimate = (fits + over) // 2
            if estimate <= 0 or estimate in (fits, over):
                break
        if best >= 0:
            self.text, self.spans = found
        else:
            self._try(0)

    def _try(self, estimate: int) -> int:
        """Selects, renders and counts with this estimated budget; returns the counted size."""
        chosen = Selection(self._idx, self._costs)
        chosen.fill(self._order, estimate, self._caps, in_turn=True)
        chosen.fill(self._order, estimate, {p: c.full for p, c in self._costs.items()})
        chosen.close_gaps()
        kept = {p: tuple(chosen.units(p)) for p in self._places}
        self._count([(p, units) for p, units in kept.items() if (p, units) not in self._memo])
        total = 0
        for p, units in kept.items():
            self.text[p], self.spans[p], size = self._memo[p, units]
            total += size
        return total

    def _count(self, wanted: list[tuple[int, tuple[int, ...]]]) -> None:
        """Renders and counts selections; one that is not smaller than all of it gives way to shorter markers."""
        ways: list[tuple[Style | None, bool]] = [(None, False), (None, True), ("none", False)]
        for how, short in ways:
            texts = [self._render(p, units, how, short) for p, units in wanted]
            sizes = self._call.counter.count([text for text, _ in texts])
            again: list[tuple[int, tuple[int, ...]]] = []
            for (p, units), (text, spans), size in zip(wanted, texts, sizes, strict=True):
                whole, full = self._idx.layouts[p].text, self._costs[p].full
                if size < full or (text == whole and size <= full):
                    self._memo[p, units] = text, spans, size
                else:
                    # All of it is as short: it stands unless a shorter rendering is found.
                    self._memo[p, units] = whole, ((0, len(whole)),), full
                    if units:
                        again.append((p, units))
            wanted = again
            if not wanted:
                return

    def _render(self, p: int, units: tuple[int, ...], how: Style | None, short: bool) -> tuple[str, tuple[Span, ...]]:
        layout = self._idx.layouts[p]
        if len(units) == len(layout.spans) and units:
            return layout.text, ((0, len(layout.text)),)
        return render(self._idx.segments[p], layout, units, how or self._styles[p], short)
