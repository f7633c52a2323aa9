"""What a benchmark leaves in its folder: one JSON file with everything, one page of tables, and the pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from ctxshrink._environment import environment
from ctxshrink.errors import ConfigError

from .markdown import Sheet, escaped, read_items, to_markdown
from .quality import Peer, Skipped
from .run import Observation
from .summary import plain

VERSION: Final = 1
"""Of the layout of results.json."""


@dataclass(frozen=True, slots=True)
class Chapter:
    """One part of a benchmark.

    Attributes:
        name: Of the part: a task, speed, cost, …
        settings: What was asked for.
        found: The figures, JSON-ready.
        items: Tables and lines, as they are printed; from `Sheets.to_list`.
        plots: Pictures by file name.
        observations: Of a task: each record under each method.
    """

    name: str
    settings: Mapping[str, Any]
    found: Mapping[str, Any]
    items: Sequence[Any] = ()
    plots: Mapping[str, str] = field(default_factory=dict[str, str])
    observations: Sequence[Observation] = ()


@dataclass(frozen=True, slots=True)
class Book:
    """Everything that a run found.

    Attributes:
        settings: Of the whole run.
        chapters: Its parts, in order.
        peers: Methods of other packages as they were run.
        skipped: What was not run.
    """

    settings: Mapping[str, Any]
    chapters: Sequence[Chapter]
    peers: Sequence[Peer] = ()
    skipped: Sequence[Skipped] = ()

    def to_dict(self) -> dict[str, Any]:
        """All but the observations, JSON-ready."""
        tables = [
            {
                "chapter": chapter.name,
                "title": item.title,
                "columns": list(item.columns),
                "rows": [list(row) for row in item.rows],
                "note": item.caption or None,
            }
            for chapter in self.chapters
            for item in read_items(chapter.items)
            if isinstance(item, Sheet)
        ]
        return {
            "version": VERSION,
            "kind": "ctxshrink bench",
            "settings": plain(dict(self.settings)),
            "environment": environment(),
            "peers": [{**asdict(peer), "versions": dict(peer.versions)} for peer in self.peers],
            "skipped": [asdict(skipped) for skipped in self.skipped],
            "chapters": {c.name: {"settings": c.settings, **c.found} for c in self.chapters},
            "bench": {"tables": tables, "plots": [svg for c in self.chapters for svg in c.plots.values()]},
        }

    def to_markdown(self) -> str:
        """The page: what was run, then a section for each part."""
        about = environment()
        lines = ["# Results of `ctxshrink bench`", ""]
        lines += [f"- {escaped(str(key))}: {escaped(_told(value))}" for key, value in self.settings.items()]
        lines += [f"- {escaped(', '.join(f'{key} {value}' for key, value in about.items()))}", ""]
        if self.peers:
            lines += ["## Methods of other packages", "", "| method | versions | what was run |", "| :-- | :-- | :-- |"]
            lines += [f"| {escaped(p.method)} | {escaped(_told(p.versions))} | {escaped(p.note)} |" for p in self.peers]
            lines += [""]
        if self.skipped:
            lines += ["## Not run", "", "| part | method | why |", "| :-- | :-- | :-- |"]
            lines += [f"| {escaped(s.part)} | {escaped(s.name)} | {escaped(s.reason)} |" for s in self.skipped] + [""]
        for chapter in self.chapters:
            lines += [f"## {escaped(chapter.name)}", "", f"Settings: {escaped(_told(chapter.settings))}", ""]
            lines += [f"![{escaped(chapter.name)}]({name})\n" for name in chapter.plots]
            lines += [to_markdown(read_items(chapter.items))]
        return "\n".join(lines).rstrip() + "\n"


def write_book(folder: Path, book: Book) -> list[Path]:
    """Write results.json, RESULTS.md and the pictures.

    Args:
        folder: Where to; it exists.
        book: What was found.

    Returns:
        The files.

    Raises:
        ConfigError: One of them cannot be written.
    """
    files = {"results.json": _json(book), "RESULTS.md": book.to_markdown()}
    files |= {name: svg for chapter in book.chapters for name, svg in chapter.plots.items()}
    for name, text in files.items():
        try:
            (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
        except OSError as error:
            raise ConfigError(f"--out {folder / name}: cannot be written: {error.strerror or error}") from error
    return [folder / name for name in files]


def _json(book: Book) -> str:
    """One line for each observation: thousands of them stay readable, and tools for lines can search them."""
    head = json.dumps(book.to_dict(), ensure_ascii=False, indent=1)
    rows = [
        json.dumps({"task": c.name, **_brief(o)}, ensure_ascii=False, separators=(",", ":"))
        for c in book.chapters
        for o in c.observations
    ]
    lines = ",\n".join(f"  {row}" for row in rows)
    return f'{head.rstrip()[:-1].rstrip()},\n "observations": [\n{lines}\n ]\n}}\n'


def _brief(observation: Observation) -> dict[str, Any]:
    """The fields that say something: zeros and empty ones are left out of the optional ones."""
    value = plain(asdict(observation))
    optional = ("accepted", "rejected", "judged", "failed", "at_risk", "lost", "setting", "failure", "over", "broken")
    return {key: v for key, v in value.items() if key not in optional or v}


def _told(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_told(v)}" for k, v in value.items())  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, list | tuple):
        return ", ".join(map(_told, value)) or "none"  # pyright: ignore[reportUnknownArgumentType]
    return "none" if value is None else str(value)
