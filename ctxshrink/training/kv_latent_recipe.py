"""Latent encoders as a recipe: which model, on what, for which windows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from ctxshrink.errors import ConfigError
from ctxshrink.training.config import read_recipe
from ctxshrink.training.kv_distill import BatchSource
from ctxshrink.training.kv_latent import LatentConfig, train_kv_latent
from ctxshrink.training.kv_recipe import NeedleData, TextData, base_model, needle_data, read_texts, tokenizer_of
from ctxshrink.training.kv_texts import text_source
from ctxshrink.training.needle import NeedleTask
from ctxshrink.training.run import Progress, ignore

__all__ = ["LatentRecipe", "load_latent_recipe", "run_latent_recipe"]


@dataclass(frozen=True, slots=True)
class LatentRecipe:
    """What to train.

    Attributes:
        model: Name or folder of a Hugging Face causal language model.
        dtype: Its type; the encoders serve the model in that type alone.
        output: Folder of the encoders: ``16x`` in it is that of 16 tokens a vector.
        windows: Tokens of a vector; the encoder of each goes on from the one before it.
        texts: What to train on.
        length: Tokens of a context made of text.
        batch: Contexts of a step made of text.
        questions: Pieces of text that a context made of text is asked to go on with or to repeat.
        needle: Or contexts of the needle task.
        task: What those look like.
        train: How to train.
    """

    model: str
    dtype: str = "float32"
    output: str = "latent"
    windows: tuple[int, ...] = (4, 8, 16)
    texts: TextData = field(default_factory=TextData)
    length: int = 512
    batch: int = 4
    questions: int = 4
    needle: NeedleData = field(default_factory=NeedleData)
    task: NeedleTask = field(default_factory=NeedleTask)
    train: LatentConfig = field(default_factory=LatentConfig)

    def __post_init__(self) -> None:
        if not self.windows or min(self.windows) < 2:
            raise ConfigError("windows must name numbers of tokens, each at least 2")


def load_latent_recipe(path: str | Path) -> LatentRecipe:
    """Reads a recipe: a TOML file with `LatentRecipe`'s settings; those with settings of their own are tables.

    Raises:
        ConfigError: The file is missing, is not TOML, names no model, or has an unknown key or a value of a wrong type.
    """
    return read_recipe(path, LatentRecipe)


def run_latent_recipe(recipe: LatentRecipe, report: Callable[[Progress], None] = ignore) -> Path:
    """Trains the encoders and saves them.

    Returns:
        The folder of all of them.

    Raises:
        ConfigError: The model or the texts cannot be used.
    """
    model = base_model(recipe.model, recipe.dtype)
    encoder, count = None, len(recipe.windows)
    for done, window in enumerate(recipe.windows):

        def told(p: Progress, done: int = done, window: int = window) -> None:
            report(replace(p, fraction=(done + p.fraction) / count, message=f"{window}x: {p.message}"))

        source = _source(recipe, first=encoder is None)
        encoder = train_kv_latent(model, source, window, config=recipe.train, start=encoder, report=told)
        encoder.save(Path(recipe.output) / f"{window}x")
    return Path(recipe.output)


def _source(recipe: LatentRecipe, *, first: bool) -> BatchSource:
    if recipe.needle.use:
        return needle_data(recipe.needle, recipe.task, dense=first)
    return text_source(
        tokenizer_of(recipe.model), read_texts(recipe.texts), length=recipe.length, batch=recipe.batch,
        questions=recipe.questions, seed=recipe.train.seed,
    )  # fmt: skip
