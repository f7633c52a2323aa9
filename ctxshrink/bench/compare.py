"""ctxshrink's speed beside what others do, in one process and interleaved, and what a fresh process of it needs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from ctxshrink import Shrinker

from .encoder import SentenceEncoder
from .fresh import cold_starts, in_fresh_process
from .passages import context
from .peers import Peer, Run, Skipped, peers

OURS, GUARDED = "ctxshrink, no guardrail", "ctxshrink, guardrail"
TOKENS: Final = 2000
"""Of a context: ten passages, as retrieval for one question returns them."""
PAUSE: Final = 0.3
"""Seconds before each timing: threads of the method before may spin for 0.2 s waiting for more work."""


@dataclass(frozen=True, slots=True)
class PeerTiming:
    """One method over all repetitions.

    Attributes:
        name: The method.
        note: What exactly was run.
        seconds: Wall-clock time of each repetition, each on text of its own.
        best: The shortest.
        median: The middle one.
        best_ratio: ``best`` by that of ctxshrink without its guardrail.
        median_ratio: The same for ``median``.
        kept: Share of the characters that came out.
    """

    name: str
    note: str
    seconds: tuple[float, ...]
    best: float
    median: float
    best_ratio: float
    median_ratio: float
    kept: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that ``ctxshrink bench speed --peers`` shows.

    Attributes:
        timings: By method, ctxshrink without its guardrail first.
        skipped: Peers that could not run, and why.
        tokens: Mean tokens of a context by the encoder's tokenizer.
        own_tokens: The same by ctxshrink's own counter.
        peak_mib: Peak resident memory of a fresh process that runs nothing but ctxshrink, by guardrail off and on.
        cold_files: Seconds of fresh processes that import onnxruntime and load the shipped model files.
        cold_shrink: Seconds of fresh processes until ctxshrink's first call has returned.
    """

    timings: tuple[PeerTiming, ...]
    skipped: tuple[Skipped, ...]
    tokens: float
    own_tokens: float
    peak_mib: dict[str, float]
    cold_files: list[float]
    cold_shrink: list[float]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def compare(
    encoder: Path, *, tokens: int, repeats: int, keep: float, guardrail: bool, step: Callable[[str], None]
) -> Comparison:
    """Time ctxshrink and its peers.

    Every repetition of every method gets text of its own, so that no cache can answer for a method.

    Args:
        encoder: Folder of a sentence encoder.
        tokens: Of each context, by the encoder's tokenizer.
        repeats: Timings of each method, and of each cold start.
        keep: Share to keep.
        guardrail: Time ctxshrink with its guardrail too.
        step: Called with what was done after each of the `steps`.

    Raises:
        ConfigError: There is no such encoder.
        MissingExtraError: transformers or torch is not installed.
    """
    counts = SentenceEncoder(encoder).count
    made = 0

    def fresh() -> tuple[str, list[str]]:
        nonlocal made
        made += 1
        return context(made, tokens, counts)

    guards = [False, True] if guardrail else [False]
    memory = [fresh() for _ in range(min(repeats, 5))]
    peak = dict[str, float]()
    for guard in guards:
        task = {"what": "shrink", "contexts": memory, "keep": keep, "guardrail": guard}
        peak["on" if guard else "off"] = in_fresh_process(task)["peak_mib"]
    step("memory")
    cold = cold_starts([fresh() for _ in range(repeats)], keep)
    step("cold start")
    with ExitStack() as cleanup:
        shrinkers = {g: Shrinker(guardrail="perplexity" if g else None) for g in guards}
        runs = [Peer(GUARDED if g else OURS, "whole path, defaults", _ours(s)) for g, s in shrinkers.items()]
        found = list(peers(encoder, cleanup))
        runs += [p for p in found if isinstance(p, Peer)]
        for peer in runs:  # Models load and buffers grow on first use.
            peer.run(*fresh(), keep)
        step("loading")
        seconds: dict[str, list[float]] = {p.name: [] for p in runs}
        before, after = dict.fromkeys(seconds, 0), dict.fromkeys(seconds, 0)
        sizes, own = list[int](), list[int]()
        for turn in range(repeats):
            for place in range(len(runs)):
                # Who goes first changes from turn to turn.
                peer = runs[(place + turn) % len(runs)]
                query, passages = fresh()
                sizes.append(sum(counts(passages)))
                own.append(sum(shrinkers[False].counter.count(passages)))
                time.sleep(PAUSE)
                start = time.perf_counter()
                out = peer.run(query, passages, keep)
                seconds[peer.name].append(time.perf_counter() - start)
                before[peer.name] += sum(map(len, passages))
                after[peer.name] += sum(map(len, out))
            step(f"turn {turn + 1}")
    timings = tuple(_timing(p, seconds[p.name], seconds[OURS], after[p.name] / before[p.name]) for p in runs)
    return Comparison(
        timings=timings,
        skipped=tuple(p for p in found if isinstance(p, Skipped)),
        tokens=statistics.fmean(sizes),
        own_tokens=statistics.fmean(own),
        peak_mib=peak,
        cold_files=cold["files"],
        cold_shrink=cold["shrink"],
    )


def steps(repeats: int) -> int:
    """How often `compare` calls ``step``."""
    return repeats + 3


def _ours(shrinker: Shrinker) -> Run:
    def run(query: str, passages: list[str], keep: float) -> list[str]:
        return shrinker.shrink_documents(passages, query, keep=keep).output

    return run


def _timing(peer: Peer, seconds: Sequence[float], ours: Sequence[float], kept: float) -> PeerTiming:
    best, median = min(seconds), statistics.median(seconds)
    return PeerTiming(
        name=peer.name,
        note=peer.note,
        seconds=tuple(seconds),
        best=best,
        median=median,
        best_ratio=best / min(ours),
        median_ratio=median / statistics.median(ours),
        kept=kept,
    )
