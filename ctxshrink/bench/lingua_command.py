"""The command ``ctxshrink bench lingua``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ctxshrink._console import console, fail_cleanly


@fail_cleanly
def lingua(
    model: Annotated[
        Path, typer.Option(help="Folder of a causal model with a fast tokenizer, as transformers saves it.")
    ],
    documents: Annotated[int, typer.Option(min=1, help="Documents of about 340 tokens in a run.")] = 8,
    runs: Annotated[int, typer.Option(min=1, help="Runs of each.")] = 3,
    seed: Annotated[int, typer.Option(help="Of the texts.")] = 0,
) -> None:
    """How fast surprisal and the llmlingua package's LLMLingua-1 are with one model in both, in processor time."""
    from rich.table import Table

    from .lingua import paces

    table = Table("work", "tokens", "surprisal, tokens/s", "kept", "llmlingua, tokens/s", "kept", "ratio")
    for pace in paces(str(model), documents=documents, runs=runs, seed=seed):
        other = "raises: " + pace.error if pace.theirs is None else f"{pace.theirs:,.0f}"
        ratio = "" if pace.theirs is None else f"{pace.ours / pace.theirs:.2f}"
        kept, their_kept = ("" if share is None else f"{share:.2f}" for share in (pace.kept, pace.their_kept))
        table.add_row(pace.work, f"{pace.tokens:,}", f"{pace.ours:,.0f}", kept, other, their_kept, ratio)
    console().print(table)
