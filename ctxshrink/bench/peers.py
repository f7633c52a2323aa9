"""What others do with the same retrieved passages, ready to be timed.

Each peer is built to be as fast as it honestly can be: only what is needed to return a shorter context is timed, and
where something cheaper than its own bookkeeping can stand in, it does. A peer whose package is missing is a reason, not
an error.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias

import numpy as np

from ctxshrink._environment import version
from ctxshrink.errors import MissingExtraError
from ctxshrink.text import units

Run: TypeAlias = Callable[[str, list[str], float], Sequence[str]]
"""Shrinks (question, passages, share to keep) to the texts that are left."""

_SMALLER: Final = "bert-base-multilingual-cased"
_SHAPE: Mapping[str, int] = {"vocab_size": 119_547}
"""Of bert-base-multilingual-cased, where it differs from the defaults of ``BertConfig``."""
_WINDOW: Final = 512
_TOKENIZER_FILES: Final = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


@dataclass(frozen=True, slots=True)
class Peer:
    """Something to time.

    Attributes:
        name: What it is.
        note: What exactly was run.
        run: Runs it.
    """

    name: str
    note: str
    run: Run


@dataclass(frozen=True, slots=True)
class Skipped:
    """A peer that cannot run here, and why."""

    name: str
    reason: str


def peers(encoder: Path, cleanup: ExitStack) -> Iterator[Peer | Skipped]:
    """The peers, one after the other: each is loaded when it is asked for.

    Args:
        encoder: Folder of a sentence encoder; its tokenizer also serves the random weights.
        cleanup: Removes temporary files when it is closed.

    Raises:
        MissingExtraError: transformers or torch is not installed.
    """
    yield _cosine(encoder)
    yield from _lingua(encoder, cleanup)


def _cosine(encoder: Path) -> Peer | Skipped:
    name = "MiniLM cosine, sentence-transformers"
    if find_spec("sentence_transformers") is None:
        return Skipped(name, "sentence-transformers is not installed: pip install sentence-transformers")
    package: Any = import_module("sentence_transformers")
    model: Any = package.SentenceTransformer(str(encoder), device="cpu")

    def run(query: str, passages: list[str], keep: float) -> list[str]:
        pieces = [text[a:b] for text in passages for a, b in units(text, "prose")]
        vectors = model.encode([query, *pieces], normalize_embeddings=True, show_progress_bar=False)
        # Budget by characters: counting tokens would be time on top.
        room = keep * sum(map(len, pieces))
        kept: list[int] = []
        order: list[int] = np.argsort(-(vectors[1:] @ vectors[0])).tolist()
        for i in order:
            if len(pieces[i]) <= room:
                room -= len(pieces[i])
                kept.append(i)
        return [pieces[i] for i in sorted(kept)]

    return Peer(name, f"sentence-transformers {version('sentence-transformers')}, sentences in batches of 32", run)


def _lingua(encoder: Path, cleanup: ExitStack) -> Iterator[Peer | Skipped]:
    """LLMLingua-2 on the architecture of its smaller encoder, random weights: the time does not depend on them."""
    try:
        import torch
        import transformers
    except ImportError as error:
        raise MissingExtraError("ctxshrink bench speed --peers", "bench") from error
    auto: Any = transformers
    torch.manual_seed(0)  # pyright: ignore[reportUnknownMemberType]
    config = auto.BertConfig(**_SHAPE, num_labels=2)
    model: Any = auto.BertForTokenClassification(config).eval()
    tokenizer: Any = auto.AutoTokenizer.from_pretrained(str(encoder), local_files_only=True)
    run, note = _windows(model, tokenizer, torch), "its windows alone in transformers, a lower bound on its time"
    if find_spec("llmlingua") is not None:
        folder = Path(cleanup.enter_context(TemporaryDirectory())) / _SMALLER
        model.save_pretrained(folder)
        for name in _TOKENIZER_FILES:
            if (encoder / name).is_file():
                shutil.copy(encoder / name, folder / name)
        try:
            run = _package(folder)
            note = f"llmlingua {version('llmlingua')}, its own code"
        except Exception as error:  # noqa: BLE001  the package does not fit every version of transformers
            note += f" (llmlingua {version('llmlingua')} cannot be used here: {type(error).__name__}: {error})"
    note += f"; {_SMALLER} architecture, random weights, {tokenizer.vocab_size:,} word pieces"
    yield Peer("LLMLingua-2, passages as a list", note, run)
    yield Peer("LLMLingua-2, passages joined", note, lambda q, passages, keep: run(q, ["\n\n".join(passages)], keep))


class _Words:
    """Stands in for a tiktoken encoding: every word is a token, which costs next to nothing."""

    def encode(self, text: str) -> list[str]:
        return text.split() or [text]


def _package(folder: Path) -> Run:
    """The real package, tried once."""
    package: Any = import_module("llmlingua")

    # What the package's constructor does for LLMLingua-2, without the tiktoken table that it fetches from the network.
    base = package.PromptCompressor
    compressor: Any = base.__new__(base)
    compressor.model_name, compressor.use_llmlingua2, compressor.oai_tokenizer = str(folder), True, _Words()
    compressor.load_model(str(folder), "cpu", {"trust_remote_code": False, "local_files_only": True})
    compressor.init_llmlingua2()

    def run(query: str, passages: list[str], keep: float) -> list[str]:
        del query  # It does not read the question.
        return compressor.compress_prompt_llmlingua2(passages, rate=keep)["compressed_prompt_list"]

    run("", ["The pump was replaced in May. The valve was not."], 0.5)
    return run


def _windows(model: Any, tokenizer: Any, torch: Any) -> Run:
    """The same work without its bookkeeping: classify every token, keep the share that scores best."""

    def run(query: str, passages: list[str], keep: float) -> list[str]:
        del query
        inputs = tokenizer(
            passages,
            padding=True,
            truncation=True,
            max_length=_WINDOW,
            return_overflowing_tokens=True,
            return_tensors="pt",
        )
        owner = inputs.pop("overflow_to_sample_mapping").tolist()
        with torch.inference_mode():
            scores = model(**inputs).logits.softmax(-1)[..., 1].numpy()
        real = inputs["attention_mask"].numpy() == 1
        kept = real & (scores >= np.quantile(scores[real], 1 - keep))
        texts = [""] * len(passages)
        for place, ids, keep_it in zip(owner, inputs["input_ids"].numpy(), kept, strict=True):
            texts[place] += tokenizer.decode(ids[keep_it].tolist(), skip_special_tokens=True) + " "
        return texts

    return run
