"""What all commands share: consoles, progress bars, and errors as one clean line."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from .errors import CtxShrinkError

P = ParamSpec("P")
T = TypeVar("T")


def console(*, stderr: bool = False, width: int | None = None) -> Console:
    """A console on the streams of this moment (tests and embedders replace them)."""
    return Console(stderr=stderr, width=width, highlight=False)


def progress() -> Progress:
    """A progress bar on stderr that leaves nothing behind."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console(stderr=True),
        transient=True,
    )


def fail_cleanly(command: Callable[P, T]) -> Callable[P, T]:
    """Turn the package's own errors into one line on stderr and exit code 2. All others are bugs and show as such."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except CtxShrinkError as error:
            line = " ".join(str(error).split())
            console(stderr=True).print(f"[bold red]error:[/bold red] {escape(line)}", soft_wrap=True)
            raise typer.Exit(2) from None

    return wrapped
