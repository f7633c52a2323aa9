"""Whether a compressed cache may stand in for the full one: both are asked the same things, and their answers compared.

The measure is the KL divergence of next-token distributions on probes. The perplexity ratio on the same probes is
reported beside it; ``ctxshrink bench kv --only guardrail`` says how well each tells lost answers.

Passages that are told again ask for everything alike. They suit selectors that know nothing of what will be asked. One
that was trained to drop what nobody asks about (KV-Distill) fails on them while its answers stay right: give the
guardrail questions of the kind that it was trained for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

import torch
from torch import Tensor

from ctxshrink._deadline import describe
from ctxshrink.errors import ConfigError
from ctxshrink.kv._probes import Divergence, Probes, answered, auto_probes, diverge, stated_probes
from ctxshrink.kv.context import CompressedContext
from ctxshrink.kv.types import KVVerdict

__all__ = ["KVGuardrail", "Probe"]

Words: TypeAlias = str | Sequence[int]
"""Text, or token ids for a model without a tokenizer."""
Probe: TypeAlias = Words | tuple[Words, Words]
"""A question, or a question and its answer."""

PROBES = 8
LENGTH = 32
ANSWER = 16


@dataclass(frozen=True, slots=True)
class KVGuardrail:
    """Compares a compressed cache with the full one on probes.

    Attributes:
        probes: Questions, or pairs of a question and its answer, each as text or as token ids. Where no answer is
            given, the full cache's own is taken, the likeliest token at every step. "auto" takes passages of the
            context that are told again from their first tokens on: `count` of them, `length` tokens each.
        max_kl: Most nats per token of KL(full || compressed) that pass, averaged over the tokens of all answers, or of
            all passages.
        max_ppl_ratio: Most that the perplexity of the probes may grow; None only reports it.
        fallback: What the compressor does with a cache that is rejected: "full" keeps everything, "retry" keeps twice
            the share, until everything is kept.
        count: Most probes of "auto".
        length: Most tokens of a probe of "auto".
        answer_tokens: Most tokens of an answer that is not given.
    """

    probes: Literal["auto"] | Sequence[Probe] = "auto"
    max_kl: float = 0.2
    max_ppl_ratio: float | None = None
    fallback: Literal["full", "retry"] = "full"
    count: int = PROBES
    length: int = LENGTH
    answer_tokens: int = ANSWER

    def __post_init__(self) -> None:
        if isinstance(self.probes, str):
            if self.probes != "auto":
                raise ConfigError(f'probes must be "auto" or a list of questions; got the text {self.probes!r}')
        elif not self.probes:
            raise ConfigError('probes is empty: give at least one question, or "auto"')
        if not (math.isfinite(self.max_kl) and self.max_kl >= 0):
            raise ConfigError(f"max_kl must be a number of nats, 0 or more; got {self.max_kl!r}")
        if self.max_ppl_ratio is not None and not self.max_ppl_ratio > 0:
            raise ConfigError(f"max_ppl_ratio must be above 0, or None; got {self.max_ppl_ratio!r}")
        if self.fallback not in ("full", "retry"):
            raise ConfigError(f'fallback must be "full" or "retry"; got {self.fallback!r}')
        for name in ("count", "length", "answer_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be 1 or more; got {getattr(self, name)!r}")

    def judge(self, model: Any, tokenizer: Any, full: CompressedContext, compressed: CompressedContext, /) -> KVVerdict:
        """Reads the probes behind both caches.

        The rows of a batch are one decision: the worst row's figures count.

        Args:
            model: The model that made both.
            tokenizer: Its tokenizer; None if no probe is text.
            full: Everything that was read.
            compressed: What is to stand in for it.

        Returns:
            The verdict. Where judging fails, for whatever reason, it is not ok and says how it failed.

        Raises:
            ConfigError: The contexts do not belong together, or probes are text and there is no tokenizer.
        """
        if full.fingerprint != compressed.fingerprint or not torch.equal(full.ids, compressed.ids):
            raise ConfigError(
                "the two contexts are not of the same model and tokens: a guardrail compares like with like"
            )
        try:
            probes = self._probes(model, tokenizer, full)
            found = diverge(model, full, compressed, probes)
        except ConfigError:
            raise
        except Exception as error:  # noqa: BLE001  fail open: the full cache stands, and the verdict says why
            return KVVerdict(False, math.nan, math.nan, f"the probes could not be read: {describe(error)}")
        return self._verdict(found, full)

    def _probes(self, model: Any, tokenizer: Any, full: CompressedContext) -> Probes:
        if isinstance(self.probes, str):
            return auto_probes(full, tokenizer, count=self.count, length=self.length)
        stated = [self._ids(probe, tokenizer, full) for probe in self.probes]
        probes = stated_probes(full, [(ids, to_make) for ids, to_make, _ in stated], [first for *_, first in stated])
        return answered(model, full, probes, _ends(model))

    def _ids(self, probe: Probe, tokenizer: Any, full: CompressedContext) -> tuple[list[int], int, int]:
        """Token ids of a probe, how many are to be made behind it, and the place of the question's last."""
        pair = isinstance(probe, tuple) and len(probe) == 2 and not isinstance(probe[0], int)
        question, answer = cast("tuple[Words, Words]", probe) if pair else (cast(Words, probe), None)
        if tokenizer is None and (isinstance(question, str) or isinstance(answer, str)):
            raise ConfigError("probes are text, and the compressor has no tokenizer: give one, or probes of token ids")
        if isinstance(question, str) or isinstance(answer, str):
            from ctxshrink.kv.prompts import added_ids, question_ids

            kind = "messages" if full.prompt == "messages" else "text"
            if isinstance(question, str):
                question = _listed(question_ids(tokenizer, kind, question, before=full.ids[-1]))
            if isinstance(answer, str):  # an answer is a fragment of text, behind a frame that ends without a space
                answer = _listed(added_ids(tokenizer, "text", answer if kind == "messages" else f" {answer}"))
        asked = [int(i) for i in question]
        if not asked:
            raise ConfigError("a probe's question has no tokens: leave it out")
        if not answer:
            return asked, self.answer_tokens, len(asked) - 1
        return [*asked, *(int(i) for i in answer)], 0, len(asked) - 1

    def _verdict(self, found: Divergence, full: CompressedContext) -> KVVerdict:
        if not float(found.tokens.sum()):
            return KVVerdict(False, math.nan, math.nan, "the context is too short for probes")
        kls = found.mean_kl()
        kl, ratio = float(kls.max()), float(found.ppl_ratio().max())
        close = kl <= self.max_kl
        fluent = self.max_ppl_ratio is None or ratio <= self.max_ppl_ratio
        which = "repeated passages" if isinstance(self.probes, str) else "questions"
        where = f" (worst of {full.batch} rows)" if full.batch > 1 else ""
        said = (
            f"KL {kl:.3g} nats per token on {found.tokens.shape[1]} {which}{where} is "
            f"{'within' if close else 'above'} max_kl {self.max_kl:g}"
        )
        if self.max_ppl_ratio is not None:
            said += (
                f"; perplexity ratio {ratio:.3f} is {'within' if fluent else 'above'} "
                f"max_ppl_ratio {self.max_ppl_ratio:g}"
            )
        if isinstance(self.probes, str) and full.ids.shape[1] < full.length:
            known = f"{full.ids.shape[1]:,} of {full.length:,}"
            said += f"; passages are of the newest {known} tokens, whose ids the context remembers"
        return KVVerdict(close and fluent, kl, ratio, said)


def _listed(ids: Tensor) -> list[int]:
    return [int(i) for i in ids.reshape(-1)]


def _ends(model: Any) -> list[int]:
    """Token ids that end an answer."""
    config = getattr(model, "generation_config", None) or model.config
    end = getattr(config, "eos_token_id", None)
    return [] if end is None else [int(end)] if isinstance(end, int) else [int(i) for i in end]
