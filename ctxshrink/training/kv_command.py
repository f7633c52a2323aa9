"""``ctxshrink train kv-needle`` and ``ctxshrink train kv-distill``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctxshrink._console import console, fail_cleanly, progress
from ctxshrink.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from ctxshrink.training.run import Progress

__all__ = ["kv_distill", "kv_needle"]


@fail_cleanly
def kv_needle(
    config: Annotated[Path, typer.Option(help="The recipe, a TOML file.")],
) -> None:
    """Train the small model of the needle task, on which KV-Distill and the selectors are compared."""
    from .needle_model import load_needle_config, train_needle_model

    recipe = load_needle_config(config)
    with progress() as bar:
        job = bar.add_task("preparing", total=1.0)

        def step(report: Progress) -> None:
            bar.update(job, completed=report.fraction, description=report.message)

        folder = train_needle_model(recipe, step)
    console().print(f"written to {folder}", markup=False)


@fail_cleanly
def kv_distill(
    config: Annotated[Path, typer.Option(help="The recipe, a TOML file: model, corpus, keep, settings.")],
) -> None:
    """Train an adapter that chooses, for any question, which tokens of a context a local model keeps (KV-Distill)."""
    try:
        from .kv_recipe import load_distill_recipe, run_distill_recipe
    except ImportError as error:
        if (error.name or "").partition(".")[0] in ("torch", "transformers", "safetensors"):
            raise MissingExtraError("KV-Distill", "kv") from error
        raise

    recipe = load_distill_recipe(config)
    if Path(recipe.output).is_file():
        raise ConfigError(f"{recipe.output}: output must be a folder")
    with progress() as bar:
        job = bar.add_task("preparing", total=1.0)

        def step(report: Progress) -> None:
            bar.update(job, completed=report.fraction, description=report.message)

        folder = run_distill_recipe(recipe, step)
    console().print(f"written to {folder}", markup=False)
