"""How fast the whole path is, and how it grows with the length of the input."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from rich.console import Console

from ctxshrink import Shrinker
from ctxshrink._console import progress

from .report import number, table

QUERY = "When was the pump in hall 7 replaced, and what did it cost?"
CHUNK_SENTENCES = 8
"""Sentences per chunk: about 250 tokens, a usual size in retrieval."""

_OPENINGS = ("According to the log", "During the night shift", "After the inspection", "As agreed in the meeting", "")
_SUBJECTS = ("the pump", "the valve", "the heat exchanger", "a pressure sensor", "the control cabinet", "the fan drive")
_VERBS = (
    "was replaced",
    "was inspected",
    "failed",
    "was recalibrated",
    "was put back into service",
    "was ordered again",
)
_TAILS = (
    "because its bearing had run dry",
    "and the supplier confirmed the delivery within {b} days",
    "at a cost of {b} euros, which the maintenance budget covers",
    "although the reading of {b} kPa was still inside the permitted range",
    "so that hall {a} could return to normal operation",
    "while the team of {b} people waited for the release",
)


def sentences(seed: int = 0) -> Iterator[str]:
    """An endless supply of plain, ever different English sentences; the same for the same seed."""
    rng = random.Random(seed)
    while True:
        opening, subject, verb = rng.choice(_OPENINGS), rng.choice(_SUBJECTS), rng.choice(_VERBS)
        a, b = rng.randint(1, 40), rng.randint(2, 9000)
        start = f"{opening}, {subject}" if opening else subject.capitalize()
        yield f"{start} in hall {a} {verb} on day {rng.randint(1, 365)}, {rng.choice(_TAILS).format(a=a, b=b)}."


def chunks(tokens: int, shrinker: Shrinker, seed: int = 0) -> list[str]:
    """Chunks of generated text that have ``tokens`` tokens together, give or take one chunk.

    Args:
        tokens: How much text.
        shrinker: For its counter.
        seed: Another one gives other text.
    """
    supply, made, total = sentences(seed), list[str](), 0
    while total < tokens:
        batch = [" ".join(next(supply) for _ in range(CHUNK_SENTENCES)) for _ in range(64)]
        for chunk, size in zip(batch, shrinker.counter.count(batch), strict=True):
            if total < tokens:
                made.append(chunk)
                total += size
    return made


@dataclass(frozen=True, slots=True)
class Timing:
    """One run.

    Attributes:
        shape: ``chunks`` or ``text``.
        guardrail: With the perplexity guardrail or without.
        tokens: Input tokens.
        kept: Share of them that came out.
        seconds: Wall-clock time of the whole call, counting of tokens included.
    """

    shape: str
    guardrail: bool
    tokens: int
    kept: float
    seconds: float

    @property
    def tokens_per_second(self) -> float:
        """Input tokens per second."""
        return self.tokens / self.seconds if self.seconds else float("nan")


def measure(
    lengths: Sequence[int], guardrails: Sequence[bool], shapes: Sequence[str], keep: float = 0.5
) -> Iterator[Timing]:
    """Time one call for each length, with and without the guardrail, after a call that loads the models.

    Every call gets text of its own: what is known of a text from an earlier call would be left out of its time.

    Args:
        lengths: Input tokens.
        guardrails: With (True), without (False), or both.
        shapes: ``chunks``: many documents with a query; ``text``: the same as one text without one.
        keep: Share to keep.

    Yields:
        A timing as soon as it is known.
    """
    shrinkers = {g: Shrinker(guardrail="perplexity" if g else None) for g in guardrails}
    for shrinker in shrinkers.values():
        shrinker.shrink_documents(chunks(400, shrinker), QUERY, keep=keep)
    seeds = count(1)
    for length in lengths:
        for shape in shapes:
            for guardrail, shrinker in shrinkers.items():
                docs = chunks(length, shrinker, next(seeds))
                start = time.perf_counter()
                if shape == "chunks":
                    result = shrinker.shrink_documents(docs, QUERY, keep=keep)
                else:
                    result = shrinker.shrink_text("\n\n".join(docs), keep=keep)
                seconds = time.perf_counter() - start
                yield Timing(shape, guardrail, result.tokens_before, result.kept_share, seconds)


def show_speed(
    lengths: Sequence[int], shapes: Sequence[str], keep: float, guardrail: bool, out: Console
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Times and shows; returns settings and figures, JSON-ready.

    Args:
        lengths: Input tokens.
        shapes: See `measure`.
        keep: Share to keep.
        guardrail: Time the calls with the guardrail too.
        out: Where the table goes.
    """
    guards = [False, True] if guardrail else [False]
    timings = list[dict[str, Any]]()
    shown = table("whole path, one call each", ["shape", "guardrail", "tokens", "kept", "seconds", "tokens/s"], left=2)
    with progress() as bar:
        job = bar.add_task("speed", total=len(lengths) * len(shapes) * len(guards))
        for t in measure(lengths, guards, shapes, keep):
            on = "on" if t.guardrail else "off"
            shown.add_row(
                t.shape, on, f"{t.tokens:,}", f"{t.kept:.1%}", f"{t.seconds:.2f}", number(t.tokens_per_second, ",.0f")
            )
            timings.append(
                {"shape": t.shape, "guardrail": t.guardrail, "tokens": t.tokens, "kept": t.kept, "seconds": t.seconds}
            )
            bar.update(job, advance=1, description=f"{t.tokens:,} tokens, guardrail {on}")
    out.print(shown)
    return {"lengths": list(lengths), "keep": keep}, {"timings": timings}
