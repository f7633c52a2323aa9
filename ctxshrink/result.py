"""What a call returns: the output, and what happened to every piece of the input."""

from __future__ import annotations

from collections import Counter as _Multiset
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, TypeVar

from ._redact import redacted
from .types import Decision, Goal

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True)
class ShrinkResult(Generic[T]):
    """The outcome of one call.

    Attributes:
        output: The compressed input: same type, order, ids and metadata. In observe mode the input itself.
        decisions: One per segment, in input order.
        tokens_before: Tokens of the whole input text, locked text included.
        tokens_after: Tokens of the whole output text. In observe mode: what they would have been.
        counter: Name of the token counter.
        exact: True when that counter is the target model's own tokenizer; False means the counts are estimates.
        goal: What was asked for.
        warnings: What the caller should know: a budget that could not be met, text forced through, nothing to do.
        mode: ``apply`` or ``observe``.
        seconds: Wall-clock time of the call.
        query: The question that the output will serve, if one was given.
    """

    output: T
    decisions: tuple[Decision, ...]
    tokens_before: int
    tokens_after: int
    counter: str
    exact: bool
    goal: Goal
    warnings: tuple[str, ...] = ()
    mode: Literal["apply", "observe"] = "apply"
    seconds: float = field(default=0.0, compare=False)
    query: str | None = field(default=None, compare=False)

    @property
    def fallbacks(self) -> tuple[Decision, ...]:
        """Segments that came out whole because every attempt failed."""
        return tuple(d for d in self.decisions if d.action == "fallback")

    @property
    def saved(self) -> int:
        """Tokens saved (gross: the cost of compressing is not in it)."""
        return self.tokens_before - self.tokens_after

    @property
    def kept_share(self) -> float:
        """Share of the input's tokens that came out, locked text included; 1.0 for an empty input."""
        return self.tokens_after / self.tokens_before if self.tokens_before else 1.0

    @property
    def risk(self) -> float:
        """Highest estimated probability, over the segments that came out changed, that needed text was lost.

        Text that was cut to size by the budget without any check counts as 1. Without a guardrail it is 0: nothing was
        estimated.
        """
        changed = [d for d in self.decisions if d.action in ("compressed", "emptied", "forced", "frozen")]
        unchecked = 1.0 if any(d.verdict for d in self.decisions) else 0.0
        scores = [d.verdict.score if d.verdict else unchecked for d in changed if d.verdict or d.action == "forced"]
        return max(scores, default=0.0)

    def with_output(self, output: U) -> ShrinkResult[U]:
        """The same evidence beside another output; seats use it to hand back their own types."""
        return replace(self, output=output)  # pyright: ignore[reportReturnType, reportArgumentType]

    def to_dict(self, *, text: bool = False) -> dict[str, Any]:
        """A JSON-ready account of the call.

        Args:
            text: Also include each segment's text before and after, and the query: what `ctxshrink report` needs. Off
                by default: reports travel further than prompts should. Without it reasons and warnings come without
                what they quote.
        """
        asked = {"query": self.query} if text else {}
        said = _whole if text else redacted
        return {
            "tokens_before": self.tokens_before,
            "tokens_after": self.tokens_after,
            "kept_share": round(self.kept_share, 4),
            "counter": self.counter,
            "counter_exact": self.exact,
            "goal": {"keep": self.goal.keep, "max_tokens": self.goal.max_tokens, "lossless": self.goal.lossless},
            "mode": self.mode,
            "risk": round(self.risk, 4),
            "actions": dict(_Multiset(d.action for d in self.decisions)),
            "warnings": [said(w) for w in self.warnings],
            "seconds": round(self.seconds, 4),
            **asked,
            "decisions": [_decision_dict(d, text) for d in self.decisions],
        }

    def to_html(self, *, title: str = "ctxshrink report", heat: bool = False) -> str:
        """The call as one page of HTML that needs nothing else: what `ctxshrink report` writes.

        It holds all texts of the call, and the same bytes for the same result.

        Args:
            title: Of the page.
            heat: Also show how surprising each token of the original is, see `ctxshrink.report.heat`; the embedded
                language model reads the texts for that, some hundred tokens a second.
        """
        from .report.model import report_data
        from .report.page import page

        return page(report_data(self, title=title, heat=heat))

    def _repr_html_(self) -> str:
        """What notebooks show: summary, warnings and a table of the segments, without a script."""
        from .report.fragment import fragment
        from .report.model import report_data

        return fragment(report_data(self))


def _whole(reason: str) -> str:
    return reason


def _decision_dict(decision: Decision, text: bool) -> dict[str, Any]:
    said = _whole if text else redacted
    entry: dict[str, Any] = {
        "id": decision.segment.id,
        "kind": decision.segment.kind,
        "age": decision.segment.age,
        "content_type": decision.segment.content_type,
        "action": decision.action,
        "reason": said(decision.reason),
        "lock": decision.segment.lock_reason,
        "tokens_before": decision.tokens_before,
        "tokens_after": decision.tokens_after,
        "keep": round(decision.keep, 4),
        "score": None if decision.verdict is None else round(decision.verdict.score, 4),
        "spans": None if decision.spans is None else [list(s) for s in decision.spans],
        "attempts": [
            {
                "compressor": a.compressor,
                "keep": round(a.keep, 4),
                "tokens": a.tokens,
                "ok": a.ok,
                "error": None if a.error is None else said(a.error),
                "score": None if a.verdict is None else round(a.verdict.score, 4),
                "reason": None if a.verdict is None else said(a.verdict.reason),
                "features": {} if a.verdict is None else {k: round(v, 4) for k, v in a.verdict.features.items()},
            }
            for a in decision.attempts
        ],
    }
    if text:
        segment = decision.segment
        entry |= {"title": segment.title, "before": segment.text, "source": decision.source, "after": decision.text}
    return entry
