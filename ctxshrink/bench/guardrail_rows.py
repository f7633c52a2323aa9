"""What a guardrail, and plainer measures beside it, say of labelled compressions: one row for each."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from ctxshrink.types import OutputGuardrail, Scorer, Verdict

from .data import Record
from .encoder import SentenceEncoder
from .guardrail_labels import Compression, Compressions
from .scoring import tokenize
from .tasks import Task

Level: TypeAlias = Literal["segment", "output"]

HARMLESS: Final = 6
"""Most segments of one compression that lost nothing and are counted; each stands for several then."""
SLOW: Final = 8
"""Compressions of each level and each label of a source whose texts a model reads: perplexity and cosine."""
SLOW_CHARS: Final = 1200
"""Characters of a text, from its start, that its perplexity is taken of."""

DETECTOR: Final = "detector"
KEPT: Final = "share kept"
WORDS: Final = "words kept"
ASKED: Final = "query words kept"
COSINE: Final = "cosine"
PERPLEXITY: Final = "perplexity"


@dataclass(slots=True)
class Row:
    """One judged compression of a segment, or of all segments of a call.

    Attributes:
        source: The set.
        task: Its task.
        record: The record, numbered through the source.
        level: What was judged.
        lost: A needed string was lost.
        share: Of a whole output, share of the needed strings that were lost; of a segment 0 or 1.
        ok: The guardrail accepted it.
        weight: Rows that this one stands for.
        risks: By measure, higher is worse: of the guardrail and of the plainer measures.
        features: The guardrail's own numbers; which direction is worse is not known.
        read: Rows that this one stands for among those that a model read; 0 where none did.
    """

    source: str
    task: str
    record: int
    level: Level
    lost: bool
    share: float
    ok: bool
    weight: float
    risks: dict[str, float]
    features: dict[str, float]
    read: float = 0.0


@dataclass
class _Stratum:
    """An even sample of the rows of one level and label, without knowing how many will come (Vitter's algorithm R)."""

    rng: random.Random
    size: int
    seen: int = 0
    held: list[tuple[Row, str, str]] = field(default_factory=list[tuple[Row, str, str]])

    def offer(self, row: Row, before: str, after: str) -> None:
        self.seen += 1
        place = len(self.held) if len(self.held) < self.size else self.rng.randrange(self.seen)
        if place < self.size:
            self.held[place : place + 1] = [(row, before, after)]


class Observer:
    """Judges the compressions of one source.

    Args:
        task: What the records are.
        source: The set's name.
        guardrail: The guardrail.
        encoder: For the cosine of original and output; None leaves it out.
        scorer: For the perplexity of the output alone; None leaves it out.
        compressions: Compresses the records.
        slow: Compressions of each level and label that they read.
        seed: Of all draws.
    """

    def __init__(
        self,
        task: Task[Any],
        source: str,
        guardrail: OutputGuardrail,
        compressions: Compressions,
        *,
        encoder: SentenceEncoder | None = None,
        scorer: Scorer | None = None,
        slow: int = SLOW,
        seed: int = 0,
    ) -> None:
        self._task, self._source, self._guardrail, self._compressions = task, source, guardrail, compressions
        self._encoder, self._scorer = encoder, scorer
        self._known = dict[str, Counter[str]]()
        self._rng = random.Random(f"{seed}:{source}")
        self._strata = {
            (level, lost): _Stratum(random.Random(f"{seed}:{source}:{level}:{lost}"), slow)
            for level in ("segment", "output")
            for lost in (False, True)
        }

    def rows(self, records: Sequence[Record], step: Callable[[], None] = lambda: None) -> list[Row]:
        """Rows of every compression of some records; ``step`` is called after each record."""
        found = list[Row]()
        for number, record in enumerate(records):
            self._known.clear()
            for compression in self._compressions.of(record):
                found += self._of(number, compression)
            step()
        self._read()
        return found

    def _of(self, number: int, made: Compression) -> Iterator[Row]:
        query = None if made.call.query is None else self._words(made.call.query)
        verdicts = self._guardrail.check(made.trials, made.call)
        for i, weight in self._picked(made):
            before, after = made.trials[i].segment.text, made.trials[i].text
            risks = _plain(self._words(before), Counter(tokenize(after)), made.tokens[i], query)
            yield self._row(number, "segment", float(made.lost[i]), verdicts[i], weight, risks, before, after)
        out = {t.segment.id: t.text for t in made.trials}
        free = [s for s in made.call.segments if not s.locked]
        before, after = "\n".join(s.text for s in free), "\n".join(out.get(s.id, s.text) for s in free)
        size = sum(made.call.tokens[s.id] for s in free)
        saved = sum(b - a for b, a in made.tokens)
        risks = _plain(self._words(before), Counter(tokenize(after)), (size, size - saved), query)
        verdict = self._guardrail.check_output(made.trials, made.call)
        yield self._row(number, "output", made.strings_lost / made.at_risk, verdict, 1.0, risks, before, after)

    def _words(self, text: str) -> Counter[str]:
        """The words of a text that several compressions of a record are held against."""
        if text not in self._known:
            self._known[text] = Counter(tokenize(text))
        return self._known[text]

    def _picked(self, made: Compression) -> list[tuple[int, float]]:
        """All segments that lost something, and an even sample of the others, each with how many it stands for."""
        quiet = [i for i, lost in enumerate(made.lost) if not lost]
        drawn = set(self._rng.sample(quiet, HARMLESS) if len(quiet) > HARMLESS else quiet)
        each = len(quiet) / len(drawn) if drawn else 1.0
        return [(i, 1.0 if lost else each) for i, lost in enumerate(made.lost) if lost or i in drawn]

    def _row(
        self,
        number: int,
        level: Level,
        share: float,
        verdict: Verdict,
        weight: float,
        risks: dict[str, float],
        before: str,
        after: str,
    ) -> Row:
        risks = {DETECTOR: verdict.score, **risks}
        lost, features = share > 0, dict(verdict.features)
        row = Row(self._source, self._task.name, number, level, lost, share, verdict.ok, weight, risks, features)
        self._strata[level, lost].offer(row, before, after)
        return row

    def _read(self) -> None:
        """Let the models read the rows that were drawn for them."""
        drawn = [
            (row, before, after, stratum.seen / len(stratum.held))
            for stratum in self._strata.values()
            for row, before, after in stratum.held
        ]
        if not drawn:
            return
        cosines = perplexities = [math.nan] * len(drawn)
        if self._encoder is not None:
            befores = self._encoder.encode([before for _, before, _, _ in drawn])
            afters = self._encoder.encode([after for _, _, after, _ in drawn])
            cosines = [float(c) for c in (befores * afters).sum(axis=1)]
            self._encoder.forget()
        if self._scorer is not None:
            perplexities = _mean_nats(self._scorer, [d[2][:SLOW_CHARS] for d in drawn])
        for (row, _, _, each), cosine, nats in zip(drawn, cosines, perplexities, strict=True):
            row.read = row.weight * each
            if self._encoder is not None:
                row.risks[COSINE] = 1 - cosine
            if self._scorer is not None:
                row.features[PERPLEXITY] = nats


def _plain(
    before: Counter[str], after: Counter[str], tokens: tuple[int, int], query: Counter[str] | None
) -> dict[str, float]:
    """The risks that need no model: shares of the tokens, of the words and of the query's words that are gone."""
    risks = {KEPT: 1 - tokens[1] / tokens[0] if tokens[0] else 0.0, WORDS: 1 - _recall(before, after)}
    if query is not None:
        had = _recall(query, before)
        risks[ASKED] = 1 - _recall(query, after) / had if had else 0.0
    return risks


def _recall(wanted: Counter[str], there: Counter[str]) -> float:
    """Share of some words that are there, counted with multiplicity; 0 for no words."""
    total = wanted.total()
    return sum(min(n, there[word]) for word, n in wanted.items()) / total if total else 0.0


def _mean_nats(scorer: Scorer, texts: Sequence[str]) -> list[float]:
    """Mean negative log-likelihood of each text by itself, nats per token; NaN for one without tokens."""
    found = scorer.nll([("", text) for text in texts])
    return [float(nats.mean()) if len(nats) else math.nan for nats in found]
