"""For authors of plug-ins: test doubles, and checks that raise `AssertionError` where a plug-in breaks its protocol.

from ctxshrink.testing import check_compressor

def test_my_compressor():
    check_compressor(MyCompressor())
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .types import (
    Call,
    Candidate,
    Compressor,
    Guardrail,
    Job,
    OutputGuardrail,
    Scorer,
    Segment,
    TokenCounter,
    Trial,
    Verdict,
)

_WORD = re.compile(r"\w+|[^\w\s]")

SAMPLES: tuple[str, ...] = (
    "The invoice INV-2291 was sent on 2024-05-13. It must be paid before June. The office is closed on Mondays. "
    "Nobody answered the phone. The total is $1,234.50, and the discount is 12 %.",
    "Der Zug fährt um 9.30 Uhr ab, z. B. nach Köln. Er hält nicht in Bonn. Die Fahrt dauert 25 Minuten.",
    "水立方的门票是200元。开放时间是9点到18点。请不要带宠物。",
    "INFO start\nINFO tick 1\nINFO tick 2\nERROR disk full on /dev/sda1\nINFO tick 3\nINFO stop",
    '{"id": 7, "name": "Ada", "tags": ["a", "b"], "address": {"city": "Rome", "zip": "00100"}}',
    "word",
    " ",
    "",
    "\x00\ud800 lone",
)
"""Texts of several languages and types, awkward ones among them."""


class WordCounter:
    """Counts words and punctuation marks: exact, additive over spaces, and quick."""

    name = "words"
    exact = True

    def count(self, texts: Sequence[str], /) -> list[int]:
        """Words of each text."""
        return [len(_WORD.findall(t)) for t in texts]


class FakeScorer:
    """A scorer without a model: a word that stands in its context costs 1 nat, any other 6.

    Args:
        known: Nats of a word that the context has.
        unknown: Nats of one that it has not.
    """

    name = "fake"
    max_context = 1024

    def __init__(self, known: float = 1.0, unknown: float = 6.0) -> None:
        self.known, self.unknown = known, unknown

    def nll(self, pairs: Sequence[tuple[str, str]], /) -> list[NDArray[np.float32]]:
        """Nats per word of each target."""
        return [self._one(set(_WORD.findall(c)), _WORD.findall(t)) for c, t in pairs]

    def _one(self, context: set[str], target: list[str]) -> NDArray[np.float32]:
        return np.array([self.known if w in context else self.unknown for w in target], dtype=np.float32)


@dataclass
class ScriptedGuardrail:
    """Gives the verdicts it was told to, then accepts. Records what it was asked.

    Args:
        verdicts: Acceptances, first to last.
    """

    verdicts: list[bool] = field(default_factory=list[bool])
    seen: list[Trial] = field(default_factory=list[Trial])
    name: str = "scripted"

    def check(self, trials: Sequence[Trial], call: Call, /) -> list[Verdict]:
        """One verdict per trial."""
        self.seen += trials
        oks = [self.verdicts.pop(0) if self.verdicts else True for _ in trials]
        return [Verdict(ok, 0.1 if ok else 0.9, "as scripted") for ok in oks]


class BrokenCompressor:
    """Fails in the way it was told to.

    Args:
        how: ``raise``, ``short`` (too few candidates), ``grow`` (a larger text) or ``error`` (a failed candidate).
    """

    name = "broken"

    def __init__(self, how: str = "raise") -> None:
        self.how = how

    def compress(self, jobs: Sequence[Job], call: Call, /) -> list[Candidate]:
        """Fail."""
        if self.how == "short":
            return []
        if self.how == "grow":
            return [Candidate(j.segment.text + " and more words than before") for j in jobs]
        if self.how == "error":
            return [Candidate("", error="scripted failure") for _ in jobs]
        raise RuntimeError("scripted failure")


def call_for(
    texts: Sequence[str], query: str | None = None, counter: TokenCounter | None = None, **changes: object
) -> Call:
    """A call over documents, for tests of plug-ins; ``changes`` are attributes of every segment."""
    counter = counter or WordCounter()
    segments = tuple(Segment(str(i), t, **changes) for i, t in enumerate(texts))  # pyright: ignore[reportArgumentType]
    tokens = {s.id: n for s, n in zip(segments, counter.count([s.text for s in segments]), strict=True)}
    return Call(segments, tokens, counter, query=query, anchor=query)


def jobs_for(call: Call, keep: float) -> list[Job]:
    """A job for each segment of a call, each with the same keep."""
    return [Job(s, keep, int(keep * call.tokens[s.id])) for s in call.segments]


def check_compressor(compressor: Compressor, texts: Sequence[str] = SAMPLES, query: str | None = None) -> None:
    """Check order, sizes, determinism and, where spans are given, that what is kept is verbatim.

    Raises:
        AssertionError: Says which promise was broken, at which keep, on which text.
    """
    _require(bool(compressor.name), "a compressor needs a name")
    for keep in (0.0, 0.3, 0.7):
        call = call_for(texts, query)
        jobs = jobs_for(call, keep)
        candidates = list(compressor.compress(jobs, call))
        _require(len(candidates) == len(jobs), f"{len(candidates)} candidates for {len(jobs)} jobs")
        again = list(compressor.compress(jobs, call_for(texts, query)))
        _require(candidates == again, f"two runs at keep {keep} differ")
        good = [(j, c) for j, c in zip(jobs, candidates, strict=True) if c.error is None]
        sizes = call.counter.count([c.text for _, c in good])
        _require(sum(sizes) <= sum(j.max_tokens for j in jobs), f"the batch is over its budget at keep {keep}")
        for (job, candidate), size in zip(good, sizes, strict=True):
            where = f"at keep {keep} on {job.segment.text[:40]!r}"
            _require(size <= call.tokens[job.segment.id], f"larger than the original {where}")
            _check_spans(job.segment.text, candidate, where)


def _check_spans(text: str, candidate: Candidate, where: str) -> None:
    if candidate.spans is None:
        return
    last, at = 0, 0
    for start, end in candidate.spans:
        _require(last <= start <= end <= len(text), f"spans out of order or range {where}")
        found = candidate.text.find(text[start:end].strip(), at)
        _require(found >= 0, f"span {start}:{end} is not in the output, in order, {where}")
        last, at = end, found + len(text[start:end].strip())


def check_scorer(scorer: Scorer, texts: Sequence[str] = SAMPLES) -> None:
    """Check shapes, finiteness, and that batches do not change results.

    Raises:
        AssertionError: Says what was broken.
    """
    pairs = [(c, t) for c in ("", texts[0]) for t in texts]
    together = scorer.nll(pairs)
    _require(len(together) == len(pairs), f"{len(together)} results for {len(pairs)} pairs")
    for pair, nats in zip(pairs, together, strict=True):
        _require(nats.ndim == 1, f"shape {nats.shape}, not (target tokens,)")
        _require(
            bool(np.isfinite(nats).all()) and bool((nats >= -1e-3).all()), f"not finite and >= 0 on {pair[1][:40]!r}"
        )
        _require((len(nats) == 0) == (pair[1] == ""), f"{len(nats)} tokens for {pair[1][:40]!r}")
        [alone] = scorer.nll([pair])
        _require(np.allclose(alone, nats, atol=2e-3), f"batch mates change the result of {pair[1][:40]!r}")


def check_guardrail(guardrail: Guardrail, texts: Sequence[str] = SAMPLES, query: str | None = None) -> None:
    """Check order, determinism, the range of scores, and that an unchanged text is accepted.

    Of an `OutputGuardrail` also `check_output`: an output is judged the same whatever the order of its trials, and an
    unchanged one is accepted.

    Raises:
        AssertionError: Says what was broken.
    """
    call = call_for(texts, query)
    same = [Trial(s, s.text, ((0, len(s.text)),)) for s in call.segments]
    cut = [Trial(s, s.text[: len(s.text) // 2], ((0, len(s.text) // 2),)) for s in call.segments]
    verdicts = list(guardrail.check([*same, *cut], call))
    _require(len(verdicts) == len(same) + len(cut), "not one verdict per trial")
    _require(all(0 <= v.score <= 1 for v in verdicts), "a score is outside [0, 1]")
    _require(all(bool(v.reason) for v in verdicts), "a verdict has no reason")
    _require(all(v.ok for v in verdicts[: len(same)]), "an unchanged text was rejected")
    _require(list(guardrail.check([*same, *cut], call)) == verdicts, "two runs differ")
    alone = [v for t in (*same, *cut) for v in guardrail.check([t], call)]
    _require([v.ok for v in alone] == [v.ok for v in verdicts], "batch mates change a verdict")
    if isinstance(guardrail, OutputGuardrail):
        _check_output(guardrail, same, cut, texts, query)


def _check_output(
    guardrail: OutputGuardrail, same: Sequence[Trial], cut: Sequence[Trial], texts: Sequence[str], query: str | None
) -> None:
    call = call_for(texts, query)
    verdict = guardrail.check_output(cut, call)
    _require(0 <= verdict.score <= 1, "the score of an output is outside [0, 1]")
    _require(bool(verdict.reason), "the verdict on an output has no reason")
    _require(guardrail.check_output(same, call).ok, "an unchanged output was rejected")
    _require(guardrail.check_output([], call).ok, "an output without changes was rejected")
    _require(guardrail.check_output(cut, call) == verdict, "two verdicts on one output differ")
    for again in (cut, list(reversed(cut))):
        other = guardrail.check_output(again, call_for(texts, query))
        _require(other == verdict, "the order of trials, or what was judged before, changes the verdict on an output")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(message)
