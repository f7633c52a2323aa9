"""Contexts and questions for KV-Distill out of plain text: what comes next, and repetitions of parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from ctxshrink.errors import ConfigError
from ctxshrink.training.kv_lesson import DistillBatch

__all__ = ["text_source"]

_PIECE = 32
_LEAD = 4


def text_source(
    tokenizer: Any, corpus: Sequence[str], *, length: int, batch: int, questions: int, seed: int
) -> Callable[[int], DistillBatch]:
    """Batches from texts that carry no questions.

    The texts are read as one stream. The first piece behind a context is how the stream goes on; the others repeat
    spans of the context, as a reader does who quotes. The first four tokens of a piece are its lead and do not count. A
    context starts with the tokenizer's start token where there is one.

    Args:
        tokenizer: The model's, as Hugging Face has them.
        corpus: Texts.
        length: Tokens of a context, at least 64.
        batch: Contexts of a step.
        questions: Pieces behind each context, at least 1.
        seed: Of the places.

    Raises:
        ConfigError: There is no tokenizer, or not enough text.
    """
    if tokenizer is None:
        raise ConfigError(
            "texts need the model's tokenizer; without one, give a function that makes batches of token ids"
        )
    if length < 2 * _PIECE:
        raise ConfigError(f"contexts made of text need a length of at least {2 * _PIECE} tokens; got {length}")
    begin: int | None = tokenizer.bos_token_id
    end = [] if tokenizer.eos_token_id is None else [int(tokenizer.eos_token_id)]
    ids = [i for text in corpus for i in (*tokenizer(text, add_special_tokens=False)["input_ids"], *end)]
    stream = np.asarray(ids, np.int64)
    room = len(stream) - length - _PIECE
    if room < 0:
        raise ConfigError(f"the corpus has {len(stream)} tokens; contexts of {length} need at least {length + _PIECE}")

    def draw(step: int) -> DistillBatch:
        rng = np.random.default_rng([seed, step])
        start = rng.integers(0, room + 1, (batch, 1))
        context = stream[start + np.arange(length)]
        if begin is not None:
            context[:, 0] = begin
        after = stream[start + length + np.arange(_PIECE)][:, None]
        spans = rng.integers(0, length - _PIECE + 1, (batch, questions - 1, 1)) + np.arange(_PIECE)
        again = context[np.arange(batch)[:, None, None], spans]
        pieces = np.concatenate([after, again], axis=1)
        return DistillBatch(torch.as_tensor(context), torch.as_tensor(pieces), first=_LEAD)

    return draw
