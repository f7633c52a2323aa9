"""Compresses what a model has read, and answers from it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from torch import Tensor

from ctxshrink.errors import ConfigError
from ctxshrink.kv.asking import Answering
from ctxshrink.kv.context import CompressedContext
from ctxshrink.kv.latent import LatentEncoder
from ctxshrink.kv.policy import AgePolicy
from ctxshrink.kv.prefill import Read, read
from ctxshrink.kv.prompts import PromptKind, added_ids, context_ids, question_ids
from ctxshrink.kv.replies import Reply
from ctxshrink.kv.reporting import Clock, report_of, shrank
from ctxshrink.kv.selectors import resolve_selector
from ctxshrink.kv.shaping import Once, grown, latent
from ctxshrink.kv.types import ContextSelector, KVAttempt, Quant, Selector, quant_pair

if TYPE_CHECKING:
    from transformers import GenerationConfig

    from ctxshrink.kv.guardrail import KVGuardrail

__all__ = ["Context", "KVCompressor", "Question"]

Context: TypeAlias = str | Sequence[Mapping[str, Any]] | Tensor
"""Text, chat messages, or token ids of shape (n,) or (rows, n)."""
Question: TypeAlias = str | Sequence[Mapping[str, Any]]
"""A question, or messages whose last is the question."""
_SOFTEST = 1024.0
"""A guardrail's retries end where every share was multiplied by this: everything is kept long before."""


class KVCompressor:
    """Reads a context once, keeps the part of its KV cache that matters, and answers any number of questions from it.

    A context is reduced where it is stored: kept keys and values move into smaller tensors, heads of a layer may keep
    different tokens, and every layer keeps equally many. The model is not changed, and any ``model.generate`` takes
    `CompressedContext.to_cache`. Layers with a sliding window stay as they are.

    Args:
        model: A loaded Hugging Face causal language model of full-attention layers, or of such mixed with sliding
            windows; it is put in evaluation mode.
        tokenizer: Its tokenizer; None where only token ids are given.
        select: Which tokens are worth keeping: a name of `ctxshrink.kv.selectors.SELECTORS`, a selector (a trained
            `KVDistillAdapter`, say), or a function of a `LayerInput`; or a trained `LatentEncoder` (experimental),
            which has a share of its own in place of `keep`, `sink` and `recent`.
        keep: Share of the tokens that stays in each head, in (0, 1].
        sink: First tokens, which stay exact: models lean on them (StreamingLLM, Xiao et al. 2023).
        recent: Last tokens, which stay exact. They count in `keep`; where they and the sinks are more than `keep`
            allows, they stay and the report says what was kept.
        quant: Type of what stays: None, "int8", "int4", or a pair for keys and values such as ("int8", "int4"). Sinks
            and recent tokens stay in the model's type.
        policy: Compression by age in place of `keep`, `recent` and `quant`.
        guardrail: Compares answers from the compressed cache with those from the full one; where it rejects, more is
            kept or the full cache stands. None checks nothing.

    Raises:
        ConfigError: A setting is out of range, or the model cannot be compressed.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any = None,
        *,
        select: Any = "keydiff",
        keep: float = 0.1,
        sink: int = 4,
        recent: int = 32,
        quant: Quant | Sequence[Quant | None] | None = None,
        policy: AgePolicy | None = None,
        guardrail: KVGuardrail | None = None,
    ) -> None:
        if not 0 < keep <= 1:
            raise ConfigError(f"keep must be in (0, 1], not {keep}")
        if sink < 0 or recent < 0:
            raise ConfigError(f"sink and recent cannot be negative: sink={sink}, recent={recent}")
        self.model, self.tokenizer = model.eval(), tokenizer
        self.selector: Selector | ContextSelector | LatentEncoder = (
            select if isinstance(select, LatentEncoder) else resolve_selector(select, model=model, tokenizer=tokenizer)
        )
        self.once = Once(keep, sink, recent, quant_pair(quant))
        self.policy, self.guardrail = policy, guardrail

    def __repr__(self) -> str:
        return f"KVCompressor({type(self.model).__name__}, select={self.selector.name!r}, keep={self.once.keep})"

    def compress(self, context: Context, *, attention_mask: Tensor | None = None) -> CompressedContext:
        """Reads a context and compresses it.

        Args:
            context: Text, chat messages, or token ids.
            attention_mask: For token ids of several rows: 0 for padding, which must be on the left. A row keeps as many
                entries as the longest one.

        Raises:
            ConfigError: There is nothing to read, text is given without a tokenizer, or padding is on the right.
        """
        if isinstance(context, Tensor):
            ids, kind = (context[None] if context.ndim == 1 else context), "text"
        else:
            ids, kind = context_ids(self._words(), context)
        clock = Clock()
        ranking = self.selector if isinstance(self.selector, Selector) else None
        got = read(self.model, ids, attention_mask, selector=ranking, prompt=kind)
        clock.read()
        scores: Mapping[int, Tensor] = got.scores
        if isinstance(self.selector, LatentEncoder):
            made = latent(self.model, self.selector, got, ids, self.once.quant)
            return self._checked(got, lambda _: made, clock)
        if isinstance(self.selector, ContextSelector):
            scores = self.selector.score_context(self.model, got.context)
        return self._checked(got, lambda factor: self._made(got, factor, scores), clock)

    def extend(self, context: CompressedContext, new: Context) -> CompressedContext:
        """Reads a new turn behind a context, which is left as it is.

        New tokens enter exact and grow old by the policy; without one, they are exact while they are recent and then
        compressed as the context was.

        Args:
            context: What was read before, by this model.
            new: Text or token ids of one row, or of as many rows as the context has.

        Raises:
            ConfigError: The selector needs the whole context at once (KVzip), another model made the context, or the
                rows do not fit.
        """
        if not isinstance(self.selector, Selector):
            raise ConfigError(
                f"{self.selector.name} takes a whole context at once and cannot rank a new turn alone: extend with "
                "another selector, such as keydiff"
            )
        if isinstance(new, Tensor):
            ids = new[None] if new.ndim == 1 else new
        else:
            ids = added_ids(self._words(), kind_of(context), new, before=context.ids)
        policy = self.policy or self.once.later()
        clock = Clock(context.report)
        got = read(
            self.model, ids.expand(context.batch, -1) if len(ids) == 1 else ids, selector=self.selector, past=context
        )
        clock.read()
        return self._checked(got, lambda factor: grown(got, policy.scaled(factor), self.once.sink), clock)

    def ask(
        self,
        context: CompressedContext,
        question: Question,
        *,
        max_new_tokens: int = 128,
        generation_config: GenerationConfig | None = None,
    ) -> str:
        """An answer from a compressed context, which is not changed by it.

        Args:
            context: A context of one row that this model made.
            question: Put behind the context as `ctxshrink.kv.prompts` says.
            max_new_tokens: Most tokens of the answer.
            generation_config: How to generate; None is greedy.

        Raises:
            ConfigError: Another model made the context, it has several rows, or there is no tokenizer.
        """
        answering = Answering(self.model, self._words(), max_new_tokens, generation_config)
        return Reply(answering, context, self.question(context, question)).text()

    def ask_many(
        self,
        context: CompressedContext,
        questions: Sequence[Question],
        *,
        max_new_tokens: int = 128,
        generation_config: GenerationConfig | None = None,
    ) -> list[str]:
        """Answers to several questions, each as if it were the only one."""
        answering = Answering(self.model, self._words(), max_new_tokens, generation_config)
        return [Reply(answering, context, self.question(context, question)).text() for question in questions]

    def stream(
        self,
        context: CompressedContext,
        question: Question,
        *,
        max_new_tokens: int = 128,
        generation_config: GenerationConfig | None = None,
    ) -> Generator[str, None, None]:
        """The answer in pieces, as they are generated; who closes it stops the generation."""
        answering = Answering(self.model, self._words(), max_new_tokens, generation_config)
        return Reply(answering, context, self.question(context, question)).pieces()

    def question(self, context: CompressedContext, question: Question) -> Tensor:
        """The ids of a question behind a context, up to where the answer starts, shape (1, q)."""
        return question_ids(self._words(), kind_of(context), question, before=context.ids)

    def _words(self) -> Any:
        if self.tokenizer is None:
            raise ConfigError("text needs a tokenizer: KVCompressor(model, tokenizer)")
        return self.tokenizer

    def _made(self, got: Read, factor: float, scores: Mapping[int, Tensor]) -> CompressedContext:
        if self.policy is not None:
            return grown(replace(got, scores=dict(scores)), self.policy.scaled(factor), self.once.sink)
        return self.once.scaled(factor).apply(got, scores)

    def _checked(self, got: Read, make: Callable[[float], CompressedContext], clock: Clock) -> CompressedContext:
        """Compresses, asks the guardrail, keeps more or everything where it rejects, and reports."""
        full, factor, attempts, fallback = got.context, 1.0, list[KVAttempt](), False
        while True:
            made = make(factor)
            verdict = None
            if self.guardrail is not None and shrank(made, full):
                verdict = self.guardrail.judge(self.model, self.tokenizer, full, made)
            asked = self.once.scaled(factor).keep if self.policy is None else factor
            attempts.append(KVAttempt(self.selector.name, asked, made.nbytes, verdict))
            if self.guardrail is None or verdict is None or verdict.ok:
                break
            if self.guardrail.fallback == "full" or factor >= _SOFTEST or isinstance(self.selector, LatentEncoder):
                made, fallback = full, True
                break
            factor *= 2
        tokens = int(got.real.sum())
        return made.with_report(report_of(made, full, attempts, clock, tokens, fallback=fallback))


def kind_of(context: CompressedContext) -> PromptKind:
    """How questions follow the context."""
    return cast(PromptKind, context.prompt)
