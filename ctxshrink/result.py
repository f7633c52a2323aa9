"""What a call returns: the output, and what happened to every piece of the input."""

from __future__ import annotations

import html
from collections import Counter as _Multiset
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, TypeVar

from .types import Decision, Goal

T = TypeVar("T")
U = TypeVar("U")

_PAGE = """<section class="ctxshrink"><style>
.ctxshrink{{font:14px/1.5 system-ui,sans-serif}}.ctxshrink table{{border-collapse:collapse}}
.ctxshrink td,.ctxshrink th{{border:1px solid #8886;padding:.2em .6em;text-align:left;vertical-align:top}}
.ctxshrink pre{{white-space:pre-wrap;margin:0;unicode-bidi:isolate}}</style>
<p>{summary}</p>{warnings}<table><thead><tr><th scope="col">segment</th>
<th scope="col">kind</th><th scope="col">action</th>
<th scope="col">tokens</th><th scope="col">why</th><th scope="col">text that came out</th></tr></thead><tbody>
{rows}</tbody></table></section>"""


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
            text: Also include each segment's text before and after. Off by default: reports travel further than
                prompts should.
        """
        return {
            "tokens_before": self.tokens_before,
            "tokens_after": self.tokens_after,
            "kept_share": round(self.kept_share, 4),
            "counter": self.counter,
            "counter_exact": self.exact,
            "goal": {"keep": self.goal.keep, "max_tokens": self.goal.max_tokens},
            "mode": self.mode,
            "risk": round(self.risk, 4),
            "actions": dict(_Multiset(d.action for d in self.decisions)),
            "warnings": list(self.warnings),
            "seconds": round(self.seconds, 4),
            "decisions": [_decision_dict(d, text) for d in self.decisions],
        }

    def to_html(self) -> str:
        """A self-contained HTML fragment: summary, warnings, one row per segment. All text is escaped."""
        summary = (
            f"{self.tokens_before} → {self.tokens_after} tokens ({self.kept_share:.0%} kept, counted by "
            f"{self.counter}{'' if self.exact else ', an estimate'})"
        )
        rows = "".join(
            f'<tr><th scope="row">{html.escape(d.segment.id)}</th><td>{d.segment.kind}</td><td>{d.action}</td>'
            f"<td>{d.tokens_before} → {d.tokens_after}</td><td>{html.escape(d.reason)}</td>"
            f'<td><pre dir="auto">{html.escape(d.text)}</pre></td></tr>\n'
            for d in self.decisions
        )
        warnings = "".join(f'<p role="alert">{html.escape(w)}</p>' for w in self.warnings)
        return _PAGE.format(summary=html.escape(summary), warnings=warnings, rows=rows)

    def _repr_html_(self) -> str:
        return self.to_html()


def _decision_dict(decision: Decision, text: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": decision.segment.id,
        "kind": decision.segment.kind,
        "age": decision.segment.age,
        "content_type": decision.segment.content_type,
        "action": decision.action,
        "reason": decision.reason,
        "tokens_before": decision.tokens_before,
        "tokens_after": decision.tokens_after,
        "keep": round(decision.keep, 4),
        "spans": None if decision.spans is None else [list(s) for s in decision.spans],
        "attempts": [
            {
                "compressor": a.compressor,
                "keep": round(a.keep, 4),
                "tokens": a.tokens,
                "ok": a.ok,
                "error": a.error,
                "score": None if a.verdict is None else round(a.verdict.score, 4),
                "reason": None if a.verdict is None else a.verdict.reason,
            }
            for a in decision.attempts
        ],
    }
    if text:
        entry |= {"before": decision.segment.text, "after": decision.text}
    return entry
