"""Runs of the benchmark that leave a folder behind: one task, or everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from rich.console import Console

from ctxshrink._console import progress
from ctxshrink.errors import ConfigError

from .all_parts import parts, run_part
from .all_write import Book, Chapter, write_book
from .data import files_of, task_of
from .journal import Journal
from .markdown import catching
from .plots import quality_plot, time_plot
from .pool import measure
from .quality import EVERY, Peer, Plan, Skipped, digest
from .report import methods_table, show
from .summary import Summary, summarize
from .tasks import TASKS
from .wins import pairs, wins_table

LIMITS: Final[Mapping[str, int]] = MappingProxyType({"rag": 2, "chat": 3, "tools": 3})
"""Records of each set that ``bench all`` takes by itself."""
KEEPS: Final[Mapping[str, tuple[float, ...]]] = MappingProxyType(
    {"rag": (0.5, 0.25, 0.1), "chat": (0.5, 0.25), "tools": (0.5, 0.25, 0.1)}
)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What ``bench all`` was asked for.

    Attributes:
        data: A folder with the folders rag, chat and tools; a file, or a folder of files of any of the schemas.
        out: The folder that is written.
        base: Everything else that the tasks have in common; its limit is for all tasks, None for `LIMITS`.
        jobs: Processes.
        kv_model: Folder of a needle model.
    """

    data: Path
    out: Path
    base: Plan
    jobs: int = 1
    kv_model: Path | None = None


def sources(data: Path) -> dict[str, list[Path]]:
    """Files by task: from folders that are named like one, else from what the files' first lines are.

    Raises:
        ConfigError: There is no file, or one is of no schema.
    """
    named = {name: [data / name] for name in TASKS if (data / name).is_dir()}
    if named:
        return named
    found = dict[str, list[Path]]()
    for file in files_of(data):
        found.setdefault(task_of(file), []).append(file)
    return {name: found[name] for name in TASKS if name in found}


def run_task(plan: Plan, *, jobs: int, folder: Path | None, console: Console) -> Chapter:
    """``ctxshrink bench rag``, ``chat`` and ``tools``: measure one task with the methods that were named, and show it.

    Args:
        plan: What to measure.
        jobs: Processes.
        folder: What is written, and goes on from there; None writes nothing.
        console: Where the tables go.

    Raises:
        ConfigError: The data or a method is wrong, or the folder cannot be written.
    """
    usable, peers, left_out = plan.usable()
    if left_out:
        raise ConfigError(left_out[0].reason)
    journals = None if folder is None else open_folder(folder)
    chapter, summary = task_chapter(usable, peers, jobs=jobs, folder=journals, console=console)
    show(summary, console)
    if folder is not None:
        finish(folder, Book(chapter.settings, [chapter], peers), console)
    return chapter


def task_chapter(
    plan: Plan, peers: Sequence[Peer], *, jobs: int, folder: Path | None, console: Console
) -> tuple[Chapter, Summary]:
    """Measure one task.

    Args:
        plan: What to measure.
        peers: Its methods of other packages.
        jobs: Processes.
        folder: Of the journals; None keeps none.
        console: Where it says what an earlier run has left.

    Raises:
        ConfigError: The data or a method is wrong.
    """
    sets = plan.load()
    settings = {**plan.settings(sets), "peers": {peer.method: dict(peer.versions) for peer in peers}}
    keyed = {**settings, "digest": digest(plan.files)}
    journal = None if folder is None else Journal(folder / f"{plan.task}.jsonl", keyed)
    with journal or nullcontext(), progress() as bar:
        if journal is not None and journal.note:
            console.print(f"{plan.task}: {journal.note}", markup=False)
        total = sum(map(len, sets.values())) * len(plan.methods) * len(plan.keeps)
        job = bar.add_task("loading models", total=total)
        found = measure(
            plan,
            sets,
            jobs=jobs,
            journal=journal,
            step=lambda what, count: bar.update(job, advance=count, description=what),
        )
    summary = summarize(found.observations, plan.seed)
    fought = pairs(found.observations, plan.seed)
    out, sheets = catching()
    show(summary, out)
    for keep in dict.fromkeys(pair.keep for pair in fought):
        out.print(wins_table(fought, keep))
    beside = max(found.jobs, default=1) > 1
    if beside:
        out.print("Times were taken while other records were measured beside them: they say little about speed.")
    figures = {**summary.to_dict(), "wins": [pair.to_dict() for pair in fought], "jobs": list(found.jobs)}
    plots = {
        f"{plan.task}.svg": quality_plot(plan.task, summary),
        f"{plan.task}-time.svg": time_plot(plan.task, found.observations, beside=beside),
    }
    return Chapter(plan.task, settings, figures, sheets.to_list(), plots, found.observations), summary


def bench_all(wishes: Wishes, console: Console) -> None:
    """Run every method on every set that it can do, then the other parts, and write the folder.

    Args:
        wishes: What to run.
        console: Where short tables go, and what was skipped.

    Raises:
        ConfigError: The data is wrong, or the folder cannot be written.
    """
    held = sources(wishes.data)
    journals = open_folder(wishes.out)
    chapters, peers, skipped = list[Chapter](), dict[str, Peer](), list[Skipped]()
    skipped += [
        Skipped(name, "", f"--data {wishes.data.name} holds no such records") for name in TASKS if name not in held
    ]
    base = wishes.base
    for name, files in held.items():
        limit = base.limit if base.limit is not None else LIMITS[name]
        asked = replace(base, task=name, files=tuple(files), keeps=KEEPS[name], limit=limit)
        asked.load()  # Wrong data is said before models are loaded.
        plan, known, left_out = asked.usable()
        skipped += left_out
        peers |= {peer.method: peer for peer in known}
        if not plan.methods:
            skipped.append(Skipped(name, "", "none of the methods can be run"))
            continue
        chapter, summary = task_chapter(plan, known, jobs=wishes.jobs, folder=journals, console=console)
        chapters.append(chapter)
        console.print(methods_table(summary))
    for part in parts(
        held,
        split=base.split,
        limit=base.limit,
        seed=base.seed,
        guardrail=base.guardrail,
        encoder=base.encoder,
        kv_model=wishes.kv_model,
    ):
        if isinstance(part, Skipped):
            skipped.append(part)
            continue
        done, note = run_part(part, journals)
        console.print(f"{part.name}: {note or 'done'}", markup=False)
        if isinstance(done, Skipped):
            skipped.append(done)
        else:
            chapters.append(done)
    settings = {"data": wishes.data.name, "split": base.split, "seed": base.seed, "guardrail": base.guardrail}
    settings |= {"encoder": None if base.encoder is None else base.encoder.name, "limit": base.limit}
    finish(wishes.out, Book(settings, chapters, list(peers.values()), skipped), console)


def finish(folder: Path, book: Book, console: Console) -> None:
    """Write the folder, and say what was skipped and what was written."""
    files = write_book(folder, book)
    for one in book.skipped:
        console.print(f"skipped: {one.part} {one.name}: {one.reason}", markup=False, soft_wrap=True)
    console.print("written: " + ", ".join(map(str, files)), markup=False, soft_wrap=True)


def open_folder(out: Path) -> Path:
    """Make the folder of a run, and in it that of the journals; returns the latter.

    Raises:
        ConfigError: It cannot be made, or is a file.
    """
    journals = out / "journal"
    try:
        journals.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out {out}: cannot be made: {error.strerror or error}; name a folder") from error
    return journals


def every_method(methods: Sequence[str]) -> tuple[str, ...]:
    """The methods that were named, or all that there are."""
    return tuple(dict.fromkeys(methods)) or EVERY
