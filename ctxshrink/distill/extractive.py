"""Distillation without a language model: the sentences, lines and members that say most, word for word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ctxshrink.errors import ConfigError
from ctxshrink.policies import check_keep
from ctxshrink.result import ShrinkResult
from ctxshrink.shrinker import Shrinker
from ctxshrink.text import content_type
from ctxshrink.types import Decision, Segment, Span

from ._recipes import describe_compressors, describe_guardrail, describe_policy, last_part, package_version
from .types import Distillate, Setting, Source

__all__ = ["ExtractiveDistiller"]


class ExtractiveDistiller:
    """Keeps the part of each text that says most, without knowing the question; implements `Distiller`.

    Each text goes through a `Shrinker` in a call of its own, so that what comes out does not depend on the texts beside
    it: a run in batches of another size, or on several machines, gives the same texts.

    Args:
        keep: Share of each text's tokens to keep, in (0, 1]. Texts whose shortening the guardrail rejects come back
            whole.
        shrinker: Compressors, guardrail and token counter; default ``Shrinker()``, the embedded ones. Its ``mode``
            must be ``"apply"``. With a ``deadline`` the outcome depends on the machine.

    Raises:
        ConfigError: An argument is wrong.
    """

    name = "extractive"

    def __init__(self, keep: float, *, shrinker: Shrinker | None = None) -> None:
        self.keep = check_keep(keep)
        if shrinker is not None and not isinstance(shrinker, Shrinker):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"shrinker must be a Shrinker or None; got {type(shrinker).__name__}")
        self.shrinker = Shrinker() if shrinker is None else shrinker
        if self.shrinker.mode != "apply":
            raise ConfigError('shrinker must have mode="apply": a distiller hands on what comes out of it')

    def __repr__(self) -> str:
        return f"ExtractiveDistiller({self.keep}, shrinker={self.shrinker!r})"

    @property
    def recipe(self) -> Mapping[str, Setting]:
        """The method, ``keep``, and the shrinker's parts by their settings."""
        return {
            "method": self.name,
            "keep": self.keep,
            "policy": describe_policy(self.shrinker.policy),
            "compressors": describe_compressors(self.shrinker.compressors),
            "guardrail": describe_guardrail(self.shrinker.guardrail),
            "counter": last_part(self.shrinker.counter.name),
            "version": package_version(),
        }

    @property
    def counter_name(self) -> str:
        """The shrinker's token counter."""
        return self.shrinker.counter.name

    def distill(self, sources: Sequence[Source], /) -> list[Distillate]:
        """One distillate per source, in order."""
        return [self._one(source) for source in sources]

    def _one(self, source: Source) -> Distillate:
        kind = source.content_type or content_type(source.text)
        segment = Segment("0", source.text, content_type=kind, title=source.title)
        result = self.shrinker.shrink_segments([segment], keep=self.keep)
        return _distillate(source, result)


def _distillate(source: Source, result: ShrinkResult[dict[str, str]]) -> Distillate:
    [decision] = result.decisions
    scores = {} if decision.verdict is None else {"risk": decision.verdict.score}
    if decision.text == source.text or not decision.text.strip():
        why = decision.reason
        if decision.text != source.text:
            why = f"nothing of it was left: {why}"
        before = decision.tokens_before
        return Distillate(source.text, "original", why, before, before, scores, ((0, len(source.text)),))
    return Distillate(
        decision.text,
        "extractive",
        decision.reason,
        decision.tokens_before,
        decision.tokens_after,
        scores,
        _spans(decision),
    )


def _spans(decision: Decision) -> tuple[Span, ...] | None:
    """Ranges of the source; those of a rendering of it are none."""
    return decision.spans if decision.source is None and not decision.rewritten else None
