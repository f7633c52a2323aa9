"""``ctxshrink bench guardrail``: the guardrail as a detector, in the product, against adversaries, and its cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from ctxshrink._console import progress
from ctxshrink.errors import ConfigError
from ctxshrink.guardrails import PerplexityGuardrail, load_detector
from ctxshrink.scorers import EmbeddedScorer
from ctxshrink.types import Scorer

from . import guardrail_attacks as attacks
from . import guardrail_product as product
from . import guardrail_rewritten as rewritten
from .data import RagRecord, Record, Split, load_sets
from .encoder import SentenceEncoder
from .guardrail_attacks import Attack
from .guardrail_cost import Cost, cost
from .guardrail_detector import curve, standings
from .guardrail_labels import KEEPS, METHODS, PAIRS, Compressions
from .guardrail_report import show
from .guardrail_rewritten import Retelling
from .guardrail_rows import Observer, Row
from .run import Observation
from .scoring import Haystack
from .summary import plain
from .tasks import TASKS, Task

ATTACKED: Final = 5
"""Records of each source that are given to the adversaries."""
RETOLD: Final = 3
"""Records of each source of retrieved text that are judged in other words."""
TIMED: Final = 2
"""Records of each source that are timed."""


@dataclass(frozen=True, slots=True)
class Source:
    """One set of records.

    Attributes:
        name: The task's and the set's name, like ``rag/hotpotqa``.
        task: What its records are.
        records: Them.
    """

    name: str
    task: Task[Any]
    records: Sequence[Record]


_NOTHING = Haystack("")


@dataclass(frozen=True, slots=True)
class Subject:
    """The guardrail that is measured.

    Attributes:
        max_miss_rate: The share of needed strings that it may lose.
        detectors: A folder as ``ctxshrink train guardrail --crossed`` writes it: each source is judged by the
            detector that was fitted without it. None takes the shipped detector for all.
    """

    max_miss_rate: float
    detectors: Path | None

    def check(self, sources: Sequence[Source]) -> None:
        """Raise `ConfigError` where a source has no detector."""
        if self.detectors is None:
            return
        missing = [s.name for s in sources if not (self.detectors / s.name / "config.json").is_file()]
        if missing:
            raise ConfigError(
                f"--detectors {self.detectors}: no config.json for {', '.join(missing)}; "
                "`ctxshrink train guardrail --crossed` writes one for each source"
            )

    def guardrail(self, source: str, scorer: Scorer) -> PerplexityGuardrail:
        """A guardrail for one source."""
        detector = None if self.detectors is None else load_detector(self.detectors / source)
        return PerplexityGuardrail(scorer, max_miss_rate=self.max_miss_rate, detector=detector)


@dataclass(frozen=True, slots=True)
class Found:
    """Everything that was seen.

    Attributes:
        rows: Judged compressions.
        observations: Records shrunk with the guardrail and without.
        attacks: Adversaries' changes.
        rewritten: Texts in other words.
        costs: Times, one for each task.
    """

    rows: Sequence[Row]
    observations: Sequence[Observation]
    attacks: Sequence[Attack]
    rewritten: Sequence[Retelling]
    costs: Sequence[Cost]


def load(data: Path | Mapping[str, Sequence[Path]], *, split: Split, limit: int | None, seed: int = 0) -> list[Source]:
    """The sets of a folder with ``rag``, ``chat`` and ``tools``, or some of these, whose records say what is needed.

    Args:
        data: The folder, or the files of each task; `load_sets` reads them.
        split: Which half.
        limit: Most records per set.
        seed: Of the draw.

    Raises:
        ConfigError: There is none of these folders, or a set is not of its schema.
    """
    held = folders(data) if isinstance(data, Path) else data
    found = [
        Source(f"{task.name}/{name}", task, records)
        for task in TASKS.values()
        if task.name in held
        for name, records in load_sets(held[task.name], task.parse, split=split, limit=limit, seed=seed).items()
        if any(task.needed(record, _NOTHING) for record in records)
    ]
    if not found:
        raise ConfigError(f"--data {data}: it holds none of the folders {', '.join(TASKS)}")
    return found


def folders(data: Path) -> dict[str, list[Path]]:
    """The folders in a folder that are named like a task."""
    return {name: [data / name] for name in TASKS if (data / name).is_dir()}


def measure(
    sources: Sequence[Source],
    subject: Subject,
    scorer: Scorer,
    *,
    encoder: SentenceEncoder | None = None,
    seed: int = 0,
    step: Callable[[str], None] = lambda _: None,
) -> Found:
    """Run all parts.

    Args:
        sources: The sets.
        subject: The guardrail.
        scorer: Its language model, and the one that perplexity is taken from.
        encoder: For the cosine of original and output; None leaves it out.
        seed: Of all draws.
        step: Called after each record of each part with what is being done, see `steps`.
    """
    rows, seen, hit, costs = list[Row](), list[Observation](), list[Attack](), list[Cost]()
    told = list[Retelling]()
    makers = {task: Compressions(TASKS[task], seed=seed) for task in dict.fromkeys(s.task.name for s in sources)}
    for s in sources:
        guardrail = subject.guardrail(s.name, scorer)
        observer = Observer(s.task, s.name, guardrail, makers[s.task.name], encoder=encoder, scorer=scorer, seed=seed)
        rows += observer.rows(s.records, lambda name=s.name: step(f"{name}: detector"))
        seen += product.observe(s.task, s.name, s.records, guardrail, step=lambda name=s.name: step(f"{name}: product"))
        few = s.records[:ATTACKED]
        hit += attacks.attack(s.task, s.name, few, guardrail, lambda name=s.name: step(f"{name}: adversaries"))
        told += rewritten.retell_all(s.name, _retrieved(s), guardrail, lambda name=s.name: step(f"{name}: other words"))
    for task in makers:
        few = [(s.name, r) for s in sources if s.task.name == task for r in s.records[:TIMED]]
        source = few[0][0]
        costs.append(
            cost(TASKS[task], [r for _, r in few], lambda used, of=source: subject.guardrail(of, used), scorer)
        )
        step(f"{task}: cost")
    return Found(rows, seen, hit, told, costs)


def steps(sources: Sequence[Source]) -> int:
    """How often `measure` calls its ``step``."""
    each = sum(2 * len(s.records) + len(s.records[:ATTACKED]) + len(_retrieved(s)) for s in sources)
    return each + len({s.task.name for s in sources})


def _retrieved(source: Source) -> list[RagRecord]:
    return [r for r in source.records if isinstance(r, RagRecord)][:RETOLD]


def bench_guardrail(
    data: Path | Mapping[str, Sequence[Path]],
    *,
    split: Split,
    limit: int | None,
    encoder: Path | None,
    detectors: Path | None,
    max_miss_rate: float,
    seed: int,
    out: Console,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Runs and shows the benchmark; returns its settings and what it found, JSON-ready.

    Args:
        data: See `load`.
        split: Which half.
        limit: Most records per set.
        encoder: Folder of a sentence encoder; None leaves out the cosine.
        detectors: See `Subject`.
        max_miss_rate: See `Subject`.
        seed: Of all draws and of the bootstrap.
        out: Where the tables go.

    Raises:
        ConfigError: The data, the encoder or the detectors are wrong.
        ModelError: A model cannot be loaded.
    """
    sources = load(data, split=split, limit=limit, seed=seed)
    subject = Subject(max_miss_rate, detectors)
    subject.check(sources)
    vectors = None if encoder is None else SentenceEncoder(encoder)
    with progress() as bar:
        job = bar.add_task("loading models", total=steps(sources))
        found = measure(
            sources,
            subject,
            EmbeddedScorer(),
            encoder=vectors,
            seed=seed,
            step=lambda what: bar.update(job, advance=1, description=what),
        )
    report = summarize(found, seed)
    show(report, out)
    settings = {
        "data": data.name if isinstance(data, Path) else {name: [p.name for p in held] for name, held in data.items()},
        "records": {s.name: len(s.records) for s in sources},
        "split": split,
        "limit": limit,
        "seed": seed,
        "encoder": None if encoder is None else encoder.name,
        "detectors": None if detectors is None else detectors.name,
        "max_miss_rate": max_miss_rate,
        "methods": METHODS,
        "keeps": KEEPS,
        "pairs": PAIRS,
    }
    return settings, {key: plain([asdict(row) for row in rows]) for key, rows in report.items()}


def summarize(found: Found, seed: int = 0) -> Mapping[str, Sequence[Any]]:
    """The rows of every table by the table's name: detector, curve, product, attacks, rewritten, cost."""
    return {
        "detector": standings(found.rows, seed),
        "curve": curve(found.rows, {name: task.asks for name, task in TASKS.items()}),
        "product": product.outcomes(found.observations, seed=seed),
        "attacks": attacks.summarize(found.attacks),
        "rewritten": rewritten.summarize(found.rewritten),
        "cost": found.costs,
    }
