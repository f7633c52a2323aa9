"""The public cases of compactbench as records of the chat schema, made by its own engine from the user's own copy.

compactbench (https://github.com/compactbench/compactbench, Apache-2.0) asks a language model after compaction. Here the
question is whether the texts that its checks look for are still there: a check ``contains_normalized`` or
``set_match`` becomes a probe for each of its values. ``forbidden_absent`` asks that an answer does not say something,
which no text can be searched for, and is left out; so is a value that the conversation does not hold. Its four
compactors call a language model for every conversation and are not run.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias, cast

import typer

from ctxshrink._console import console, fail_cleanly
from ctxshrink.errors import ConfigError

from ..scoring import Haystack
from .peer_process import WORKERS, PeerFailure, PeerProcess

Difficulty: TypeAlias = Literal["easy", "medium", "hard", "elite"]
_PUBLIC: Final = Path("benchmarks") / "public"
_CALL: Final = 120.0
_RECENT: Final = 4


def cases(clone: Path, python: Path, *, seeds: int = 3, difficulty: Difficulty = "hard") -> Iterator[dict[str, Any]]:
    """Rows of the chat schema, one for each template and seed, in the order of the templates' paths.

    Args:
        clone: A clone of the repository, or a folder of templates.
        python: An interpreter that has compactbench.
        seeds: Cases of each template: the seeds 0, 1, ….
        difficulty: Of the cases: how much else is said.

    Raises:
        ConfigError: There are no templates, or compactbench cannot be run.
    """
    root = clone / _PUBLIC if (clone / _PUBLIC).is_dir() else clone
    templates = sorted(root.rglob("*.yaml"))
    if not templates:
        raise ConfigError(f"{clone}: no templates (*.yaml) there; name a clone of github.com/compactbench/compactbench")
    process: PeerProcess | None = None
    try:
        process = PeerProcess(python, WORKERS / "compactbench_worker.py")
        process.ask({"method": "compactbench", "options": {}, "packages": ["compactbench"]}, _CALL)
        for template in templates:
            for seed in range(seeds):
                asked = {"template": str(template.absolute()), "seed": seed, "difficulty": difficulty}
                yield _row(process.ask(asked, _CALL))
    except PeerFailure as error:
        raise ConfigError(f"compactbench, run by {python}: {error}") from error
    finally:
        if process is not None:
            process.close()


def _row(made: Mapping[str, Any]) -> dict[str, Any]:
    turns = cast("list[dict[str, str]]", made["turns"])
    said = [Haystack(turn["content"]) for turn in turns]
    probes = list[dict[str, Any]]()
    for item in cast("list[dict[str, Any]]", made["items"]):
        for value in _values(item["expected"]):
            places = [i for i, text in enumerate(said) if text.contains(value)]
            if places:
                probes.append(
                    {
                        "question": item["prompt"],
                        "answers": [value],
                        "evidence_message_idx": places,
                        "in_recent4": places[-1] >= len(turns) - _RECENT,
                    }
                )
    return {"id": made["case"], "group": made["template"], "messages": turns, "probes": probes}


def _values(expected: Mapping[str, Any]) -> list[str]:
    found: object = None
    if expected.get("check") == "contains_normalized":
        found = [expected.get("value")]
    elif expected.get("check") == "set_match":
        found = expected.get("values")
    listed = cast("list[object]", found) if isinstance(found, list) else []
    return [v for v in listed if isinstance(v, str) and v.strip()]


@fail_cleanly
def compactbench(
    clone: Annotated[Path, typer.Argument(help="A clone of github.com/compactbench/compactbench.")],
    out: Annotated[Path, typer.Option(help="The .jsonl file to write, for bench chat --data.")],
    python: Annotated[
        Path | None, typer.Option(help="An interpreter that has compactbench, if this one has not.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Cases of each template.")] = 3,
    difficulty: Annotated[Difficulty, typer.Option(help="How much else is said.")] = "hard",
) -> None:
    """Write the public cases of compactbench as a data set for bench chat."""
    if python is None and find_spec("compactbench") is None:
        raise ConfigError(
            "compactbench is not installed here: python -m venv DIR && DIR/bin/pip install compactbench, then "
            "--python DIR/bin/python"
        )
    rows = list(cases(clone, python or Path(sys.executable), seeds=seeds, difficulty=difficulty))
    try:
        out.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8", newline="\n")
    except OSError as error:
        raise ConfigError(f"--out {out}: cannot be written: {error.strerror or error}") from error
    console().print(f"{len(rows)} conversations, {sum(len(r['probes']) for r in rows)} probes: {out}")
