"""KV-Distill as a recipe: which model, on what, at which shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from ctxshrink.errors import ConfigError
from ctxshrink.training.config import read_recipe
from ctxshrink.training.corpus import find_files, read_documents
from ctxshrink.training.kv_distill import BatchSource, DistillConfig, train_kv_distill
from ctxshrink.training.needle import NeedleTask, domain_task
from ctxshrink.training.run import Progress, ignore

__all__ = [
    "DistillRecipe", "NeedleData", "TextData", "base_model", "load_distill_recipe", "needle_data", "read_texts",
    "run_distill_recipe", "tokenizer_of",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class NeedleData:
    """Contexts of the needle task instead of texts.

    Attributes:
        use: Whether to take them.
        batch: Contexts of a step.
        dense_steps: First steps with short contexts that hold more facts for each token.
        domain: Whether all contexts are of one topic, with few facts about few keys.
        seed: Of the contexts.
    """

    use: bool = False
    domain: bool = False
    batch: int = 8
    dense_steps: int = 0
    seed: int = 1


@dataclass(frozen=True, slots=True)
class TextData:
    """Texts to train on.

    Attributes:
        root: The corpus folder, ``<language>/<name>.jsonl[.xz]`` with rows of ``{"id", "text"}``.
        include: Glob patterns below it.
        documents: Most documents.
    """

    root: str = "corpus"
    include: tuple[str, ...] = ("*/*.jsonl.xz", "*/*.jsonl")
    documents: int = 2000


@dataclass(frozen=True, slots=True)
class DistillRecipe:
    """What to train.

    Attributes:
        model: Name or folder of a Hugging Face causal language model.
        dtype: Its type; the adapter serves the model in that type alone.
        output: Folder of the adapter.
        start: Folder of an adapter to go on from, for a domain; empty to start anew.
        keep: Shares of the tokens that are kept.
        texts: What to train on.
        needle: Or contexts of the needle task.
        task: What those look like.
        train: How to train.
    """

    model: str
    dtype: str = "float32"
    output: str = "adapter"
    start: str = ""
    keep: tuple[float, ...] = (0.02, 0.05, 0.1, 0.5)
    texts: TextData = TextData()
    needle: NeedleData = NeedleData()
    task: NeedleTask = field(default_factory=NeedleTask)
    train: DistillConfig = field(default_factory=DistillConfig)


def load_distill_recipe(path: str | Path) -> DistillRecipe:
    """Reads a recipe: a TOML file with `DistillRecipe`'s settings; those with settings of their own are tables.

    Raises:
        ConfigError: The file is missing, is not TOML, names no model, or has an unknown key or a value of a wrong type.
    """
    return read_recipe(path, DistillRecipe)


def run_distill_recipe(recipe: DistillRecipe, report: Callable[[Progress], None] = ignore) -> Path:
    """Trains the adapter and saves it.

    Returns:
        Its folder.

    Raises:
        ConfigError: The model, the texts or the adapter to start from cannot be used.
    """
    from ctxshrink.kv.adapter import KVDistillAdapter

    model = base_model(recipe.model, recipe.dtype)
    tokenizer = None if recipe.needle.use else tokenizer_of(recipe.model)
    start = KVDistillAdapter.load(recipe.start, model) if recipe.start else None
    corpus = needle_data(recipe.needle, recipe.task) if recipe.needle.use else read_texts(recipe.texts)
    adapter = train_kv_distill(model, tokenizer, corpus, recipe.keep, config=recipe.train, start=start, report=report)
    adapter.save(recipe.output)
    return Path(recipe.output)


def base_model(name: str, dtype: str) -> Any:
    """A causal language model in a type, ready to be asked.

    Args:
        name: Name or folder.
        dtype: "float32", "bfloat16" or "float16".

    Raises:
        ConfigError: There is no such type or model.
    """
    import torch
    import transformers

    types = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if dtype not in types:
        raise ConfigError(f"dtype must be float32, bfloat16 or float16; got {dtype!r}")
    auto: Any = transformers
    try:
        return auto.AutoModelForCausalLM.from_pretrained(name, dtype=types[dtype]).eval()
    except (OSError, ValueError) as error:
        raise ConfigError(f"the model {name} cannot be loaded: {error}") from error


def tokenizer_of(name: str) -> Any:
    """The tokenizer of a model.

    Raises:
        ConfigError: There is none.
    """
    import transformers

    auto: Any = transformers
    try:
        return auto.AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise ConfigError(f"the tokenizer of {name} cannot be loaded: {error}") from error


def needle_data(needle: NeedleData, task: NeedleTask, *, dense: bool = True) -> BatchSource:
    """Batches of the needle task.

    Args:
        needle: Which.
        task: What contexts look like.
        dense: Whether there are first steps with short contexts.
    """
    from ctxshrink.training.needle_distill import needle_source

    task = domain_task(task) if needle.domain else task
    return needle_source(task, batch=needle.batch, seed=needle.seed, dense_steps=needle.dense_steps if dense else 0)


def read_texts(texts: TextData) -> Sequence[str]:
    """The texts of a corpus folder."""
    root = Path(texts.root)
    documents = read_documents(root, find_files(root, texts.include, ()), 0.0)
    return [document.text for document in islice(documents, texts.documents)]
