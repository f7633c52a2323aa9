"""``ctxshrink train kv-needle``, ``ctxshrink train kv-distill`` and ``ctxshrink train kv-latent``."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctxshrink._console import console, fail_cleanly, progress
from ctxshrink.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from ctxshrink.training.run import Progress

__all__ = ["kv_distill", "kv_latent", "kv_needle"]


@fail_cleanly
def kv_needle(
    config: Annotated[Path, typer.Option(help="The recipe, a TOML file.")],
) -> None:
    """Train the small model of the needle task, on which KV-Distill and the selectors are compared."""
    from .needle_model import load_needle_config, train_needle_model

    recipe = load_needle_config(config)
    _train(recipe.output, lambda step: train_needle_model(recipe, step))


@fail_cleanly
def kv_distill(
    config: Annotated[Path, typer.Option(help="The recipe, a TOML file: model, corpus, keep, settings.")],
) -> None:
    """Train an adapter that chooses, for any question, which tokens of a context a local model keeps (KV-Distill)."""
    with _needs_torch("KV-Distill"):
        from .kv_recipe import load_distill_recipe, run_distill_recipe

    recipe = load_distill_recipe(config)
    _train(recipe.output, lambda step: run_distill_recipe(recipe, step))


@fail_cleanly
def kv_latent(
    config: Annotated[Path, typer.Option(help="The recipe, a TOML file: model, corpus, windows, settings.")],
) -> None:
    """Train encoders that put windows of tokens into one input vector each (latent contexts, experimental)."""
    with _needs_torch("latent contexts"):
        from .kv_latent_recipe import load_latent_recipe, run_latent_recipe

    recipe = load_latent_recipe(config)
    _train(recipe.output, lambda step: run_latent_recipe(recipe, step))


@contextmanager
def _needs_torch(feature: str) -> Generator[None, None, None]:
    try:
        yield
    except ImportError as error:
        if (error.name or "").partition(".")[0] in ("torch", "transformers", "safetensors"):
            raise MissingExtraError(feature, "kv") from error
        raise


def _train(output: str, run: Callable[[Callable[[Progress], None]], Path]) -> None:
    """Runs a recipe with a progress bar.

    Raises:
        ConfigError: The output is a file.
    """
    if Path(output).is_file():
        raise ConfigError(f"{output}: output must be a folder")
    with progress() as bar:
        job = bar.add_task("preparing", total=1.0)

        def step(report: Progress) -> None:
            bar.update(job, completed=report.fraction, description=report.message)

        folder = run(step)
    console().print(f"written to {folder}", markup=False)
