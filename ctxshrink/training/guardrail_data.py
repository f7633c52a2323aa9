"""Labelled compressions as arrays: everything that `ctxshrink.training.guardrail` fits on."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ctxshrink.bench.data import Record, load_sets
from ctxshrink.bench.guardrail_labels import Compression, Compressions
from ctxshrink.bench.scoring import Haystack
from ctxshrink.bench.tasks import TASKS, Task
from ctxshrink.compressors._index import index
from ctxshrink.errors import ConfigError
from ctxshrink.guardrails._needs import FEATURES, features, groups, locked, mode_of
from ctxshrink.guardrails._omission import Omission, output_omission, segment_omissions
from ctxshrink.guardrails._terms import term_values
from ctxshrink.guardrails.detector import Detector, Logistic
from ctxshrink.types import Call, Scorer

HARMLESS: Final = 6
"""Most harmless segments of one compression that are taken: they are many and alike."""
ASKED: Final = 3
"""Segments of each record that the language model is asked about."""
PAIRS: Final = 8
"""Pairs of any method and any keep that each record is compressed by."""
OWN: Final = ("pruner",)
OWN_KEEPS: Final = (0.5, 0.25, 0.1, 0.05)
"""Each record is also compressed by the default compressor at these keeps: that is what is judged most."""
_NOTHING: Final = Detector(
    {mode: {"text": Logistic(0.0, dict.fromkeys(names, 0.0))} for mode, names in FEATURES.items()}, {}, {}, {}, {}
)
"""Gives every unit the same need: omissions are taken once, and get their needs when these are fitted."""


@dataclass(frozen=True, slots=True)
class Units:
    """The units of one index of a record.

    Attributes:
        x: Features of the unlocked ones, shape (unlocked, features).
        needed: Whether each holds a needed string, shape (unlocked,).
        group: Of each, shape (unlocked,).
        free: Which of all units are unlocked, shape (units,).
    """

    x: NDArray[np.float32]
    needed: NDArray[np.bool_]
    group: NDArray[np.str_]
    free: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Sample:
    """One compression of a segment or of a whole output.

    Attributes:
        omission: What was left out; its needs are still to be filled in.
        places: (place in `Material.units`, units) that the omission's arrays are of, in order.
        whole: Of a whole output.
        lost: Share of the needed strings that were lost, in [0, 1]; for a segment 0 or 1.
        weight: Compressions that this one stands for.
        terms: What the language model said, where it was asked.
    """

    omission: Omission
    places: tuple[tuple[int, slice], ...]
    whole: bool
    lost: float
    weight: float = 1.0
    terms: dict[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Material:
    """All of one record."""

    source: str
    mode: str
    units: tuple[Units, ...]
    segments: tuple[Sample, ...]
    outputs: tuple[Sample, ...]


def material(
    data: Path,
    *,
    limit: int = 20,
    pairs: int = PAIRS,
    scorer: Scorer | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Material]:
    """Labelled compressions of the development half.

    Args:
        data: A folder with ``rag``, ``chat`` and ``tools`` as ``ctxshrink bench`` reads them, or some of these.
        limit: Records per set.
        pairs: Pairs of a method and a keep for each record.
        scorer: Asked about some segments; None leaves the terms out.
        progress: Called with the name of each set.

    Raises:
        ConfigError: The folder holds none of these, or a record is not of its schema.
    """
    if not any((data / name).is_dir() for name in TASKS):
        raise ConfigError(f"--data {data}: no folder {', '.join(TASKS)} in it")
    found: list[Material] = []
    for task in TASKS.values():
        if not (data / task.name).is_dir():
            continue
        for name, records in load_sets(data / task.name, task.parse, split="dev", limit=limit).items():
            progress(f"{task.name}/{name}")
            drawn, own = Compressions(task, pairs=pairs), Compressions(task, methods=OWN, keeps=OWN_KEEPS)
            for record in records:
                if not task.needed(record, Haystack("")):
                    continue
                found += _of(f"{task.name}/{name}", task, record, list(own.of(record)), list(drawn.of(record)), scorer)
    return found


def _of(
    source: str,
    task: Task[Any],
    record: Record,
    own: Sequence[Compression],
    drawn: Sequence[Compression],
    scorer: Scorer | None,
) -> Iterator[Material]:
    # All share one index: that of the first, whatever call they came from.
    made = [replace(m, call=replace(m.call, cache=(own or drawn)[0].call.cache)) for m in (*own, *drawn)]
    if not made:
        return
    call = made[0].call
    views = [True] if index(call, True) is index(call, False) else [True, False]
    units = tuple(_units(task, record, call, structured) for structured in views)
    segments: list[Sample] = []
    outputs: list[Sample] = []
    chosen = random.Random(f"terms:{record.id}")
    asked = {chosen.randrange(len(made)) for _ in range(ASKED)} if scorer else set[int]()
    for number, compression in enumerate(made):
        call = compression.call
        segments += _segments(compression, call, views, scorer if number in asked else None, chosen)
        whole = output_omission(compression.trials, call, _NOTHING)
        outputs.append(_sample(whole, call, views, True, compression.strings_lost / compression.at_risk))
    yield Material(source, mode_of(call), units, tuple(segments), tuple(outputs))


def _units(task: Task[Any], record: Record, call: Call, structured: bool) -> Units:
    idx = index(call, structured)
    free = ~locked(idx)
    needed = [any(task.needed(record, Haystack(idx.text(u)))) for u in range(idx.size) if free[u]]
    x = features(call, structured).astype(np.float32)
    return Units(x[free], np.array(needed, dtype=bool), groups(idx)[free], free)


def _segments(
    made: Compression, call: Call, views: Sequence[bool], scorer: Scorer | None, chosen: random.Random
) -> list[Sample]:
    quiet = [i for i, lost in enumerate(made.lost) if not lost]
    drawn = min(HARMLESS, len(quiet))
    picked = sorted({i for i, lost in enumerate(made.lost) if lost} | set(chosen.sample(quiet, drawn)))
    trials = [made.trials[i] for i in picked]
    found = segment_omissions(trials, call, _NOTHING)
    samples = [
        _sample(o, call, views, False, float(made.lost[i]), 1.0 if made.lost[i] else len(quiet) / drawn)
        for o, i in zip(found, picked, strict=True)
    ]
    if scorer is not None and picked:
        at = chosen.randrange(len(picked))
        [terms] = term_values(scorer, [trials[at]], [found[at]], call)
        samples[at] = replace(samples[at], terms=terms)
    return samples


def _sample(
    omission: Omission, call: Call, views: Sequence[bool], whole: bool, lost: float, weight: float = 1.0
) -> Sample:
    """The sample with its omission's units as slices, which weigh less than the units themselves."""
    of = {id(index(call, structured)): place for place, structured in enumerate(views)}
    places: list[tuple[int, slice]] = []
    for idx, unit in omission.source:
        view = of[id(idx)]
        if places and places[-1][0] == view and places[-1][1].stop == unit:
            places[-1] = view, slice(places[-1][1].start, unit + 1)
        else:
            places.append((view, slice(unit, unit + 1)))
    return Sample(replace(omission, source=()), tuple(places), whole, lost, weight)
