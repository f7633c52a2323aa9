"""Answers from a compressed context, by the model's own ``generate``."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ctxshrink.kv.context import CompressedContext
from ctxshrink.kv.fingerprint import check_model

if TYPE_CHECKING:
    from transformers import GenerationConfig

__all__ = ["Answering"]


@dataclass(frozen=True, slots=True)
class Answering:
    """One way of generating.

    Attributes:
        model: The model.
        tokenizer: Its tokenizer; only text and stop strings need it.
        max_new_tokens: Most tokens of an answer.
        config: A generation configuration; None is greedy search.
    """

    model: Any
    tokenizer: Any
    max_new_tokens: int
    config: GenerationConfig | None = None

    @torch.no_grad()
    def generate(self, context: CompressedContext, ids: Tensor, streamer: Any = None, stopping: Any = None) -> Tensor:
        """What ``model.generate`` gives for new tokens behind a context, these included.

        Args:
            context: The context, which is left as it is.
            ids: New tokens, shape (B, q).
            streamer: A streamer of transformers.
            stopping: A ``StoppingCriteriaList``.

        Raises:
            ConfigError: Another model made the context.
        """
        check_model(context.fingerprint, self.model)
        ids = ids.to(self.model.device)
        given: dict[str, Any] = {"do_sample": False, "max_new_tokens": self.max_new_tokens}
        if self.config is not None:
            config: Any = copy.deepcopy(self.config)
            config.max_new_tokens = self.max_new_tokens
            given = {"generation_config": config}
            if config.stop_strings:
                given["tokenizer"] = self.tokenizer
        if streamer is not None:
            given["streamer"] = streamer
        if stopping is not None:
            given["stopping_criteria"] = stopping
        mask, cache = context.attention_mask(ids.shape[1]), context.to_cache()
        return self.model.generate(ids, attention_mask=mask, past_key_values=cache, **given)
