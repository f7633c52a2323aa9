"""The parts of ``ctxshrink bench all`` that are no task: speed, cost, guardrail and KV caches, each in small form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, TypeAlias

from rich.console import Console

from ctxshrink.errors import CtxShrinkError

from .all_write import Chapter
from .data import Split
from .journal import Journal
from .markdown import catching
from .quality import Skipped, digest

Sources: TypeAlias = Mapping[str, Sequence[Path]]
"""Files, or folders of them, by task."""
Found: TypeAlias = tuple[dict[str, Any], dict[str, Any]]
"""Settings and figures, JSON-ready."""

LENGTHS: Final = (1000, 10_000, 100_000)
"""Tokens that are timed."""
COSTED: Final = 2
"""Conversations of each set that are billed."""
COSTED_MESSAGES: Final = 150
"""Most messages of these: every turn is compressed anew by some strategies, which takes quadratic time."""
JUDGED: Final = 1
"""Records of each set that the guardrail is tried on."""
KV_KEEPS: Final = (0.5, 0.1, 0.05)
KV_CONTEXTS: Final = 8
KV_LENGTHS: Final = (1000, 4000)


@dataclass(frozen=True, slots=True)
class Part:
    """One of them, ready to run.

    Attributes:
        name: Its name.
        settings: What its figures depend on, beside those that it reports itself.
        run: Runs it, and prints its tables.
        plots: Draws its pictures, by file name, from its figures.
    """

    name: str
    settings: Mapping[str, Any]
    run: Callable[[Console], Found]
    plots: Callable[[Mapping[str, Any]], Mapping[str, str]] = field(default=lambda _: {})

    def chapter(self, journal: Journal, console: Console | None = None) -> Chapter:
        """Its chapter: from the journal, or run now.

        Args:
            journal: Where it is looked up, and kept.
            console: Where its tables are shown.

        Raises:
            CtxShrinkError: It cannot be run here.
        """
        if self.name not in journal.found:
            out, sheets = catching(console)
            settings, found = self.run(out)
            journal.add(self.name, {"settings": settings, "found": found, "items": sheets.to_list()})
        held = journal.found[self.name]
        return Chapter(self.name, held["settings"], held["found"], held["items"], self.plots(held["found"]))


def parts(
    sources: Sources, *, split: Split, limit: int | None, seed: int, guardrail: bool, encoder: Path | None,
    kv_model: Path | None,
) -> Iterator[Part | Skipped]:  # fmt: skip
    """All parts that can be tried, and what cannot.

    Args:
        sources: The data.
        split: Which half of it.
        limit: Most records per set, where that is fewer than a part takes by itself.
        seed: Of all draws.
        guardrail: Run ctxshrink with its guardrail.
        encoder: Folder of a sentence encoder.
        kv_model: Folder of a needle model.
    """
    from .plots import speed_plot

    drawn = {"split": split, "seed": seed, "data": digest([p for paths in sources.values() for p in paths])}
    costed, judged = (most if limit is None else min(limit, most) for most in (COSTED, JUDGED))
    yield Part(
        "speed",
        {"lengths": LENGTHS, "guardrail": guardrail},
        lambda out: _speed(guardrail, out),
        lambda found: {"speed.svg": speed_plot(found["timings"])},
    )
    if "chat" in sources:
        yield Part(
            "cost",
            {**drawn, "limit": costed, "messages": COSTED_MESSAGES, "guardrail": guardrail},
            lambda out: _cost(sources["chat"], split, costed, seed, guardrail, out),
        )
    else:
        yield Skipped("cost", "", "it bills conversations, and --data holds no records of the chat schema")
    if guardrail:
        yield Part(
            "guardrail",
            {**drawn, "limit": judged, "encoder": None if encoder is None else encoder.name},
            lambda out: _guardrail(sources, split, judged, seed, encoder, out),
        )
    else:
        yield Skipped("guardrail", "", "--no-guardrail was given")
    missing = [name for name in ("torch", "transformers") if find_spec(name) is None]
    if missing:
        yield Skipped("kv", "", f'{" and ".join(missing)} missing: pip install "ctxshrink[kv]"')
        return
    if kv_model is None:
        reason = "give --kv-model the folder of a needle model, from `ctxshrink train kv-needle`; speed alone was run"
        yield Skipped("kv", "table", reason)
    model = None if kv_model is None else digest_of(kv_model)
    yield Part("kv", {"model": model, "lengths": KV_LENGTHS}, lambda out: _kv(kv_model, seed, out))


def digest_of(model: Path) -> str:
    """A model folder's name and the sizes of its files: enough to see that it is another one."""
    files = sorted(p for p in model.rglob("*") if p.is_file())
    return f"{model.name}: " + ", ".join(f"{p.relative_to(model)} {p.stat().st_size}" for p in files)


def run_part(part: Part, folder: Path, console: Console | None = None) -> tuple[Chapter | Skipped, str]:
    """A part's chapter, with its journal in a folder.

    Returns:
        The chapter, or why there is none; and what the journal says.
    """
    from ctxshrink import __version__

    with Journal(folder / f"{part.name}.jsonl", {**part.settings, "version": __version__}) as journal:
        try:
            return part.chapter(journal, console), journal.note
        except CtxShrinkError as error:
            return Skipped(part.name, "", " ".join(str(error).split())), journal.note


def _speed(guardrail: bool, out: Console) -> Found:
    from .speed import show_speed

    return show_speed(LENGTHS, ["chunks", "text"], 0.5, guardrail, out)


def _cost(data: Sequence[Path], split: Split, limit: int, seed: int, guardrail: bool, out: Console) -> Found:
    from . import agents

    return agents.cost(
        data,
        ["anthropic", "openai"],
        0.5,
        limit=limit,
        split=split,
        seed=seed,
        guardrail=guardrail,
        peers=find_spec("langchain") is not None,
        out=out,
        longest=COSTED_MESSAGES,
    )


def _guardrail(
    sources: Sources, split: Split, limit: int, seed: int, encoder: Path | None, out: Console
) -> Found:  # fmt: skip
    from .guardrail import bench_guardrail

    return bench_guardrail(
        sources, split=split, limit=limit, encoder=encoder, detectors=None, max_miss_rate=0.02, seed=seed, out=out
    )


def _kv(model: Path | None, seed: int, out: Console) -> Found:
    from . import kv_report
    from .kv_speed import Shape, build
    from .kv_speed import measure as pace

    settings: dict[str, Any] = {"model": None, "lengths": list(KV_LENGTHS), "repeats": 1, "device": "cpu"}
    found = dict[str, Any]()
    if model is not None:
        from .kv_needle import Setting, load_model, measure, methods, tasks_of

        trained = {p.name: p for p in sorted((model / "adapters").glob("*")) if p.is_dir()}
        loaded = load_model(model, "cpu")
        setting = Setting(KV_KEEPS, [seed + 1], KV_CONTEXTS)
        outcomes = measure(
            loaded,
            tasks_of(model, trained),
            methods([], trained, loaded),
            setting,
            guardrail=False,
            step=lambda _: None,
        )
        cells = kv_report.cells(list(outcomes))
        kv_report.show_cells(cells, out)
        found["table"] = kv_report.rows(cells)
        settings |= {"model": model.name, "keep": list(KV_KEEPS), "contexts": KV_CONTEXTS, "seeds": [seed + 1]}
    paces = list(pace(build(Shape(half=False), "cpu"), KV_LENGTHS, repeats=1, step=lambda _: None))
    kv_report.show_speed(paces, out)
    return settings, {**found, "speed": kv_report.rows(paces)}
