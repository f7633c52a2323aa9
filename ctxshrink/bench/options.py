"""Options that several of the ``ctxshrink bench`` commands take, and how their values are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import typer

from ctxshrink.errors import ConfigError

T = TypeVar("T")

Data = Annotated[
    Path, typer.Option(help="A .jsonl file or a folder of them; schemas: the docstring of ctxshrink.bench.data.")
]
AnyData = Annotated[
    Path,
    typer.Option(
        help="A folder with the folders rag, chat and tools, or some of these; or a .jsonl file or a folder of them, "
        "whose first line says what it is."
    ),
]
Keep = Annotated[str, typer.Option(help="Shares to keep, separated by commas.")]
Methods = Annotated[str, typer.Option(help="Methods to compare, separated by commas; gains are the first one's.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Most records per set, drawn at random.")]
Split = Annotated[
    Literal["all", "dev", "test"], typer.Option(help="Half of the records, split by a hash of their group.")
]
Seed = Annotated[int, typer.Option(help="Of --limit's draw and of the bootstrap.")]
Guard = Annotated[bool, typer.Option("--guardrail/--no-guardrail", help="Run ctxshrink with its guardrail.")]
Encoder = Annotated[
    Path | None,
    typer.Option(
        help="Folder of a sentence encoder (all-MiniLM-L6-v2), for minilm, hybrid, chunks, sentence-optimizer."
    ),
]
PeerPython = Annotated[
    list[str] | None,
    typer.Option(
        "--peer-python",
        metavar="NAME=PATH",
        help="The Python of an environment that has a peer, by its method or package; repeatable.",
    ),
]
PeerModel = Annotated[
    list[str] | None,
    typer.Option(
        "--peer-model",
        metavar="NAME=FOLDER",
        help="The model folder of a peer that needs one, by its method; repeatable.",
    ),
]
Jobs = Annotated[
    int,
    typer.Option(min=1, help="Processes that work on records beside each other; timings are then no measurement."),
]
Out = Annotated[
    Path | None,
    typer.Option(
        help="Folder for results.json, RESULTS.md and plots, made where it is missing; a run that was stopped goes on "
        "from it."
    ),
]
Json = Annotated[
    Path | None, typer.Option("--json", help="Also write settings, environment and all rows to this file.")
]


def names(text: str) -> list[str]:
    """The values of an option that takes several, separated by commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def numbers(option: str, text: str, read: Callable[[str], T]) -> list[T]:
    """The values of an option that takes several, separated by commas, each once.

    Raises:
        ConfigError: One is no number, or there is none.
    """
    try:
        values = [read(part) for part in names(text)]
    except ConfigError:
        raise
    except ValueError:
        raise ConfigError(f"{option} must be numbers separated by commas; got {text!r}") from None
    if not values:
        raise ConfigError(f"{option} must hold at least one number")
    return list(dict.fromkeys(values))


def named_paths(option: str, values: Sequence[str] | None) -> dict[str, Path]:
    """The values of a repeatable option ``NAME=PATH``; a later one replaces an earlier one of that name.

    Raises:
        ConfigError: One is not of that form.
    """
    found = dict[str, Path]()
    for value in values or ():
        name, equals, path = value.partition("=")
        if not (equals and name.strip() and path.strip()):
            raise ConfigError(f"{option} must be NAME=PATH; got {value!r}")
        found[name.strip()] = Path(path.strip())
    return found


def length(text: str) -> int:
    """A number of tokens; k and M are understood.

    Raises:
        ConfigError: It is below 1.
    """
    factor = {"k": 1000, "m": 1_000_000}.get(text[-1].lower(), 1)
    size = float(text[:-1] if factor > 1 else text) * factor
    if not 1 <= size < float("inf"):
        raise ConfigError(f"--lengths must be 1 or more tokens; got {text}")
    return int(size)
